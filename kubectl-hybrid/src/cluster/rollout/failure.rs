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
    /// Its namespace is being deleted.
    NamespaceGone,
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
            FailureCause::NotCreated { message } => not_created_hint(message, workload),
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
            FailureCause::NamespaceGone => format!(
                "wait until `kubectl get namespace {namespace}` finds nothing, then make it again \
                 with `terraform apply`"
            ),
        }
    }
}

fn pod_hint(trouble: &Trouble, namespace: &str) -> String {
    let pod = &trouble.pod;
    match &trouble.cause {
        Cause::Pull { fault } if fault.is_about_credentials() => {
            "refresh the pull secret with `kubectl hybrid regcred sync --force`, or see the evidence with \
             `kubectl hybrid doctor`"
                .to_owned()
        }
        Cause::Pull { .. } => "see the evidence with `kubectl hybrid doctor`".to_owned(),
        Cause::Crash { .. } | Cause::OutOfMemory { .. } | Cause::Probe { .. } => {
            format!("see all it wrote: `{}`", trouble.logs_command())
        }
        Cause::MissingConfig => format!(
            "make the missing object, and the pod goes on by itself; there is: \
             `kubectl -n {namespace} get secrets,configmaps,pvc`"
        ),
        _ => format!("see `kubectl -n {namespace} describe pod {pod}`"),
    }
}

fn not_created_hint(message: &str, workload: &WorkloadRef) -> String {
    let namespace = &workload.namespace;
    if message.contains("exceeded quota") {
        format!("see what uses it up: `kubectl -n {namespace} describe quota`")
    } else if message.contains("serviceaccount") {
        format!(
            "make it with `terraform apply`; there is: `kubectl -n {namespace} get serviceaccounts`"
        )
    } else if message.contains("violates PodSecurity") || message.contains("denied") {
        format!("the rule refuses the pod template of {workload}: mend it in Terraform and apply")
    } else {
        format!("see `kubectl -n {namespace} describe {workload}`")
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
                f.write_str(&trouble.sentence())?;
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
            Self::NamespaceGone => f.write_str("its namespace is being deleted"),
        }
    }
}
