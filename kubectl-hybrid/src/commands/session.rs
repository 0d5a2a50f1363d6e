//! What the commands share: configuration, workspace, contract, cluster and guard.

use std::path::{Path, PathBuf};
use std::time::Duration;

use directories::ProjectDirs;

use super::settings;
use crate::cli::Global;
use crate::cluster::guard::{self, Admitted};
use crate::cluster::{Cluster, ClusterOptions};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::project::config::{Config, ContractSource, Origin};
use crate::project::{Project, ProjectError};
use crate::terraform::access::load_aws;
use crate::terraform::contract::{self, ContractRead, ReadRequest};
use crate::terraform::keys::Workspace;
use crate::terraform::root::{Root, TerraformEnv};
use crate::terraform::workspaces;
use crate::ui::Ui;

/// One run of a command.
pub(super) struct Session<'a> {
    /// The flags, and where nobody gave one what `hybrid.toml` says.
    pub global: Global,
    /// Where to speak.
    pub ui: &'a Ui,
    /// `hybrid.toml`.
    pub config: Config,
    /// The Terraform root. It may be absent when `hybrid.toml` names the backend.
    pub root: Option<Root>,
    /// The workspace.
    pub workspace: Workspace,
    /// What chose the workspace.
    pub workspace_origin: Origin,
}

impl<'a> Session<'a> {
    /// Finds configuration, Terraform root and workspace. No network.
    pub(super) fn open(global: &Global, ui: &'a Ui) -> Result<Self, CommandError> {
        let session = Self::open_anywhere(global, ui)?;
        if session.is_nowhere() {
            return Err(
                CommandError::new(Exit::Usage, "no workspace is chosen").hint(
                    "say -W NAME, or write one into hybrid.toml with `kubectl hybrid workspace use NAME`; `kubectl hybrid workspace list` shows the names",
                ),
            );
        }
        Ok(session)
    }

    /// Whether nobody chose a workspace: it is `default` then, which no contract is of.
    pub(super) fn is_nowhere(&self) -> bool {
        self.workspace.is_default() && self.workspace_origin == Origin::Default
    }

    /// The same for commands that need no workspace to be chosen.
    pub(super) fn open_anywhere(global: &Global, ui: &'a Ui) -> Result<Self, CommandError> {
        let config = match named_file(global) {
            Some(path) => Config::read(path),
            None => std::env::current_dir()
                .map_err(|error| CommandError::from_error(Exit::Unexpected, &error))
                .map(|folder| Config::find(&folder, global.project.as_deref()))?,
        }
        .map_err(|error| CommandError::from_error(Exit::Usage, &error).maybe_hint(error.hint()))?;
        let mut global = global.clone();
        settings::terraform(&mut global, &config);
        let dir = global
            .terraform_dir
            .clone()
            .unwrap_or_else(|| config.root.join("terraform"));
        let root = match Root::open(
            &dir,
            global.terraform_binary.as_deref(),
            TerraformEnv::from_process(),
        ) {
            Ok(root) => Some(root),
            Err(_) if config.file.terraform.backend.is_some() => None,
            Err(error) => {
                return Err(CommandError::from_error(Exit::Usage, &error)
                    .hint(error.hint())
                    .hint(
                        "name the folder with --terraform-dir or [terraform] dir in hybrid.toml",
                    ));
            }
        };
        let (workspace, workspace_origin) = chosen_workspace(&global, &config, root.as_ref())?;
        settings::cluster(&mut global, &config, workspace.as_str());
        Ok(Self {
            global,
            ui,
            config,
            root,
            workspace,
            workspace_origin,
        })
    }

    /// Reads the contract of the workspace.
    pub(super) async fn contract(&self) -> Result<ContractRead, CommandError> {
        let terraform = &self.config.file.terraform;
        let cache = ProjectDirs::from("", "", "kubectl-hybrid").map(|dirs| {
            std::env::var_os("HYBRID_CACHE_DIR")
                .map_or_else(|| dirs.cache_dir().to_owned(), PathBuf::from)
                .join("contracts")
        });
        contract::read(&ReadRequest {
            root: self.root.as_ref(),
            backend: terraform.backend.as_ref(),
            workspace: &self.workspace,
            source: self.global.terraform_source.unwrap_or(ContractSource::Auto),
            project: self.config.file.project.as_deref(),
            cache_dir: cache.as_deref(),
            load_aws: &load_aws,
        })
        .await
        .map_err(|error| {
            let exit = if error.is_authentication() {
                Exit::AwsAuthentication
            } else {
                Exit::Usage
            };
            CommandError::from_error(exit, &error).maybe_hint(error.hint())
        })
    }

    /// The project that configuration and contract make, for some services or for all.
    pub(super) fn project(
        &self,
        read: &ContractRead,
        services: &[String],
    ) -> Result<Project, CommandError> {
        let mut project = Project::select(&self.config, read.contract.clone(), services)
            .map_err(|error| usage(&error))?;
        if let Some(namespace) = &self.global.namespace {
            for service in &mut project.services {
                if service.workload.namespace == project.namespace {
                    service.workload.namespace.clone_from(namespace);
                }
            }
            project.namespace.clone_from(namespace);
        }
        Ok(project)
    }

    /// The cluster of the kubeconfig. No request is sent.
    pub(super) async fn cluster(&self) -> Result<Cluster, CommandError> {
        self.cluster_with(self.global.context.as_deref(), None)
            .await
    }

    /// The same, for watches: a server may be silent for this long.
    pub(super) async fn patient_cluster(&self, silence: Duration) -> Result<Cluster, CommandError> {
        self.cluster_with(self.global.context.as_deref(), Some(silence))
            .await
    }

    /// The same of a context, as the kubeconfig has it now.
    pub(super) async fn cluster_of(
        &self,
        context: &str,
        silence: Duration,
    ) -> Result<Cluster, CommandError> {
        self.cluster_with(Some(context), Some(silence)).await
    }

    async fn cluster_with(
        &self,
        context: Option<&str>,
        silence: Option<Duration>,
    ) -> Result<Cluster, CommandError> {
        Cluster::from_kubeconfig(&ClusterOptions {
            request_timeout: silence,
            kubeconfig: self.global.kubeconfig.clone(),
            context: context.map(str::to_owned),
            namespace: self.global.namespace.clone(),
            as_user: self.global.as_user.clone(),
            ..ClusterOptions::default()
        })
        .await
        .map_err(|error| CommandError::from_error(Exit::Usage, &error).maybe_hint(error.hint()))
    }
}

/// The file that is named, unless a flag names a project: a flag comes before a variable.
fn named_file(global: &Global) -> Option<&Path> {
    let by_flag = |id| matches!(settings::given(global, id), Some(Origin::Flag(_)));
    global
        .config
        .as_deref()
        .filter(|_| by_flag("config") || !by_flag("project"))
}

/// Lets a local or listed context pass, and refuses any other.
pub(super) fn guard(cluster: &Cluster, project: &Project) -> Result<Admitted, CommandError> {
    guard::judge(cluster.endpoint(), &project.contexts).map_err(|refused| {
        CommandError::from_error(Exit::Refused, &refused).hint(refused.hint(&project.workspace))
    })
}

/// An error of configuration or flags.
pub(super) fn usage(error: &ProjectError) -> CommandError {
    CommandError::from_error(Exit::Usage, error).maybe_hint(error.hint())
}

fn chosen_workspace(
    global: &Global,
    config: &Config,
    root: Option<&Root>,
) -> Result<(Workspace, Origin), CommandError> {
    let bad = |error| CommandError::from_error(Exit::Usage, &error);
    let given = settings::given(global, "workspace");
    let named = match (&global.workspace, &config.file.workspace) {
        (Some(name), _) => Some((name, given.unwrap_or(Origin::Default))),
        (None, Some(name)) => Some((name, Origin::File(String::new()))),
        (None, None) => None,
    };
    if let Some((name, origin)) = named {
        return Ok((Workspace::new(name.clone()).map_err(bad)?, origin));
    }
    let workspace = match root {
        Some(root) => workspaces::current(root).map_err(bad)?,
        None => Workspace::default_workspace(),
    };
    let origin = if workspace.is_default() {
        Origin::Default
    } else {
        Origin::Terraform
    };
    Ok((workspace, origin))
}
