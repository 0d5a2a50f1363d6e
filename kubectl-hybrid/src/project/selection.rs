//! From configuration, contract and flags to one [`Project`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ecr_hybrid::host::Registry;

use super::config::{Config, ServiceConfig};
use super::contract::{Contract, Port, TagMutability, Workload};
use crate::cluster::WorkloadRef;

/// What is deployed where.
#[derive(Debug, Clone)]
pub struct Project {
    /// The project's name.
    pub name: String,
    /// The Terraform workspace.
    pub workspace: String,
    /// The environment that the workspace belongs to.
    pub environment: String,
    /// The registry that holds the images.
    pub registry: Registry,
    /// The AWS account of the registry.
    pub account: String,
    /// The region of the registry.
    pub region: String,
    /// The role for the cluster's own token, when there is one.
    pub pull_role_arn: Option<String>,
    /// The namespace of the workloads.
    pub namespace: String,
    /// The pull secret's name.
    pub pull_secret: String,
    /// The service account of the workloads.
    pub service_account: String,
    /// Contexts that are allowed beside the local ones.
    pub contexts: Vec<String>,
    /// The selected services, by name.
    pub services: Vec<Service>,
}

/// One service: its image, its workload and its sources.
#[derive(Debug, Clone)]
pub struct Service {
    /// The name in contract and configuration.
    pub name: String,
    /// The repository without the registry.
    pub repository: String,
    /// `REGISTRY/REPOSITORY`.
    pub repository_url: String,
    /// Whether the moving workspace tag may be pushed.
    pub tag_mutability: TagMutability,
    /// The workload that runs the image.
    pub workload: WorkloadRef,
    /// The container in it.
    pub container: String,
    /// Containers of the same workload that other services of the contract fill.
    pub claimed: Vec<String>,
    /// The Kubernetes Service in front of it.
    pub port: Option<Port>,
    /// Where it is built from; `None` when there are no sources here.
    pub build: Option<Build>,
}

/// The sources of a service, with paths resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The build context.
    pub context: PathBuf,
    /// The Dockerfile.
    pub dockerfile: PathBuf,
    /// The build stage.
    pub target: Option<String>,
    /// The platform.
    pub platform: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// `--secret` specifications.
    pub secrets: Vec<String>,
    /// `--ssh` specifications.
    pub ssh: Vec<String>,
    /// `--cache-from` specifications.
    pub cache_from: Vec<String>,
    /// `--cache-to` specifications.
    pub cache_to: Vec<String>,
}

/// Why configuration, contract and flags do not make a project.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// `hybrid.toml` and the contract speak of different projects.
    #[error("{path} is of project `{configured}` but the contract of workspace `{workspace}` is of project `{contracted}`", path = .path.display())]
    OtherProject {
        /// The configuration file.
        path: PathBuf,
        /// The name in the file.
        configured: String,
        /// The workspace.
        workspace: String,
        /// The name in the contract.
        contracted: String,
    },
    /// A service that the contract does not know.
    #[error("there is no service `{service}` in workspace `{workspace}`; it has {known}")]
    UnknownService {
        /// The name that was asked for.
        service: String,
        /// The workspace.
        workspace: String,
        /// The names that there are.
        known: String,
    },
    /// The contract's registry is not one of ECR.
    #[error("the contract's registry `{0}` is not an ECR host name")]
    NotEcr(String),
    /// A service has no sources.
    #[error("service `{service}` has no Dockerfile: {path} does not exist", path = .path.display())]
    NoDockerfile {
        /// The service.
        service: String,
        /// Where it should be.
        path: PathBuf,
    },
}

impl ProjectError {
    /// What to do next.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::OtherProject { .. } => {
                Some("set [terraform] dir to the root of this project, or mend `project`")
            }
            Self::UnknownService { .. } => {
                Some("a new service is added to Terraform first, then applied")
            }
            Self::NotEcr(_) => None,
            Self::NoDockerfile { .. } => {
                Some("set `context` or `dockerfile` of the service in hybrid.toml")
            }
        }
    }
}

impl Project {
    /// Puts configuration and contract together for the services named in `wanted`, or for all.
    ///
    /// # Errors
    /// [`ProjectError`] when they contradict each other or a service is unknown.
    pub fn select(
        config: &Config,
        contract: Contract,
        wanted: &[String],
    ) -> Result<Self, ProjectError> {
        if let Some(configured) = &config.file.project
            && *configured != contract.project
        {
            return Err(ProjectError::OtherProject {
                path: config.path.clone(),
                configured: configured.clone(),
                workspace: contract.workspace,
                contracted: contract.project,
            });
        }
        let of_workspace = config
            .of_workspace(&contract.workspace)
            .into_iter()
            .flat_map(|table| table.services.keys());
        let configured = config.file.services.keys().chain(of_workspace);
        let asked_for = wanted.iter().chain(configured);
        for name in asked_for {
            if !contract.services.contains_key(name) {
                let known: Vec<_> = contract
                    .services
                    .keys()
                    .map(|name| format!("`{name}`"))
                    .collect();
                return Err(ProjectError::UnknownService {
                    service: name.clone(),
                    workspace: contract.workspace,
                    known: if known.is_empty() {
                        "none".to_owned()
                    } else {
                        known.join(", ")
                    },
                });
            }
        }
        let registry = Registry::parse(&contract.aws.registry)
            .ok_or_else(|| ProjectError::NotEcr(contract.aws.registry.clone()))?;
        let namespace = contract.cluster.namespace;
        let workspace = &contract.workspace;
        let places: Vec<Workload> = contract
            .services
            .values()
            .map(|service| service.workload.clone())
            .collect();
        let claimed = |workload: &Workload| {
            places
                .iter()
                .filter(|other| {
                    (other.kind, &other.name, &other.namespace)
                        == (workload.kind, &workload.name, &workload.namespace)
                        && other.container != workload.container
                })
                .map(|other| other.container.clone())
                .collect()
        };
        let services = contract
            .services
            .into_iter()
            .filter(|(name, _)| wanted.is_empty() || wanted.contains(name))
            .map(|(name, service)| Service {
                build: Build::resolve(config, workspace, &name),
                claimed: claimed(&service.workload),
                repository: service.repository,
                repository_url: service.repository_url,
                tag_mutability: service.tag_mutability,
                workload: WorkloadRef {
                    kind: service.workload.kind,
                    namespace: service
                        .workload
                        .namespace
                        .unwrap_or_else(|| namespace.clone()),
                    name: service.workload.name,
                },
                container: service.workload.container,
                port: service.service,
                name,
            })
            .collect();
        let mut contexts = contract.cluster.contexts;
        contexts.extend_from_slice(config.contexts(&contract.workspace));
        Ok(Self {
            name: contract.project,
            workspace: contract.workspace,
            environment: contract.environment,
            registry,
            account: contract.aws.account_id,
            region: contract.aws.region,
            pull_role_arn: contract.aws.pull_role_arn,
            namespace,
            pull_secret: contract.cluster.pull_secret,
            service_account: contract.cluster.service_account,
            contexts,
            services,
        })
    }

    /// The namespaces that the selected services run in, each once, the project's own first.
    pub fn namespaces(&self) -> Vec<&str> {
        let mut namespaces = vec![self.namespace.as_str()];
        for service in &self.services {
            if !namespaces.contains(&service.workload.namespace.as_str()) {
                namespaces.push(&service.workload.namespace);
            }
        }
        namespaces
    }
}

impl Service {
    /// The sources.
    ///
    /// # Errors
    /// [`ProjectError::NoDockerfile`] when there are none here.
    pub fn sources(&self, config: &Config, workspace: &str) -> Result<&Build, ProjectError> {
        self.build.as_ref().ok_or_else(|| {
            let table = config.file.service(workspace, &self.name);
            ProjectError::NoDockerfile {
                service: self.name.clone(),
                path: Build::dockerfile_of(config, &self.name, &table),
            }
        })
    }
}

impl Build {
    /// The sources of service `name`, or `None` when there is no Dockerfile.
    fn resolve(config: &Config, workspace: &str, name: &str) -> Option<Self> {
        let table = config.file.service(workspace, name);
        let dockerfile = Self::dockerfile_of(config, name, &table);
        if !dockerfile.is_file() {
            return None;
        }
        Some(Self {
            context: Self::context_of(config, name, &table),
            dockerfile,
            target: table.target,
            platform: table.platform,
            args: table.args,
            secrets: table.secrets.unwrap_or_default(),
            ssh: table.ssh.unwrap_or_default(),
            cache_from: table.cache_from.unwrap_or_default(),
            cache_to: table.cache_to.unwrap_or_default(),
        })
    }

    fn context_of(config: &Config, name: &str, table: &ServiceConfig) -> PathBuf {
        let context = table.context.as_deref().unwrap_or(Path::new(name));
        config.root.join(context)
    }

    fn dockerfile_of(config: &Config, name: &str, table: &ServiceConfig) -> PathBuf {
        match &table.dockerfile {
            Some(dockerfile) => config.root.join(dockerfile),
            None => Self::context_of(config, name, table).join("Dockerfile"),
        }
    }
}
