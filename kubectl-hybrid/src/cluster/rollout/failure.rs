//! How a roll-out fails, with the cause and the next command.

use std::fmt;

use serde::Serialize;

use crate::cluster::trouble::{Cause, Trouble};
use crate::cluster::workload::{Counts, WorkloadRef};

/// A roll-out that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The workload.
    pub workload: WorkloadRef,
    /// How far it came.
    pub counts: Counts,
    /// Why it does not go on.
    pub cause: FailureCause,
    /// The last lines of the container, when it crashed.
    pub last_words: Vec<String>,
}

/// Why a roll-out does not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum FailureCause {
    /// A pod cannot run.
    Pod {
        /// What keeps it from running.
        trouble: Trouble,
        /// A stateful set's pod of an earlier revision that the controller waits for.
        old_revision: bool,
    },
    /// No pod can be made: a quota, an admission rule, a missing service account.
    NotCreated {
        /// What the cluster says.
        message: String,
    },
    /// The Deployment's own deadline passed.
    DeadlineExceeded {
        /// What the cluster says.
        message: String,
    },
    /// Somebody else changed the image meanwhile.
    Superseded {
        /// The container.
        container: String,
        /// The image that it has now.
        found: String,
    },
    /// The Deployment is paused.
    Paused,
    /// Its pods are replaced only when somebody deletes them.
    OnDelete,
    /// It was deleted.
    Gone,
}

impl Failure {
    /// What to do next.
    pub fn hint(&self) -> String {
        let workload = &self.workload;
        let namespace = &workload.namespace;
        match &self.cause {
            FailureCause::Pod {
                old_revision: true,
                trouble,
            } => format!(
                "the controller waits for this pod of the earlier revision: \
                 `kubectl -n {namespace} delete pod {}`",
                trouble.pod
            ),
            FailureCause::Pod { trouble, .. } => pod_hint(trouble, namespace),
            FailureCause::NotCreated { .. } => {
                format!("see `kubectl -n {namespace} describe {workload}`")
            }
            FailureCause::DeadlineExceeded { .. } => {
                format!("see `kubectl -n {namespace} get pods` and `kubectl hybrid doctor`")
            }
            FailureCause::Superseded { .. } => {
                "deploy again when the other deploy is done".to_owned()
            }
            FailureCause::Paused => format!("`kubectl -n {namespace} rollout resume {workload}`"),
            FailureCause::OnDelete => format!(
                "delete the pods one by one, or set the update strategy of {workload} to \
                 `RollingUpdate`"
            ),
            FailureCause::Gone => "make it again with `terraform apply`".to_owned(),
        }
    }
}

fn pod_hint(trouble: &Trouble, namespace: &str) -> String {
    let pod = &trouble.pod;
    match &trouble.cause {
        Cause::Pull { fault } if fault.is_about_credentials() => {
            "refresh the pull secret with `kubectl hybrid regcred sync`, or see the evidence with \
             `kubectl hybrid doctor`"
                .to_owned()
        }
        Cause::Pull { .. } => "see the evidence with `kubectl hybrid doctor`".to_owned(),
        Cause::Crash { .. } | Cause::OutOfMemory { .. } => {
            format!("see all it wrote: `{}`", trouble.logs_command())
        }
        _ => format!("see `kubectl -n {namespace} describe pod {pod}`"),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} did not roll out: {}", self.workload, self.cause)
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for FailureCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod {
                trouble,
                old_revision,
            } => {
                write!(f, "{trouble}")?;
                // For a pull the sentence says it; elsewhere the cluster's words carry the reason.
                if trouble.cause.pull_fault().is_none() && !trouble.message.is_empty() {
                    write!(f, ": {}", trouble.message)?;
                }
                if *old_revision {
                    f.write_str(" (a pod of the earlier revision)")?;
                }
                Ok(())
            }
            Self::NotCreated { message } => write!(f, "no pod can be made: {message}"),
            Self::DeadlineExceeded { message } => write!(f, "its deadline passed: {message}"),
            Self::Superseded { container, found } => {
                write!(
                    f,
                    "somebody else set container `{container}` to {found} meanwhile"
                )
            }
            Self::Paused => f.write_str("it is paused"),
            Self::OnDelete => {
                f.write_str("its update strategy is `OnDelete`, so its pods stay as they are")
            }
            Self::Gone => f.write_str("it was deleted"),
        }
    }
}
