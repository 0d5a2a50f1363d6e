//! What can go wrong while the configuration is applied.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why the configuration could not be applied, or a lock not be left.
#[derive(Debug, Error)]
pub enum TerraformError {
    /// A file or folder could not be used.
    #[error("Could not {action} `{path}`: {source}", path = path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Terraform could not be started or listened to.
    #[error("Could not run `{program}`: {source}", program = program.display())]
    Start {
        /// The executable.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Terraform ended with an error.
    #[error("`terraform {command}` failed in `{folder}`: {why}\nThe whole log is `{log}`", folder = folder.display(), log = log.display())]
    Failed {
        /// The subcommand and its arguments.
        command: String,
        /// Where it ran.
        folder: PathBuf,
        /// Its own error text.
        why: String,
        /// Everything it said.
        log: PathBuf,
    },
    /// The AWS API of the sandbox did not answer, or not as expected.
    #[error("The AWS API of the sandbox at {endpoint} did not {action}: {why}")]
    Aws {
        /// Its URL.
        endpoint: String,
        /// What it was asked for, as a verb with its object.
        action: String,
        /// What it said, or why it could not be asked.
        why: String,
    },
    /// The environment does not say where the AWS API is.
    #[error("AWS_ENDPOINT_URL is `{value}`: expected http://ADDRESS:PORT of the sandbox's AWS API")]
    Endpoint {
        /// What it is.
        value: String,
    },
    /// What an interrupted run has left in the cluster could not be removed.
    #[error("Could not remove the namespace {namespace}: {why}")]
    Namespace {
        /// The namespace.
        namespace: &'static str,
        /// What kubectl said.
        why: String,
    },
    /// A lock was to be left, and Terraform ended before it asked for approval.
    #[error("No lock was left: `terraform apply` ended before it asked for approval: {why}")]
    NoLockLeft {
        /// What it said.
        why: String,
    },
}

impl TerraformError {
    pub(super) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
