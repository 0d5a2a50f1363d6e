//! `kubectl hybrid regcred`: the pull secret, shown, refreshed, and kept fresh.

mod agent;
mod apply;
mod job;
mod logins;
mod plan;
mod power;
mod status;
mod sync;
mod watch;

use std::time::Duration;

pub(super) use apply::{Done, SecretReport};
pub(super) use plan::SecretPlan;
pub(super) use sync::{ended, say, say_plans};

use super::session::Session;
use crate::cli::Regcred;
use crate::cluster::Cluster;
use crate::cluster::pods;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::project::Project;
use crate::ui::Ui;
use job::Job;

/// Half of a token's twelve hours: below it the secret gets a new one.
const MINIMUM_LIFE: Duration = Duration::from_hours(6);

/// `kubectl hybrid regcred …`.
pub(super) async fn run(session: &Session<'_>, command: &Regcred) -> Result<Exit, CommandError> {
    match command {
        Regcred::Sync(flags) => Box::pin(sync::sync(session, flags)).await,
        Regcred::Watch(flags) => Box::pin(watch::watch(session, flags)).await,
        Regcred::Agent(command) => Box::pin(agent::run(session, command)).await,
        Regcred::Status(flags) => Box::pin(status::status(session, flags)).await,
    }
}

/// How a command that rolls out wants the contract's secrets refreshed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refresh {
    /// Whether a new token is wanted even where the old one looks alive.
    pub(super) force: bool,
    /// Whether pods that wait for credentials are recreated.
    pub(super) unstick: bool,
}

/// Looks at the contract's secrets and at the pods that may wait for them. Writes nothing.
///
/// # Errors
/// When a namespace could not be looked at. If there are several the others are said.
pub(super) async fn plan(
    ui: &Ui,
    cluster: &Cluster,
    project: &Project,
    refresh: Refresh,
) -> Result<Vec<SecretPlan>, CommandError> {
    let mut job = Job::of(project);
    job.force = refresh.force;
    job.unstick = refresh.unstick;
    let found = plan::make(cluster, &job).await?;
    ended(ui, found.failed.into_iter().map(|(_, error)| error))?;
    Ok(found.made)
}

/// Does what was planned for the contract's namespaces. One that fails does not hold up the others.
pub(super) async fn apply(cluster: &Cluster, project: &Project, plans: &mut [SecretPlan]) -> Done {
    let done = apply::all(cluster, &Job::of(project), plans).await;
    done.unwrap_or_else(|error| Done {
        reports: Vec::new(),
        failed: vec![error],
    })
}

/// The errors that these plans end with: secrets that have to be written and must not be.
pub(super) fn refused(plans: &[SecretPlan]) -> Vec<CommandError> {
    let refused = plans.iter().filter_map(SecretPlan::refused);
    refused.map(|error| apply::not_in_place(&error)).collect()
}

/// Recreates the pods that still wait for better credentials, in each namespace whose pods can be
/// listed.
///
/// # Errors
/// When they could not be listed somewhere. If that is so in several places the others are said.
pub(super) async fn wake(
    ui: &Ui,
    cluster: &Cluster,
    project: &Project,
) -> Result<(), CommandError> {
    let mut failed = Vec::new();
    for namespace in project.namespaces() {
        match pods::list(cluster, namespace, None).await {
            Ok(pods) => {
                let stuck = pods::stuck(&pods, &[project.registry.host()], &project.pull_secret);
                pods::recreate(cluster, stuck).await;
            }
            Err(error) => failed.push(in_cluster(&error)),
        }
    }
    ended(ui, failed).map(drop)
}

/// An error of the API server.
pub(super) fn in_cluster(error: &crate::cluster::ClusterError) -> CommandError {
    CommandError::from_error(Exit::RollOut, error).maybe_hint(error.hint())
}

#[cfg(test)]
mod tests;
