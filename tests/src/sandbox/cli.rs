//! The command line of the sandbox: types alone.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::bench;

/// The whole hybrid on one machine: AWS, registry, Docker, Terraform, Kubernetes
#[derive(Debug, Parser)]
#[command(
    name = "cargo sandbox",
    bin_name = "cargo sandbox",
    version,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Bring the sandbox up, or heal it
    Up,
    /// Stop the sandbox and keep its state
    Down {
        /// Also remove the state and the builds
        #[arg(long)]
        purge: bool,
    },
    /// Show every part; exit code 0 only when all run
    Status,
    /// Print shell exports: eval "$(cargo sandbox env)"
    Env,
    /// Run a command inside the sandbox
    Exec {
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Change the life of the registries' tokens
    Tokens {
        /// What to do with them
        #[command(subcommand)]
        verb: TokensVerb,
    },
    /// Let AWS calls fail or wait, and count them
    Api {
        /// What to do with them
        #[command(subcommand)]
        verb: ApiVerb,
    },
    /// Leave a state lock behind, of a Terraform that was killed
    Lock {
        /// What to do with it
        #[command(subcommand)]
        verb: LockVerb,
    },
    /// Bring the sandbox up and deploy the example in it
    Demo,
    /// Run every test, from single functions to the whole on real parts
    Test {
        /// Only tests whose names hold one of these
        #[arg(last = true, value_name = "FILTER")]
        filters: Vec<String>,
    },
    /// Measure the product beside its peers
    Bench(bench::Options),
    /// The process that measures, inside.
    #[command(hide = true)]
    Measure(bench::Measure),
    /// PID 1 of the machine.
    #[command(hide = true)]
    Supervise,
    /// Leaves the host's namespaces and starts PID 1.
    #[command(hide = true)]
    LaunchSupervisor,
    /// The ECR front.
    #[command(hide = true)]
    Front,
    /// The sandbox's ports on the host.
    #[command(hide = true)]
    Gate,
    /// Tries out what the machine needs of the kernel.
    #[command(hide = true)]
    Probe,
    /// Imports the images that are there from the start.
    #[command(hide = true)]
    LoadImages {
        /// The command `ctr`.
        #[arg(long)]
        ctr: PathBuf,
        /// The command `docker`.
        #[arg(long)]
        docker: PathBuf,
        /// The pause image's archive.
        #[arg(long)]
        pause: PathBuf,
        /// The base image's root folder.
        #[arg(long)]
        busybox: PathBuf,
    },
}

/// What can be done with the state's lock.
#[derive(Debug, Subcommand)]
pub enum LockVerb {
    /// Kill a real Terraform run while it holds the lock
    Leave,
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub enum TokensVerb {
    /// Expire every token that was given out
    Expire,
    /// Give tokens from now on this life
    Ttl {
        /// Their life in seconds; ECR's own is 43200
        #[arg(value_parser = clap::value_parser!(u64).range(1..=43_200))]
        seconds: u64,
    },
}

/// What can be done with AWS calls.
#[derive(Debug, Subcommand)]
pub enum ApiVerb {
    /// Let an action fail, for example GetAuthorizationToken=ThrottlingException*3
    Fail {
        /// The action, its error, and how often
        #[arg(value_name = "ACTION=ERROR[*COUNT]")]
        fault: String,
    },
    /// Let an action wait, for example GetAuthorizationToken=500
    Delay {
        /// The action and the time in milliseconds
        #[arg(value_name = "ACTION=MS")]
        delay: String,
    },
    /// Show how often each action was called
    Calls {
        /// Count from zero again
        #[arg(long)]
        reset: bool,
    },
    /// Forget all faults and delays
    Clear,
}
