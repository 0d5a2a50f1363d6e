//! A new login for the cluster when a registry refuses one that looks alive.

use tokio::sync::OnceCell;

use super::regcred::{self, SecretReport};
use super::roll::{Broken, Roll};
use super::session::Session;
use crate::cluster::Cluster;
use crate::error::CommandError;
use crate::project::Project;
use crate::ui::Line;

/// Renews the pull secret, once for each command, whoever asks for it.
pub(super) struct Renewal<'a> {
    session: &'a Session<'a>,
    cluster: &'a Cluster,
    project: &'a Project,
    done: OnceCell<Vec<SecretReport>>,
}

impl<'a> Renewal<'a> {
    pub(super) fn new(
        session: &'a Session<'a>,
        cluster: &'a Cluster,
        project: &'a Project,
    ) -> Self {
        Self {
            session,
            cluster,
            project,
            done: OnceCell::new(),
        }
    }

    /// Writes a new token, whatever the old one says of itself, and recreates the pods that were
    /// refused.
    pub(super) async fn renew(&self) -> Result<(), CommandError> {
        let renew = async || {
            let plans = regcred::plan(self.cluster, self.project, true).await?;
            let reports = regcred::apply(self.cluster, self.project, plans).await?;
            regcred::say(self.session, &reports);
            Ok::<_, CommandError>(reports)
        };
        Box::pin(self.done.get_or_try_init(renew)).await?;
        Ok(())
    }

    /// Waits for a roll-out. When the registry refuses the cluster's login, it gets another one, and
    /// the roll-out another chance.
    pub(super) async fn wait(&self, roll: &Roll<'_>, line: &Line) -> Result<(), CommandError> {
        match roll.wait(line).await {
            Err(Broken::RefusedLogin(_)) => {
                self.renew().await?;
                // Those that were refused after the renewal began.
                regcred::wake(self.cluster, self.project).await?;
                Ok(roll.wait(line).await?)
            }
            ended => Ok(ended?),
        }
    }

    /// What became of the secrets, when they were renewed.
    pub(super) fn into_reports(self) -> Option<Vec<SecretReport>> {
        self.done.into_inner()
    }
}
