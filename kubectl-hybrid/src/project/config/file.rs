//! The keys of `hybrid.toml`, as types. The schema, the suggestions and the reference come from
//! here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;

/// The keys of `hybrid.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(title = "hybrid.toml")]
pub struct ConfigFile {
    /// The project's name. It must be the contract's.
    pub project: Option<String>,
    /// Folders of this repository that have a `hybrid.toml` of their own. `--project` chooses one.
    #[serde(default)]
    pub projects: Vec<PathBuf>,
    /// The workspace when neither `--workspace` nor `HYBRID_WORKSPACE` says.
    pub workspace: Option<String>,
    /// Where the Terraform root is.
    #[serde(default)]
    pub terraform: TerraformConfig,
    /// Which cluster is deployed to.
    #[serde(default)]
    pub cluster: ClusterConfig,
    /// How images are built.
    #[serde(default)]
    pub build: BuildConfig,
    /// How workloads are rolled out.
    #[serde(default)]
    pub deploy: DeployConfig,
    /// Commands that run before and after.
    #[serde(default)]
    pub hooks: HooksConfig,
    /// How each service is built, by its name in the contract.
    #[serde(default)]
    pub services: BTreeMap<String, ServiceConfig>,
    /// What differs by workspace, by the workspace's name.
    #[serde(default)]
    pub workspaces: BTreeMap<String, WorkspaceConfig>,
}

/// The table `[terraform]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct TerraformConfig {
    /// The root folder, relative to `hybrid.toml`. Default: `terraform`.
    pub dir: Option<PathBuf>,
    /// The program: `terraform`, `tofu` or a path.
    pub binary: Option<PathBuf>,
    /// Where the contract is read.
    pub source: Option<ContractSource>,
    /// The S3 backend, for a checkout where `terraform init` never ran.
    pub backend: Option<BackendConfig>,
}

/// Where the contract is read.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum ContractSource {
    /// The state object when it can be read safely, else the CLI.
    #[default]
    Auto,
    /// The state object or nothing.
    State,
    /// `terraform output -json`.
    Cli,
}

/// The table `[terraform.backend]`: the S3 backend's own words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct BackendConfig {
    /// The state bucket.
    pub bucket: String,
    /// The state's key.
    pub key: String,
    /// The bucket's region.
    pub region: Option<String>,
    /// The lock table.
    pub dynamodb_table: Option<String>,
    /// Whether a lock file is used.
    pub use_lockfile: Option<bool>,
    /// The prefix of workspaces. Default: `env:`.
    pub workspace_key_prefix: Option<String>,
    /// The AWS profile.
    pub profile: Option<String>,
}

/// The table `[cluster]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct ClusterConfig {
    /// The kubeconfig context. Default: the current one.
    pub context: Option<String>,
    /// The namespace, instead of the contract's.
    pub namespace: Option<String>,
    /// Platforms that the nodes run by emulation, for example `linux/amd64`. Images for any other
    /// platform than the nodes' are refused.
    pub emulates: Option<Vec<String>>,
}

/// The table `[build]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct BuildConfig {
    /// Builds at a time. Default: 8.
    #[schemars(range(min = 1))]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// The platform of every service that names none, for example `linux/arm64`. Default: the
    /// nodes'.
    pub platform: Option<String>,
    /// Build arguments of every service. A service's own argument of the same name wins.
    #[serde(default)]
    pub args: BTreeMap<String, String>,
}

/// The table `[deploy]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct DeployConfig {
    /// How workloads get the new image. Default: `digest`.
    pub strategy: Option<RollOutStrategy>,
    /// How long a roll-out may take. Default: `5m`.
    pub timeout: Option<Span>,
}

/// How workloads get the new image.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum RollOutStrategy {
    /// Pin the image to its digest.
    Digest,
    /// Move the workspace's tag and restart.
    Restart,
}

impl std::fmt::Display for RollOutStrategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Digest => "digest",
            Self::Restart => "restart",
        })
    }
}

/// The table `[hooks]`: commands for the system's shell, run one after the other in the folder of
/// `hybrid.toml`. The first that fails ends the deploy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct HooksConfig {
    /// Before the sources are read: what they make is built.
    pub before_build: Option<Vec<String>>,
    /// After every image is in the registry, when one was built.
    pub after_build: Option<Vec<String>>,
    /// Before the cluster is changed.
    pub before_deploy: Option<Vec<String>>,
    /// After every service is ready.
    pub after_deploy: Option<Vec<String>>,
}

impl HooksConfig {
    /// The lists by their keys.
    pub fn all(&self) -> [(&'static str, &[String]); 4] {
        [
            (
                "before_build",
                self.before_build.as_deref().unwrap_or_default(),
            ),
            (
                "after_build",
                self.after_build.as_deref().unwrap_or_default(),
            ),
            (
                "before_deploy",
                self.before_deploy.as_deref().unwrap_or_default(),
            ),
            (
                "after_deploy",
                self.after_deploy.as_deref().unwrap_or_default(),
            ),
        ]
    }
}

/// A table `[services.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct ServiceConfig {
    /// The build context, relative to `hybrid.toml`. Default: the service's name.
    pub context: Option<PathBuf>,
    /// The Dockerfile, relative to `hybrid.toml`. Default: `Dockerfile` in the context.
    pub dockerfile: Option<PathBuf>,
    /// The build stage.
    pub target: Option<String>,
    /// The platform, for example `linux/arm64`. Default: the nodes'.
    pub platform: Option<String>,
    /// Build arguments.
    #[serde(default)]
    pub args: BTreeMap<String, String>,
    /// Secrets for `RUN --mount=type=secret`, in Docker's words: `id=npm,src=.npmrc` or
    /// `id=npm,env=NPM_TOKEN`. Never a value.
    pub secrets: Option<Vec<String>>,
    /// SSH agents or keys for `RUN --mount=type=ssh`, in Docker's words: `default`.
    pub ssh: Option<Vec<String>>,
    /// Caches that the build reads, in Docker's words: `type=registry,ref=…`.
    pub cache_from: Option<Vec<String>>,
    /// Caches that the build writes, in Docker's words.
    pub cache_to: Option<Vec<String>>,
}

/// A table `[workspaces.NAME]`: what differs in this workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct WorkspaceConfig {
    /// Contexts that this workspace may be deployed to beside the local ones.
    #[serde(default)]
    pub contexts: Vec<String>,
    /// As `[cluster]`.
    #[serde(default)]
    pub cluster: ClusterConfig,
    /// As `[build]`.
    #[serde(default)]
    pub build: BuildConfig,
    /// As `[deploy]`.
    #[serde(default)]
    pub deploy: DeployConfig,
    /// As `[hooks]`: a list replaces the one for all workspaces, and an empty one switches it off.
    #[serde(default)]
    pub hooks: HooksConfig,
    /// As `[services.NAME]`.
    #[serde(default)]
    pub services: BTreeMap<String, ServiceConfig>,
}
