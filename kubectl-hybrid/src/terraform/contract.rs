//! The contract of one workspace: from the state object when the guards hold, else from Terraform.

use std::path::Path;

use super::access::{Access, LoadAws};
use super::backend::{self, Backend, BackendError, S3Backend};
use super::cache::Cache;
use super::cli::{self, CliError};
use super::keys::Workspace;
use super::root::Root;
use super::state::{self, StateError, StateFacts, StateRead};
use crate::project::config::{BackendConfig, ContractSource};
use crate::project::contract::{Contract, ContractError};

/// What to read, and how.
#[derive(Clone, Copy)]
pub struct ReadRequest<'a> {
    /// The Terraform folder. Without one, `backend` says where the state is.
    pub root: Option<&'a Root>,
    /// The backend as hybrid.toml has it, when it does.
    pub backend: Option<&'a BackendConfig>,
    /// The workspace.
    pub workspace: &'a Workspace,
    /// State, CLI, or the state where that is safe.
    pub source: ContractSource,
    /// The project that the contract must be of, when that is known.
    pub project: Option<&'a str>,
    /// Where contracts are kept between runs.
    pub cache_dir: Option<&'a Path>,
    /// Makes the AWS configuration.
    pub load_aws: &'a LoadAws,
}

/// Where a contract came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provenance {
    /// The state object.
    State(StateFacts),
    /// `terraform output -json`.
    Cli {
        /// Why the state was not read directly; `None` when the CLI was asked for.
        because: Option<String>,
    },
}

/// A contract and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractRead {
    /// The contract.
    pub contract: Contract,
    /// Where it came from.
    pub provenance: Provenance,
}

/// Why there is no contract.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The backend is not known.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// Terraform cannot be asked.
    #[error(transparent)]
    Cli(#[from] CliError),
    /// Only Terraform can read this, and it was not to be asked or there is no folder.
    #[error("only Terraform can read this state: {because}")]
    NeedsTerraform {
        /// What stands in the way.
        because: String,
    },
    /// Nothing was applied in the workspace.
    #[error("the Terraform workspace `{0}` is empty: nothing was applied in it")]
    NothingApplied(Workspace),
    /// There is a state, but not one of ours.
    #[error(
        "the state of Terraform workspace `{workspace}` has no output `hybrid` \
         (other outputs: {others})"
    )]
    NoOutput {
        /// The workspace.
        workspace: Workspace,
        /// How many outputs there are instead.
        others: usize,
    },
    /// The output is not a contract.
    #[error("workspace `{workspace}`: {source}")]
    Contract {
        /// The workspace.
        workspace: Workspace,
        /// What is wrong with it.
        source: ContractError,
    },
    /// The contract is of another project.
    #[error("the contract is of project `{found}`, hybrid.toml says `{expected}`")]
    OtherProject {
        /// The contract's.
        found: String,
        /// The one that was expected.
        expected: String,
    },
    /// The contract was written by another workspace.
    #[error("the state of workspace `{expected}` holds the contract of workspace `{found}`")]
    OtherWorkspace {
        /// The contract's.
        found: String,
        /// The one that was read.
        expected: Workspace,
    },
}

impl ReadError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Backend(error) => error.hint(),
            Self::State(error) => return error.hint(),
            Self::Cli(error) => return error.hint(),
            Self::NeedsTerraform { .. } => {
                "Set `source = \"auto\"` and `dir` in the table [terraform] of hybrid.toml."
                    .to_owned()
            }
            Self::NothingApplied(_) => "Run `terraform apply` in it first.".to_owned(),
            Self::NoOutput { .. } => "Check the backend's bucket and key: this may be the state \
                of something else. Else declare the output `hybrid` and run `terraform apply`."
                .to_owned(),
            Self::Contract { source, .. } => source.hint().to_owned(),
            Self::OtherProject { .. } | Self::OtherWorkspace { .. } => {
                "Check the backend's bucket and key, and the outputs of the root module.".to_owned()
            }
        })
    }

    /// Whether it is about who is asking.
    #[must_use]
    pub fn is_authentication(&self) -> bool {
        match self {
            Self::State(StateError::Aws(error)) => error.cause().is_authentication(),
            Self::State(StateError::Denied { .. }) => true,
            _ => false,
        }
    }
}

/// Reads the contract. Nothing is created, locked or changed, neither in AWS nor on disk but for
/// the cache.
pub async fn read(request: &ReadRequest<'_>) -> Result<ContractRead, ReadError> {
    if request.source == ContractSource::Cli {
        return from_cli(request, None).await;
    }
    let because = match backend::locate(request.root, request.backend)? {
        Backend::Other { kind } => format!("its backend is `{kind}`"),
        Backend::S3(backend) => match only_terraform(request, &backend) {
            Some(setting) => format!("its backend uses `{setting}`"),
            None => match from_state(request, &backend).await {
                Err(ReadError::State(error)) if error.needs_terraform() => error.to_string(),
                result => return result,
            },
        },
    };
    if request.source == ContractSource::State || request.root.is_none() {
        return Err(ReadError::NeedsTerraform { because });
    }
    from_cli(request, Some(because)).await
}

/// A key for encryption may also come from the environment.
fn only_terraform(request: &ReadRequest<'_>, backend: &S3Backend) -> Option<&'static str> {
    let from_environment = request.root.is_some_and(|root| root.env().encrypts);
    backend
        .only_terraform
        .or_else(|| from_environment.then_some("AWS_SSE_CUSTOMER_KEY"))
}

async fn from_state(
    request: &ReadRequest<'_>,
    backend: &S3Backend,
) -> Result<ContractRead, ReadError> {
    let access = Access::open(backend, request.load_aws).await;
    let address = backend.address(request.workspace);
    let cache = Cache::new(request.cache_dir, access.endpoint.as_deref(), &address);
    let StateRead {
        facts,
        output,
        other_outputs,
        resources,
    } = state::read(&access, backend, request.workspace, &cache).await?;
    let workspace = request.workspace.clone();
    let Some(output) = output else {
        return Err(match (other_outputs, resources) {
            (0, 0) => ReadError::NothingApplied(workspace),
            (others, _) => ReadError::NoOutput { workspace, others },
        });
    };
    let contract = checked(request, &output)?;
    let provenance = Provenance::State(facts);
    Ok(ContractRead {
        contract,
        provenance,
    })
}

async fn from_cli(
    request: &ReadRequest<'_>,
    because: Option<String>,
) -> Result<ContractRead, ReadError> {
    let root = request.root.ok_or(BackendError::Nowhere)?;
    let workspace = request.workspace.clone();
    let contract = match cli::output(root, &workspace).await? {
        (Some(output), _) => checked(request, &output)?,
        (None, 0) => return Err(ReadError::NothingApplied(workspace)),
        (None, others) => return Err(ReadError::NoOutput { workspace, others }),
    };
    Ok(ContractRead {
        contract,
        provenance: Provenance::Cli { because },
    })
}

/// Typed, and of the project and workspace that were asked for.
fn checked(request: &ReadRequest<'_>, output: &serde_json::Value) -> Result<Contract, ReadError> {
    let contract = Contract::from_output(output).map_err(|source| ReadError::Contract {
        workspace: request.workspace.clone(),
        source,
    })?;
    if let Some(expected) = request
        .project
        .filter(|project| *project != contract.project)
    {
        return Err(ReadError::OtherProject {
            found: contract.project,
            expected: expected.to_owned(),
        });
    }
    if contract.workspace != request.workspace.as_str() {
        return Err(ReadError::OtherWorkspace {
            found: contract.workspace,
            expected: request.workspace.clone(),
        });
    }
    Ok(contract)
}
