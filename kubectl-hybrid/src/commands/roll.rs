//! Waiting for a roll-out, with its progress and its cause of failure.

use std::time::Duration;

use super::regcred::in_cluster;
use super::session::Session;
use crate::cluster::rollout::{self, End, FailureCause, WaitOptions};
use crate::cluster::trouble::PullFault;
use crate::cluster::workload::{ContainerPin, WorkloadError};
use crate::cluster::{Cluster, WorkloadRef};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::Line;

/// How waiting ended when the pods do not run.
pub(super) enum Broken {
    /// The registry refused the cluster's login: a new one may heal it.
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

/// Waits until the workload runs its current template.
pub(super) async fn wait(
    session: &Session<'_>,
    cluster: &Cluster,
    workload: &WorkloadRef,
    expected: Vec<ContainerPin>,
    timeout: Duration,
    line: &Line,
) -> Result<(), Broken> {
    line.now("rolls out");
    let options = WaitOptions {
        timeout,
        expected,
        ..WaitOptions::default()
    };
    let end = rollout::wait(cluster, workload, &options, |update| {
        line.now(format!(
            "rolls out {}/{}: {}",
            update.counts.ready.min(update.counts.updated),
            update.counts.desired,
            update.waiting_for
        ));
        session.ui.step(
            "roll-out",
            format!(
                "{} {}/{} ready, {}",
                update.workload,
                update.counts.ready.min(update.counts.updated),
                update.counts.desired,
                update.waiting_for
            ),
        );
    })
    .await
    .map_err(|error| Broken::Other(in_cluster(&error)))?;
    match end {
        End::Complete(state) => {
            session.ui.step(
                "ready",
                format!("{workload} {}/{}", state.counts.ready, state.counts.desired),
            );
            Ok(())
        }
        End::Failed(failure) => {
            let mut error = CommandError::from_error(Exit::RollOut, &*failure);
            if !failure.last_words.is_empty() {
                error = error.hint(format!(
                    "its last lines: {}",
                    failure.last_words.join(" | ")
                ));
            }
            let error = error
                .hint(failure.hint())
                .hint("`kubectl hybrid doctor` explains the cause");
            let refused = matches!(
                &failure.cause,
                FailureCause::Pod { trouble, .. }
                    if trouble.cause.pull_fault().is_some_and(PullFault::is_about_credentials)
            );
            Err(if refused {
                Broken::RefusedLogin(error)
            } else {
                Broken::Other(error)
            })
        }
        End::TimedOut(timed_out) => Err(Broken::Other(
            CommandError::from_error(Exit::TimedOut, &*timed_out).hint(
                "`kubectl hybrid doctor` explains what it waits for; --timeout gives it longer",
            ),
        )),
    }
}

/// An error of a workload's change.
pub(super) fn workload_error(error: &WorkloadError) -> CommandError {
    CommandError::from_error(Exit::RollOut, error).maybe_hint(error.hint())
}
