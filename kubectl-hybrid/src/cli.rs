//! The command line, as types.

mod empty_variables;
mod given;
mod regcred;
mod roll_out;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub use empty_variables::without_empty_variables;
pub use given::{Given, Source};
pub use regcred::{Agent, Keeping, Places, Regcred, RegcredStatus, RegcredSync};
pub use roll_out::RollOut;

use crate::project::config::ContractSource;
pub use crate::project::config::RollOutStrategy as Strategy;
use crate::registry::ImageReference;

/// Builds at a time when nobody says. The engine shares its cores among them.
const JOBS: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// Deploys images from Amazon ECR to a local cluster
#[derive(Debug, Parser)]
#[command(
    name = "kubectl hybrid",
    bin_name = "kubectl hybrid",
    disable_version_flag = true,
    max_term_width = 100,
    propagate_version = false
)]
pub struct Cli {
    /// What holds for each command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that each command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Terraform workspace
    #[arg(
        short = 'W',
        long,
        global = true,
        env = "HYBRID_WORKSPACE",
        value_name = "NAME"
    )]
    pub workspace: Option<String>,
    /// Configuration file; default: hybrid.toml here or in a folder above
    #[arg(long, global = true, env = "HYBRID_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Project of a repository that has several
    #[arg(long, global = true, env = "HYBRID_PROJECT", value_name = "NAME")]
    pub project: Option<String>,
    /// Terraform root folder
    #[arg(long, global = true, env = "HYBRID_TERRAFORM_DIR", value_name = "DIR")]
    pub terraform_dir: Option<PathBuf>,
    /// Terraform or OpenTofu program
    #[arg(
        long,
        global = true,
        env = "HYBRID_TERRAFORM_BINARY",
        value_name = "PROGRAM"
    )]
    pub terraform_binary: Option<PathBuf>,
    /// Where the contract is read; default: auto
    #[arg(
        long,
        global = true,
        env = "HYBRID_TERRAFORM_SOURCE",
        value_name = "SOURCE"
    )]
    pub terraform_source: Option<ContractSource>,
    /// Kubeconfig context
    #[arg(long, global = true, env = "HYBRID_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// Kubeconfig file
    #[arg(long, global = true, env = "HYBRID_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Namespace, instead of the contract's
    #[arg(
        short,
        long,
        global = true,
        env = "HYBRID_NAMESPACE",
        value_name = "NAME"
    )]
    pub namespace: Option<String>,
    /// User to impersonate in the cluster
    #[arg(long = "as", global = true, env = "HYBRID_AS", value_name = "USER")]
    pub as_user: Option<String>,
    /// Output format of the data on stdout
    #[arg(
        short,
        long,
        global = true,
        env = "HYBRID_OUTPUT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub output: Output,
    /// Say nothing on stderr but errors
    #[arg(short, long, global = true, env = "HYBRID_QUIET", value_parser = BoolishValueParser::new())]
    pub quiet: bool,
    /// Which flags were given, and how.
    #[arg(skip)]
    pub given: Given,
}

/// The format of stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set up a project: Terraform configuration, state bucket, first apply
    Init(Init),
    /// Build, push and roll out what changed, with a fresh pull secret
    Deploy(Deploy),
    /// Show what a service can go back to, or go back
    Rollback(Rollback),
    /// Build what changed, and push it when asked
    Build(Build),
    /// Restart workloads and wait
    Restart(Restart),
    /// Show what runs
    Status(Services),
    /// Show what a service writes, by kubectl
    Logs(Logs),
    /// Name what is broken, and the fix
    Doctor,
    /// Show the pull secret, refresh it, or keep it fresh
    #[command(subcommand)]
    Regcred(Regcred),
    /// Show, make or choose Terraform workspaces
    #[command(subcommand)]
    Workspace(Workspace),
    /// Show the state lock, or release it
    Unlock(Unlock),
    /// Show what hybrid.toml, flags and variables come to
    #[command(subcommand)]
    Config(Config),
    /// Set up the Docker credential helper
    #[command(subcommand)]
    Helper(Helper),
    /// Print a completion script
    Completion {
        /// Shell
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version,
}

/// Flags of `init`.
#[derive(Debug, Clone, Args)]
pub struct Init {
    /// Folder of the project
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Environment, and its workspace
    #[arg(
        long,
        env = "HYBRID_ENVIRONMENT",
        value_name = "NAME",
        default_value = "dev"
    )]
    pub environment: String,
    /// AWS region; default: that of the environment or of the profile
    #[arg(long, env = "HYBRID_REGION", value_name = "NAME")]
    pub region: Option<String>,
    /// Service, with its port and its port on the node (can be repeated); default: the folders with
    /// a Dockerfile
    #[arg(
        long = "service",
        env = "HYBRID_SERVICES",
        value_delimiter = ',',
        value_name = "NAME[=PORT[:NODE_PORT]]"
    )]
    pub services: Vec<String>,
    /// Last step to take
    #[arg(long, env = "HYBRID_INIT_UNTIL", value_enum, default_value = "apply")]
    pub until: Step,
    /// Show the steps and change nothing
    #[arg(long, env = "HYBRID_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub dry_run: bool,
    /// Take each step without asking
    #[arg(short, long, env = "HYBRID_YES", value_parser = BoolishValueParser::new())]
    pub yes: bool,
}

/// The steps of `init`, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Step {
    /// Write the files.
    Files,
    /// Make the state bucket and the lock table.
    Bootstrap,
    /// Initialise the Terraform folder for them.
    Backend,
    /// Make the workspace.
    Workspace,
    /// Apply the configuration.
    Apply,
}

/// Services to act on.
#[derive(Debug, Clone, Args)]
pub struct Services {
    /// Services; default: all of the contract
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
}

/// Flags of `build`.
#[derive(Debug, Clone, Args)]
pub struct Build {
    /// Services; default: all of the contract
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Push what was built
    #[arg(long, env = "HYBRID_PUSH", value_parser = BoolishValueParser::new())]
    pub push: bool,
    /// Show the plan and change nothing
    #[arg(long, env = "HYBRID_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub dry_run: bool,
    /// Builds at a time
    #[arg(short, long, env = "HYBRID_JOBS", default_value_t = JOBS, value_name = "N")]
    pub jobs: NonZeroUsize,
    /// More flags for `docker buildx build`
    #[arg(last = true, value_name = "FLAGS")]
    pub extra: Vec<String>,
}

/// Flags of `deploy`.
#[derive(Debug, Clone, Args)]
pub struct Deploy {
    /// Services; default: all of the contract
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// How workloads get the new image
    #[arg(long, env = "HYBRID_STRATEGY", default_value = "digest")]
    pub strategy: Strategy,
    /// Show the plan and change nothing
    #[arg(long, env = "HYBRID_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub dry_run: bool,
    /// Deploy what the workspace's tag names, without a build; where tags do not move, what was
    /// built of the sources as they are
    #[arg(long, env = "HYBRID_NO_BUILD", value_parser = BoolishValueParser::new())]
    pub no_build: bool,
    /// Deploy this image of a service, built already: of its repository, or of Docker (can be
    /// repeated)
    #[arg(
        long = "image",
        env = "HYBRID_IMAGE",
        value_name = "SERVICE=REF",
        value_delimiter = ','
    )]
    pub images: Vec<ServiceImage>,
    /// Builds at a time
    #[arg(short, long, env = "HYBRID_JOBS", default_value_t = JOBS, value_name = "N")]
    pub jobs: NonZeroUsize,
    /// When one service fails, let all go back to what they ran before
    #[arg(long, env = "HYBRID_ATOMIC", value_parser = BoolishValueParser::new())]
    pub atomic: bool,
    /// Its roll-outs.
    #[command(flatten)]
    pub roll_out: RollOut,
}

/// The value of `--image`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceImage {
    /// The service.
    pub service: String,
    /// The image.
    pub image: ImageReference,
}

impl std::str::FromStr for ServiceImage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (service, image) = text
            .split_once('=')
            .filter(|(service, _)| !service.is_empty())
            .ok_or_else(|| "write SERVICE=REF, for example web=web:local".to_owned())?;
        Ok(Self {
            service: service.to_owned(),
            image: image
                .parse()
                .map_err(|error| format!("`{image}` is not an image: {error}"))?,
        })
    }
}

/// Flags of `restart`.
#[derive(Debug, Clone, Args)]
pub struct Restart {
    /// Services; default: all of the contract, or all workloads of the namespace given with -n
    #[arg(value_name = "SERVICE", conflicts_with = "selector")]
    pub services: Vec<String>,
    /// Restart the workloads with these labels instead, for example app=web,tier!=db
    #[arg(short = 'l', long, env = "HYBRID_SELECTOR", value_name = "LABELS")]
    pub selector: Option<String>,
    /// Its roll-outs.
    #[command(flatten)]
    pub roll_out: RollOut,
}

/// Flags of `rollback`.
#[derive(Debug, Clone, Args)]
pub struct Rollback {
    /// Service; default: show what each can go back to
    #[arg(value_name = "SERVICE")]
    pub service: Option<String>,
    /// Revision or digest to go back to; without it the candidates are shown
    #[arg(
        long,
        env = "HYBRID_TO",
        value_name = "REV|DIGEST",
        requires = "service"
    )]
    pub to: Option<String>,
    /// Show what would change and change nothing
    #[arg(long, env = "HYBRID_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub dry_run: bool,
    /// Its roll-outs.
    #[command(flatten)]
    pub roll_out: RollOut,
}

/// Flags of `logs`.
#[derive(Debug, Clone, Args)]
pub struct Logs {
    /// Service
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// Go on as more is written
    #[arg(short, long, env = "HYBRID_FOLLOW", value_parser = BoolishValueParser::new())]
    pub follow: bool,
    /// Of the run before this one
    #[arg(short, long, env = "HYBRID_PREVIOUS", value_parser = BoolishValueParser::new())]
    pub previous: bool,
    /// More flags for `kubectl logs`, after --
    #[arg(last = true, value_name = "FLAG")]
    pub rest: Vec<std::ffi::OsString>,
}

/// The commands of `workspace`.
#[derive(Debug, Subcommand)]
pub enum Workspace {
    /// List the workspaces that have a state
    List,
    /// Show the workspace that is chosen, by what, and where its state is
    Show,
    /// Make a workspace, without choosing it
    New {
        /// Workspace
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Write a workspace that exists into hybrid.toml
    Use {
        /// Workspace
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// Flags of `unlock`.
#[derive(Debug, Clone, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "Each is a flag of its own on the command line."
)]
pub struct Unlock {
    /// Lock to release, as it was shown
    #[arg(value_name = "LOCK-ID")]
    pub id: Option<String>,
    /// Show only
    #[arg(long, env = "HYBRID_UNLOCK_LIST", value_parser = BoolishValueParser::new(), conflicts_with_all = ["id", "repair_digest"])]
    pub list: bool,
    /// Make the digest in the lock table that of the state
    #[arg(long, env = "HYBRID_UNLOCK_REPAIR_DIGEST", value_parser = BoolishValueParser::new(), conflicts_with = "id")]
    pub repair_digest: bool,
    /// Change without asking
    #[arg(short, long, env = "HYBRID_YES", value_parser = BoolishValueParser::new())]
    pub yes: bool,
    /// Release a lock whose holder may still be at work
    #[arg(long, env = "HYBRID_UNLOCK_FORCE", value_parser = BoolishValueParser::new())]
    pub force: bool,
}

/// The commands of `config`.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Show each setting
    Show {
        /// Show where each setting comes from
        #[arg(long, env = "HYBRID_ORIGIN", value_parser = BoolishValueParser::new())]
        origin: bool,
    },
    /// Print the JSON schema of hybrid.toml
    Schema,
}

/// The commands of `helper`.
#[derive(Debug, Subcommand)]
pub enum Helper {
    /// Put docker-credential-ecr-hybrid into a folder on PATH
    Install {
        /// Folder; default: the first on PATH that is yours and writable
        #[arg(long, env = "HYBRID_HELPER_DIR", value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Let Docker ask the helper for the contract's registry
    Configure(HelperConfigure),
}

/// Flags of `helper configure`.
#[derive(Debug, Clone, Args)]
pub struct HelperConfigure {
    /// Take the registry out again
    #[arg(long, env = "HYBRID_HELPER_REMOVE", value_parser = BoolishValueParser::new())]
    pub remove: bool,
    /// Print what would change, as a diff, and change nothing
    #[arg(long, env = "HYBRID_DRY_RUN", value_parser = BoolishValueParser::new())]
    pub dry_run: bool,
    /// Change Podman's auth.json as well as Docker's config.json
    #[arg(long, env = "HYBRID_HELPER_PODMAN", value_parser = BoolishValueParser::new())]
    pub podman: bool,
}

#[cfg(test)]
mod tests;
