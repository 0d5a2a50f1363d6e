//! The Terraform contract: the one output `hybrid`, as types.
//!
//! Unknown fields are tolerated, so that a newer configuration works with an older tool as long as
//! `schema_version` stays the same.

mod parse;
#[cfg(test)]
mod schema;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use parse::{ContractError, OUTPUT};

/// The version of the contract that this tool reads.
pub const SCHEMA_VERSION: u64 = 1;

/// The value of the Terraform output `hybrid`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Contract {
    /// Always [`SCHEMA_VERSION`] once parsed.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA_VERSION)))]
    pub schema_version: u64,
    /// The project that the resources are named after.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub project: String,
    /// The environment, for example `dev`. Several workspaces may share one.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub environment: String,
    /// The Terraform workspace that wrote this contract.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub workspace: String,
    /// Where the images are.
    pub aws: Aws,
    /// How the state is locked.
    pub state: State,
    /// Where the workloads run.
    pub cluster: Cluster,
    /// The services by name.
    pub services: BTreeMap<String, Service>,
}

/// The AWS side of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Aws {
    /// Twelve digits.
    #[cfg_attr(test, schemars(regex(pattern = r"^[0-9]{12}$")))]
    pub account_id: String,
    /// The region of the registry.
    #[cfg_attr(test, schemars(regex(pattern = r"^[a-z0-9]+(-[a-z0-9]+){2,}$")))]
    pub region: String,
    /// The registry's host name.
    #[cfg_attr(test, schemars(regex(pattern = r"^[-a-z0-9]+(\.[-a-z0-9]+)+$")))]
    pub registry: String,
    /// The role whose token may only pull, when there is one.
    #[serde(default)]
    pub pull_role_arn: Option<String>,
}

/// How the Terraform state is locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct State {
    /// Which of the two lock places are in use.
    pub lock: LockKind,
    /// The DynamoDB table, when there is one.
    #[serde(default)]
    pub lock_table: Option<String>,
}

/// The lock places of Terraform's S3 backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LockKind {
    /// A row in a DynamoDB table.
    Dynamodb,
    /// A lock file beside the state object.
    Lockfile,
    /// Both at once.
    Both,
    /// No lock at all.
    None,
}

/// The cluster side of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Cluster {
    /// The namespace of the workspace.
    #[cfg_attr(test, schemars(regex(pattern = schema::LABEL)))]
    pub namespace: String,
    /// The name of the pull secret.
    #[serde(default = "default_pull_secret")]
    #[cfg_attr(test, schemars(length(max = 253), regex(pattern = schema::SUBDOMAIN)))]
    pub pull_secret: String,
    /// The service account of the workloads.
    #[serde(default = "default_service_account")]
    #[cfg_attr(test, schemars(length(max = 253), regex(pattern = schema::SUBDOMAIN)))]
    pub service_account: String,
    /// Contexts that are allowed beside the local ones.
    #[serde(default)]
    pub contexts: Vec<String>,
}

/// One service of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Service {
    /// The repository's name, without the registry.
    #[cfg_attr(test, schemars(length(min = 2, max = 256), regex(pattern = schema::REPOSITORY)))]
    pub repository: String,
    /// The repository's URL: `REGISTRY/REPOSITORY`.
    pub repository_url: String,
    /// Whether a tag may be moved.
    #[serde(default)]
    pub tag_mutability: TagMutability,
    /// The workload that runs the image.
    pub workload: Workload,
    /// The Kubernetes Service in front of it, when there is one.
    #[serde(default)]
    pub service: Option<Port>,
}

/// Whether ECR lets a tag be pushed again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TagMutability {
    /// A tag may be moved.
    Mutable,
    /// A tag stays where it was pushed first.
    #[default]
    Immutable,
}

/// The workload of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Workload {
    /// The kind.
    #[serde(default)]
    pub kind: WorkloadKind,
    /// The workload's name.
    #[cfg_attr(test, schemars(length(max = 253), regex(pattern = schema::SUBDOMAIN)))]
    pub name: String,
    /// The container that runs the image.
    #[cfg_attr(test, schemars(regex(pattern = schema::LABEL)))]
    pub container: String,
    /// The namespace, when it is not the workspace's.
    #[serde(default)]
    pub namespace: Option<String>,
}

/// The kinds of workload that can be rolled.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum WorkloadKind {
    /// `apps/v1` Deployment.
    #[default]
    Deployment,
    /// `apps/v1` StatefulSet.
    StatefulSet,
    /// `apps/v1` DaemonSet.
    DaemonSet,
}

/// The Kubernetes Service of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Port {
    /// The Service's name.
    #[cfg_attr(test, schemars(regex(pattern = schema::LABEL)))]
    pub name: String,
    /// The port of the Service and of the container.
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub port: u16,
    /// The port on the node, for a Service of type NodePort.
    #[serde(default)]
    #[cfg_attr(test, schemars(range(min = 1)))]
    pub node_port: Option<u16>,
}

fn default_pull_secret() -> String {
    "regcred".to_owned()
}

fn default_service_account() -> String {
    "default".to_owned()
}
