//! What the run needs to know.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::TerraformError;
use super::http::Endpoint;
use crate::sandbox::endpoints::{CONTEXT, WORKSPACE};
use crate::sandbox::supply::{Item, Supplies, SupplyError};
use crate::sandbox::{Environment, Layout};

/// Where everything is. All paths are absolute.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The project's `terraform` folder, which is only read.
    pub source: PathBuf,
    /// The copy that is applied; `bootstrap` is below it.
    pub root: PathBuf,
    /// The Terraform executable.
    pub terraform: PathBuf,
    /// The kubectl executable.
    pub kubectl: PathBuf,
    /// The mirror folder that holds `registry.terraform.io/hashicorp/aws`.
    pub aws_mirror: PathBuf,
    /// The mirror folder that holds `registry.terraform.io/hashicorp/kubernetes`.
    pub kubernetes_mirror: PathBuf,
    /// Terraform's own settings, written here; the environment's `TF_CLI_CONFIG_FILE`.
    pub cli_config: PathBuf,
    /// The kubeconfig of the sandbox's cluster.
    pub kubeconfig: PathBuf,
    /// Its context.
    pub context: String,
    /// The workspace, which is the environment as well.
    pub workspace: String,
    /// Everything that Terraform said.
    pub log: PathBuf,
    /// All variables of the children, and no others.
    pub env: Vec<(OsString, OsString)>,
}

impl Settings {
    /// The settings of a sandbox whose parts are at hand.
    pub fn new(
        layout: &Layout,
        environment: &Environment,
        supplies: &Supplies,
    ) -> Result<Self, SupplyError> {
        Ok(Self {
            source: crate::source_tree().join("terraform"),
            root: layout.terraform(),
            terraform: supplies.path(Item::Terraform)?.to_owned(),
            kubectl: supplies.path(Item::Kubectl)?.to_owned(),
            aws_mirror: supplies.path(Item::AwsProvider)?.to_owned(),
            kubernetes_mirror: supplies.path(Item::KubernetesProvider)?.to_owned(),
            cli_config: layout.terraform_cli_config(),
            kubeconfig: layout.kubeconfig(),
            context: CONTEXT.to_owned(),
            workspace: WORKSPACE.to_owned(),
            log: layout.log("terraform"),
            env: environment
                .vars()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        })
    }

    /// The folder of the configuration that makes bucket and table.
    pub(super) fn bootstrap(&self) -> PathBuf {
        self.root.join("bootstrap")
    }

    /// `TF_DATA_DIR` of the bootstrap configuration: the environment's belongs to the root.
    pub(super) fn bootstrap_data(&self) -> PathBuf {
        self.bootstrap().join(".terraform")
    }

    /// Says which copy was applied last.
    pub(super) fn marker(&self) -> PathBuf {
        self.root.join(".applied.sha256")
    }

    /// There while Terraform runs: it outlives a run that is killed.
    pub(super) fn unfinished(&self) -> PathBuf {
        self.root.join(".unfinished")
    }

    pub(super) fn backend_hcl(&self) -> PathBuf {
        self.root.join("backend.hcl")
    }

    pub(super) fn var(&self, name: &str) -> Option<&OsStr> {
        self.env
            .iter()
            .rfind(|(known, _)| known == name)
            .map(|(_, value)| value.as_os_str())
    }

    /// Where the children find the AWS API.
    pub(super) fn endpoint(&self) -> Result<Endpoint, TerraformError> {
        let value = self.var("AWS_ENDPOINT_URL").unwrap_or_default();
        value
            .to_str()
            .and_then(Endpoint::parse)
            .ok_or_else(|| TerraformError::Endpoint {
                value: value.to_string_lossy().into_owned(),
            })
    }
}
