//! Waiting for a roll-out, with its progress and its cause of failure.

use std::time::Duration;

use jiff::Timestamp;

use super::regcred::in_cluster;
use super::session::Session;
use crate::cluster::pull_secret::{self, SecretRef};
use crate::cluster::rollout::{self, End, Failure, FailureCause, Update, WaitOptions};
use crate::cluster::trouble::{PullFault, Trouble};
use crate::cluster::workload::{ContainerPin, WorkloadError, WorkloadState};
use crate::cluster::{Cluster, WorkloadRef, pods, service_account};
use crate::diagnosis::{PullContext, explain_pull};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::project::Project;
use crate::ui::Line;

/// How waiting ended when the pods do not run.
pub(super) enum Broken {
    /// Our registry refused the cluster's login: a new one may heal it.
    RefusedLogin(CommandError),
    /// Anything else.
    Other(CommandError),
}

impl From<Broken> for CommandError {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::RefusedLogin(error) | Broken::Other(error) => error,
        }
    }
}

/// A roll-out to wait for.
pub(super) struct Roll<'a> {
    pub session: &'a Session<'a>,
    pub cluster: &'a Cluster,
    pub project: &'a Project,
    /// The service, or the workload's name when it is none of the contract's.
    pub service: &'a str,
    pub workload: &'a WorkloadRef,
    /// The images that were pinned.
    pub expected: Vec<ContainerPin>,
    pub timeout: Duration,
}

impl Roll<'_> {
    /// Waits until the workload runs its current template. `changed` is the workload as its change
    /// left it, right after that.
    pub(super) async fn wait(
        &self,
        changed: Option<WorkloadState>,
        line: &Line,
    ) -> Result<(), Broken> {
        line.now("rolls out");
        let options = WaitOptions {
            timeout: self.timeout,
            expected: self.expected.clone(),
            changed,
            ..WaitOptions::default()
        };
        let mut said = String::new();
        let end = rollout::wait(self.cluster, self.workload, &options, |update| {
            let progress = progress(update);
            line.now(format!("rolls out {progress}"));
            // Another pod with the same trouble is no news.
            if said != progress {
                let step = format!("{} {progress}", update.workload);
                self.session.ui.step("roll-out", step);
                said = progress;
            }
        })
        .await
        .map_err(|error| Broken::Other(in_cluster(&error)))?;
        match end {
            End::Complete(state) => {
                let counts = state.counts;
                self.session.ui.step(
                    "ready",
                    format!("{} {}/{}", self.workload, counts.ready, counts.desired),
                );
                Ok(())
            }
            End::Failed(failure) => Err(self.failed(&failure).await),
            End::TimedOut(timed_out) => Err(Broken::Other(
                CommandError::from_error(Exit::TimedOut, &*timed_out)
                    .hint(format!(
                        "see what it does: `kubectl -n {} describe {}`",
                        self.workload.namespace, self.workload
                    ))
                    .hint("--timeout gives it longer; `kubectl hybrid doctor` looks at all of it"),
            )),
        }
    }

    async fn failed(&self, failure: &Failure) -> Broken {
        let (trouble, fault) = match &failure.cause {
            FailureCause::Pod { trouble, .. } => (Some(trouble), trouble.cause.pull_fault()),
            _ => (None, None),
        };
        let error = match (trouble, fault) {
            (Some(trouble), Some(fault)) => self.cannot_pull(trouble, fault).await,
            _ => CommandError::from_error(Exit::RollOut, failure)
                .excerpt(&failure.last_words)
                .hint(failure.hint()),
        };
        // A token of ours helps no other registry.
        let host = self.project.registry.host();
        let is_ours = trouble
            .and_then(|trouble| trouble.image.as_deref())
            .is_none_or(|image| image.split('/').next() == Some(host));
        if is_ours && fault.is_some_and(PullFault::is_about_credentials) {
            Broken::RefusedLogin(error)
        } else {
            Broken::Other(error)
        }
    }

    /// The reason of a pull that failed, from the pull secret and the pod as much as from the words
    /// of the container runtime.
    async fn cannot_pull(&self, trouble: &Trouble, fault: PullFault) -> CommandError {
        let secret = SecretRef {
            namespace: self.workload.namespace.clone(),
            name: self.project.pull_secret.clone(),
        };
        let account = &self.project.service_account;
        let (secret, names, pod) = tokio::join!(
            pull_secret::read(self.cluster, &secret),
            service_account::names_secret(self.cluster, &secret.namespace, account, &secret.name),
            pods::read(self.cluster, &trouble.namespace, &trouble.pod),
        );
        let view = secret.map(|found| found.as_ref().map(pull_secret::view));
        let pod_secrets = match pod {
            Ok(Some(pod)) => pods::pull_secrets(&pod),
            // It is gone; what is known is that others like it name the secret.
            _ => vec![self.project.pull_secret.clone()],
        };
        let cause = explain_pull(
            fault,
            PullContext {
                now: Timestamp::now(),
                namespace: &self.workload.namespace,
                secret_name: &self.project.pull_secret,
                secret: view.as_ref().ok().map(Option::as_ref),
                service_account: account,
                account_names_secret: names.ok().flatten(),
                pod_secrets: &pod_secrets,
                service: self.service,
                image: trouble.image.as_deref().unwrap_or_default(),
            },
        );
        let mut error = CommandError::new(
            Exit::RollOut,
            format!(
                "{} did not roll out: pod `{}`, container `{}` cannot pull its image: {}",
                self.workload,
                trouble.pod,
                trouble.container.as_deref().unwrap_or_default(),
                cause.message
            ),
        )
        .excerpt(std::slice::from_ref(&trouble.message));
        if let Some(fix) = cause.fix {
            error = error.hint(match fix.command {
                Some(command) => format!("{}: `{command}`", fix.description),
                None => fix.description,
            });
        }
        error.hint("see the evidence: `kubectl hybrid doctor`")
    }
}

/// `1/2 ready, 1 of 2 new pods are ready; container `web`: it ends with exit code 3`.
fn progress(update: &Update) -> String {
    let counts = update.counts;
    let ready = counts.new_of(counts.ready);
    let mut text = format!("{ready}/{} ready, {}", counts.desired, update.waiting_for);
    let trouble = update.troubles.iter().find(|trouble| trouble.is_news());
    if let Some(trouble) = trouble {
        text.push_str("; ");
        text.push_str(&trouble.without_pod());
    }
    text
}

/// An error of a workload's change.
pub(super) fn workload_error(error: &WorkloadError) -> CommandError {
    CommandError::from_error(Exit::RollOut, error).maybe_hint(error.hint())
}
