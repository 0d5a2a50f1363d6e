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
    /// Leave a state lock behind, of a Terraform that was killed
    Lock {
        /// What to do with it
        #[command(subcommand)]
        verb: LockVerb,
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
