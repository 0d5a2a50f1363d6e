//! The cluster: client, guard, pull secret, workloads and roll-outs.

pub mod changes;
pub mod client;
pub mod error;
#[cfg(test)]
pub(crate) mod fake;
pub mod fingerprint;
pub mod guard;
pub mod keyring;
mod kubeconfig;
pub mod listing;
pub mod namespaces;
pub mod nodes;
pub mod patience;
pub mod pods;
mod proxy;
pub mod pull_secret;
pub mod rollout;
pub mod service_account;
pub mod trouble;
pub mod workload;

pub use client::{Cluster, ClusterOptions, NamespaceState};
pub use error::ClusterError;
pub use workload::WorkloadRef;

/// The name under which this tool writes: managed fields, labels, annotations.
pub const FIELD_MANAGER: &str = "kubectl-hybrid";

/// How many requests are under way at the same time when many namespaces are worked on.
pub const AT_A_TIME: usize = 16;

/// How many objects one page of a list holds.
pub(crate) const PAGE: u32 = 250;
