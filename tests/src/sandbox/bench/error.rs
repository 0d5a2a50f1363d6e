//! Why a measurement could not be made.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::package::PackageError;
use crate::sandbox::SandboxError;

/// Why a measurement could not be made.
#[derive(Debug, Error)]
pub enum BenchError {
    /// The sandbox is not as it should be.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The product could not be built.
    #[error(transparent)]
    Package(#[from] PackageError),
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
    /// A process could not be started.
    #[error("Could not start {what}: {source}")]
    Start {
        /// The contender or the preparation.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A process did not do what is measured.
    #[error("{what} {why}")]
    Wrong {
        /// The contender or the preparation.
        what: String,
        /// What it did instead, as a clause.
        why: String,
    },
}

impl BenchError {
    /// For `map_err`: what was tried on which path, the reason to come.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
