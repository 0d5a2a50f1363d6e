//! The command line, as types.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    /// Terraform root folder
    #[arg(long, global = true, env = "HYBRID_TERRAFORM_DIR", value_name = "DIR")]
    pub terraform_dir: Option<PathBuf>,
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
    #[arg(short, long, global = true, env = "HYBRID_QUIET")]
    pub quiet: bool,
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
    /// Build, push and roll out what changed, with a fresh pull secret
    Deploy(Deploy),
    /// Restart workloads and wait
    Restart(Restart),
    /// Show what runs
    Status(Services),
    /// Name what is broken, and the fix
    Doctor,
    /// Show or refresh the pull secret
    #[command(subcommand)]
    Regcred(Regcred),
    /// Show Terraform workspaces
    #[command(subcommand)]
    Workspace(Workspace),
    /// Show the state lock, or release it
    Unlock(Unlock),
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

/// Services to act on.
#[derive(Debug, Clone, Args)]
pub struct Services {
    /// Services; default: all of the contract
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
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
    #[arg(long, env = "HYBRID_DRY_RUN")]
    pub dry_run: bool,
    /// Deploy what the workspace's tag names, without a build
    #[arg(long, env = "HYBRID_NO_BUILD")]
    pub no_build: bool,
    /// Builds at a time
    #[arg(
        short,
        long,
        env = "HYBRID_JOBS",
        default_value_t = 4,
        value_name = "N"
    )]
    pub jobs: usize,
    /// How long a roll-out may take
    #[arg(long, env = "HYBRID_TIMEOUT_ROLLOUT", default_value = "5m", value_parser = duration)]
    pub timeout: std::time::Duration,
}

/// How workloads get the new image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Strategy {
    /// Pin the image to its digest.
    Digest,
    /// Move the workspace's tag and restart.
    Restart,
}

/// Flags of `restart`.
#[derive(Debug, Clone, Args)]
pub struct Restart {
    /// Services; default: all of the contract
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// How long a roll-out may take
    #[arg(long, env = "HYBRID_TIMEOUT_ROLLOUT", default_value = "5m", value_parser = duration)]
    pub timeout: std::time::Duration,
}

/// The commands of `regcred`.
#[derive(Debug, Subcommand)]
pub enum Regcred {
    /// Write the pull secret when it is missing, wrong or past half its life
    Sync {
        /// Write a new token even when the old one looks alive
        #[arg(long)]
        force: bool,
    },
    /// Show the pull secret's registries and how long their tokens live
    Status,
}

/// The commands of `workspace`.
#[derive(Debug, Subcommand)]
pub enum Workspace {
    /// List the workspaces that have a state
    List,
}

/// Flags of `unlock`.
#[derive(Debug, Clone, Args)]
pub struct Unlock {
    /// Lock to release, as it was shown
    #[arg(value_name = "LOCK-ID")]
    pub id: Option<String>,
    /// Release without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Release a lock whose holder may still be at work
    #[arg(long)]
    pub force: bool,
}

/// The commands of `helper`.
#[derive(Debug, Subcommand)]
pub enum Helper {
    /// Put docker-credential-ecr-hybrid into a folder on PATH
    Install {
        /// Folder; default: the first on PATH that is yours and writable
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// `90s`, `5m`, `1h`, or a number of seconds.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    let seconds = text.strip_suffix(['s', 'm', 'h']).unwrap_or(text);
    let factor = match text.as_bytes().last() {
        Some(b'm') => 60,
        Some(b'h') => 3600,
        _ => 1,
    };
    seconds
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .filter(|seconds| *seconds > 0)
        .map(std::time::Duration::from_secs)
        .ok_or_else(|| "write a duration as 90s, 5m or 1h".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("90"), Ok(std::time::Duration::from_secs(90)));
        assert_eq!(duration("5m"), Ok(std::time::Duration::from_mins(5)));
        for wrong in ["", "m", "-1s", "1d", "0s", "99999999999999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
