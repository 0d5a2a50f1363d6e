//! A new login for the cluster when a registry refuses one that looks alive.

use tokio::sync::OnceCell;

use super::regcred::{self, Refresh, SecretReport};
use super::roll::{Broken, Roll};
use super::session::Session;
use crate::cli::RollOut;
use crate::cluster::Cluster;
use crate::cluster::workload::WorkloadState;
use crate::error::CommandError;
use crate::project::Project;
use crate::ui::Line;

/// What is said of pods that were refused and are left alone.
const LEFT_ALONE: &str = "the pull secret has a new token; with `--no-unstick` the pods are left \
     alone, and pull again by themselves within five minutes";

/// Renews the pull secret, once for each command, whoever asks for it.
pub(super) struct Renewal<'a> {
    session: &'a Session<'a>,
    cluster: &'a Cluster,
    project: &'a Project,
    /// Whether pods that were refused are recreated.
    unstick: bool,
    done: OnceCell<Vec<SecretReport>>,
}

impl<'a> Renewal<'a> {
    pub(super) fn new(
        session: &'a Session<'a>,
        cluster: &'a Cluster,
        project: &'a Project,
        flags: RollOut,
    ) -> Self {
        Self {
            session,
            cluster,
            project,
            unstick: !flags.no_unstick,
            done: OnceCell::new(),
        }
    }

    /// Writes a new token, whatever the old one says of itself, and recreates the pods that were
    /// refused, unless they are to be left alone.
    pub(super) async fn renew(&self) -> Result<(), CommandError> {
        let renew = async || {
            let refresh = Refresh {
                force: true,
                unstick: self.unstick,
            };
            let ui = self.session.ui;
            let mut plans = regcred::plan(ui, self.cluster, self.project, refresh).await?;
            let done = regcred::apply(self.cluster, self.project, &mut plans).await;
            regcred::say(self.session, &done.reports);
            regcred::ended(ui, done.failed)?;
            Ok::<_, CommandError>(done.reports)
        };
        Box::pin(self.done.get_or_try_init(renew)).await?;
        Ok(())
    }

    /// Waits for a roll-out; `changed` is the workload as its change left it. When the registry
    /// refuses the cluster's login, it gets another one, and the roll-out another chance. Pods that
    /// are left alone have theirs later, by themselves.
    pub(super) async fn wait(
        &self,
        roll: &Roll<'_>,
        changed: Option<WorkloadState>,
        line: &Line,
    ) -> Result<(), CommandError> {
        match roll.wait(changed, line).await {
            Err(Broken::RefusedLogin(refused)) if !self.unstick => {
                self.renew().await?;
                Err(refused.hint(LEFT_ALONE))
            }
            Err(Broken::RefusedLogin(_)) => {
                self.renew().await?;
                // Those that were refused after the renewal began.
                regcred::wake(self.session.ui, self.cluster, self.project).await?;
                Ok(roll.wait(None, line).await?)
            }
            ended => Ok(ended?),
        }
    }

    /// What became of the secrets, when they were renewed.
    pub(super) fn into_reports(self) -> Option<Vec<SecretReport>> {
        self.done.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use serde_json::json;

    use super::*;
    use crate::cli::Output;
    use crate::cluster::fake;
    use crate::project::contract::TagMutability;
    use crate::project::fake as project;
    use crate::registry::fake::HOST;
    use crate::ui::Ui;

    #[tokio::test]
    async fn pods_that_are_to_be_left_alone_are_not_even_looked_at() {
        let pod = json!({ "metadata": { "name": "web-1", "namespace": "shop", "uid": "1",
                "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web",
                    "uid": "r", "controller": true }] },
            "spec": { "imagePullSecrets": [{ "name": "regcred" }],
                "containers": [{ "name": "web", "image": format!("{HOST}/shop/web:1") }] },
            "status": { "phase": "Pending", "containerStatuses": [{ "name": "web", "image": "",
                "imageID": "", "ready": false, "restartCount": 0,
                "state": { "waiting": { "reason": "ErrImagePull",
                    "message": "no basic auth credentials" } } }] } });
        for unstick in [true, false] {
            let asked = Arc::new(AtomicBool::new(false));
            let (was_asked, pod) = (Arc::clone(&asked), pod.clone());
            let cluster = fake::cluster(move |request| match request.path.as_str() {
                "/api/v1/namespaces/shop/pods" => {
                    was_asked.store(true, Ordering::SeqCst);
                    fake::ok(json!({ "metadata": {}, "items": [pod] }))
                }
                _ => fake::not_found(request),
            });
            let project = project::project("dev", project::service(TagMutability::Mutable));
            let (force, ui) = (true, Ui::new(Output::Text, true));
            let plans = regcred::plan(&ui, &cluster, &project, Refresh { force, unstick }).await;
            let plans = plans.unwrap();
            // The secret is written either way.
            assert_eq!((plans.len(), plans[0].reasons.is_empty()), (1, false));
            assert_eq!(plans[0].stuck_pods.len(), usize::from(unstick));
            assert_eq!(asked.load(Ordering::SeqCst), unstick);
        }
    }
}
