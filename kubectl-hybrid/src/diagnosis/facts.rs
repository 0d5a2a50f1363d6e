//! What is known about a workspace, as plain data. Gathered once, judged by the checks.

use std::time::Duration;

use jiff::Timestamp;

use crate::cluster::NamespaceState;
use crate::cluster::guard::{Admitted, Refused};
use crate::cluster::pull_secret::PullSecretView;
use crate::cluster::trouble::Trouble;
use crate::cluster::workload::{WorkloadRef, WorkloadState};

/// A fact, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known<T> {
    /// It is known.
    Known(T),
    /// It was asked for and could not be had.
    Unknown {
        /// Why, as one sentence.
        reason: String,
        /// What to do next, when that is known.
        hint: Option<String>,
    },
    /// It was not asked for: another fact was missing, or nobody wanted it.
    NotAsked,
}

impl<T> Known<T> {
    /// A fact that could not be had.
    pub fn unknown(reason: impl Into<String>, hint: Option<String>) -> Self {
        Self::Unknown {
            reason: reason.into(),
            hint,
        }
    }

    /// The fact, when it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(fact) => Some(fact),
            Self::Unknown { .. } | Self::NotAsked => None,
        }
    }
}

/// Everything that the checks look at.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The moment at which they were gathered.
    pub now: Timestamp,
    /// The workspace, for fix commands.
    pub workspace: String,
    /// The Docker engine.
    pub engine: Known<EngineFacts>,
    /// The AWS identity.
    pub identity: Known<IdentityFacts>,
    /// The Terraform contract.
    pub contract: Known<ContractFacts>,
    /// The locks on the Terraform state.
    pub locks: Known<Vec<LockFacts>>,
    /// The kube context.
    pub context: Known<ContextFacts>,
    /// What the API server says.
    pub cluster: Known<ClusterFacts>,
}

/// The Docker engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineFacts {
    /// Its version.
    pub version: String,
    /// Its platform, for example `linux/arm64`.
    pub platform: String,
    /// The Docker context.
    pub context: String,
}

/// The AWS identity that calls are made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFacts {
    /// Its ARN.
    pub arn: String,
    /// Its account.
    pub account: String,
    /// Where it comes from, for example `profile dev`.
    pub source: String,
}

/// The Terraform contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractFacts {
    /// The workspace that wrote it.
    pub workspace: String,
    /// Where it was read from.
    pub source: String,
    /// The account of the registry.
    pub account: String,
    /// The registry's host.
    pub registry: String,
    /// The names of the services.
    pub services: Vec<String>,
}

/// A lock on the Terraform state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockFacts {
    /// Its id.
    pub id: String,
    /// Where it is: a table, or a lock file.
    pub place: String,
    /// Who holds it.
    pub who: String,
    /// What for.
    pub operation: String,
    /// Since when.
    pub created: Option<Timestamp>,
    /// What is known about the holder, in words.
    pub holder: String,
    /// Whether the holder was on this machine and does not run any more.
    pub holder_is_dead: bool,
}

/// The kube context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextFacts {
    /// Its name.
    pub context: String,
    /// The URL of its API server.
    pub server: String,
    /// What the guard says.
    pub judgement: Result<Admitted, Refused>,
}

/// What the API server says.
#[derive(Debug, Clone)]
pub struct ClusterFacts {
    /// Its version.
    pub version: String,
    /// The namespace of the workspace.
    pub namespace: String,
    /// Whether the namespace exists.
    pub namespace_state: Known<NamespaceState>,
    /// The name of the pull secret.
    pub pull_secret_name: String,
    /// The pull secret. `None` inside when there is none.
    pub pull_secret: Known<Option<PullSecretView>>,
    /// The service account of the workloads.
    pub service_account: String,
    /// Whether it names the pull secret. `None` inside when there is no such account.
    pub service_account_names_secret: Known<Option<bool>>,
    /// The workloads of the services.
    pub workloads: Vec<WorkloadFacts>,
}

/// The workload of a service.
#[derive(Debug, Clone)]
pub struct WorkloadFacts {
    /// The service.
    pub service: String,
    /// Its workload.
    pub workload: WorkloadRef,
    /// The container that runs the service's image.
    pub container: String,
    /// The workload's state. `None` inside when it does not exist.
    pub state: Known<Option<WorkloadState>>,
    /// Its pods.
    pub pods: Known<Vec<PodFacts>>,
}

/// A pod of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFacts {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// The pull secrets that it names.
    pub pull_secrets: Vec<String>,
    /// What keeps it from running.
    pub troubles: Vec<Trouble>,
    /// The last lines of the container that crashed.
    pub last_words: Vec<String>,
}

/// A login that ends sooner than this is worth a warning.
pub(super) const SOON: Duration = Duration::from_hours(1);
