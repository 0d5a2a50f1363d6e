//! The backend's configuration: from hybrid.toml, from what `terraform init` left, or from the
//! configuration itself, so that a fresh clone can be read without `init`.
//!
//! It may hold secrets (`access_key`, `sse_customer_key`). Their values are never kept.

mod locate;

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::keys::{DEFAULT_PREFIX, StateAddress, Workspace};
use crate::project::config::BackendConfig;

pub use locate::locate;

/// Settings that change who reads or how, and that this tool leaves to Terraform.
const LEFT_TO_TERRAFORM: [&str; 21] = [
    "access_key",
    "secret_key",
    "token",
    "sse_customer_key",
    "assume_role_with_web_identity",
    "assume_role_policy",
    "assume_role_policy_arns",
    "assume_role_tags",
    "assume_role_transitive_tag_keys",
    "shared_config_files",
    "shared_credentials_file",
    "shared_credentials_files",
    "custom_ca_bundle",
    "insecure",
    "http_proxy",
    "https_proxy",
    "use_fips_endpoint",
    "use_dualstack_endpoint",
    "ec2_metadata_service_endpoint",
    // Guards: whoever wrote them wants them asked.
    "allowed_account_ids",
    "forbidden_account_ids",
];

/// Where the configuration of the backend was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// hybrid.toml.
    Settings,
    /// What `terraform init` wrote.
    Initialised(PathBuf),
    /// The `.tf` file that holds the backend block, together with `backend.hcl`.
    Configuration(PathBuf),
}

/// Why there is no backend to read from.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// Neither initialised nor configured completely.
    #[error(
        "the Terraform folder {} is not initialised, and its configuration does not name the \
         backend's {missing}", dir.display()
    )]
    NotInitialised {
        /// The root folder.
        dir: PathBuf,
        /// The first setting that is unknown.
        missing: &'static str,
    },
    /// There is no backend block and nothing initialised: the state is a local file, or nowhere.
    #[error("the Terraform folder {} is not initialised and declares no backend", .0.display())]
    NoBackend(PathBuf),
    /// A setting that S3 cannot do without is missing.
    #[error("the S3 backend in {} names no `{missing}`", path.display())]
    Incomplete {
        /// The file.
        path: PathBuf,
        /// The setting.
        missing: &'static str,
    },
    /// A file cannot be read.
    #[error("could not read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{} is not readable as {format}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The format that was expected.
        format: &'static str,
        /// What is wrong. Positions only, no values.
        message: String,
    },
    /// No root folder and no settings.
    #[error("there is neither a Terraform folder nor a table [terraform.backend] in hybrid.toml")]
    Nowhere,
}

impl BackendError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NotInitialised { dir, .. } | Self::NoBackend(dir) => {
                format!(
                    "Run `terraform -chdir={} init -backend-config=backend.hcl`.",
                    dir.display()
                )
            }
            Self::Incomplete { .. } | Self::Unreadable { .. } | Self::Malformed { .. } => {
                "Run `terraform init -reconfigure` in the Terraform folder.".to_owned()
            }
            Self::Nowhere => "Name the folder as `dir` in the table [terraform].".to_owned(),
        }
    }
}

/// A backend, as far as it concerns reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// The one that this tool reads itself.
    S3(Box<S3Backend>),
    /// One that only Terraform can read.
    Other {
        /// Its name, for example `gcs` or `local`.
        kind: String,
    },
}

/// The role that the backend acts as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendRole {
    /// The role's ARN.
    pub arn: String,
    /// The session's name, when it matters.
    pub session_name: Option<String>,
    /// The external id that the role's trust policy asks for.
    pub external_id: Option<String>,
}

/// The S3 backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Backend {
    /// The state bucket.
    pub bucket: String,
    /// The state's key in workspace `default`.
    pub key: String,
    /// The bucket's region; else the environment's or the profile's.
    pub region: Option<String>,
    /// Where the states of all other workspaces are.
    pub workspace_key_prefix: String,
    /// The lock table, when one is configured.
    pub lock_table: Option<String>,
    /// Whether a lock file is used.
    pub use_lockfile: bool,
    /// The AWS profile.
    pub profile: Option<String>,
    /// The role to act as.
    pub role: Option<BackendRole>,
    /// The endpoint for S3.
    pub s3_endpoint: Option<String>,
    /// The endpoint for `DynamoDB`.
    pub dynamodb_endpoint: Option<String>,
    /// The endpoint for STS.
    pub sts_endpoint: Option<String>,
    /// Whether the bucket is named in the path instead of the host.
    pub path_style: bool,
    /// The first setting that only Terraform can honour, by name.
    pub only_terraform: Option<&'static str>,
    /// Where all this was found.
    pub origin: Origin,
}

impl S3Backend {
    /// Where the state of `workspace` is.
    #[must_use]
    pub fn address(&self, workspace: &Workspace) -> StateAddress {
        StateAddress::new(
            &self.bucket,
            &self.workspace_key_prefix,
            &self.key,
            workspace,
        )
    }

    fn from_settings(settings: &BackendConfig) -> Self {
        Self {
            bucket: settings.bucket.clone(),
            key: settings.key.clone(),
            region: settings.region.clone(),
            workspace_key_prefix: settings
                .workspace_key_prefix
                .clone()
                .unwrap_or_else(|| DEFAULT_PREFIX.to_owned()),
            lock_table: settings.dynamodb_table.clone(),
            use_lockfile: settings.use_lockfile.unwrap_or(false),
            profile: settings.profile.clone(),
            role: None,
            s3_endpoint: None,
            dynamodb_endpoint: None,
            sts_endpoint: None,
            path_style: false,
            only_terraform: None,
            origin: Origin::Settings,
        }
    }

    /// `Err` names the setting that is missing.
    fn from_map(config: &Map<String, Value>, origin: Origin) -> Result<Self, &'static str> {
        let text = |name: &str| text_of(config.get(name));
        let endpoint = |name: &str, older: &str| {
            text_of(config.get("endpoints").and_then(|all| all.get(name))).or_else(|| text(older))
        };
        let role = role_of(config);
        let only_terraform = LEFT_TO_TERRAFORM
            .into_iter()
            .find(|name| config.get(*name).is_some_and(is_set))
            .or_else(|| unreadable_role(config));
        Ok(Self {
            bucket: text("bucket").ok_or("bucket")?,
            key: text("key").ok_or("key")?,
            region: text("region"),
            // An empty prefix is a prefix: only null stands for the backend's own.
            workspace_key_prefix: config
                .get("workspace_key_prefix")
                .and_then(Value::as_str)
                .unwrap_or(DEFAULT_PREFIX)
                .to_owned(),
            lock_table: text("dynamodb_table"),
            use_lockfile: flag_of(config.get("use_lockfile")),
            profile: text("profile"),
            role,
            s3_endpoint: endpoint("s3", "endpoint"),
            dynamodb_endpoint: endpoint("dynamodb", "dynamodb_endpoint"),
            sts_endpoint: endpoint("sts", "sts_endpoint"),
            path_style: flag_of(config.get("use_path_style"))
                || flag_of(config.get("force_path_style")),
            only_terraform,
            origin,
        })
    }
}

/// Since 1.6 the role is an object, before it was a handful of settings.
fn role_of(config: &Map<String, Value>) -> Option<BackendRole> {
    let object = config.get("assume_role").and_then(Value::as_object);
    let text = |name: &str| match object {
        Some(object) => text_of(object.get(name)),
        None => text_of(config.get(name)),
    };
    Some(BackendRole {
        arn: text("role_arn")?,
        session_name: text("session_name"),
        external_id: text("external_id"),
    })
}

/// Policies and tags change what the role's session may do.
fn unreadable_role(config: &Map<String, Value>) -> Option<&'static str> {
    let role = config.get("assume_role")?;
    [
        "policy",
        "policy_arns",
        "tags",
        "transitive_tag_keys",
        "source_identity",
    ]
    .iter()
    .any(|name| role.get(name).is_some_and(is_set))
    .then_some("assume_role")
}

fn text_of(value: Option<&Value>) -> Option<String> {
    value
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

/// `-backend-config=` values may still be texts.
fn flag_of(value: Option<&Value>) -> bool {
    value.is_some_and(|value| value.as_bool() == Some(true) || value.as_str() == Some("true"))
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(values) => values.values().any(is_set),
        Value::Number(_) => true,
    }
}
