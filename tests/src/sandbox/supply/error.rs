//! What can go wrong while a part is looked for, installed or built.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Item;

/// Why a part could not be supplied.
#[derive(Debug, Error)]
pub enum SupplyError {
    /// Neither `HYBRID_CACHE` nor a home folder is set.
    #[error(
        "There is no folder for builds: set HYBRID_CACHE, XDG_CACHE_HOME or HOME to a folder that can be written"
    )]
    NoCacheFolder,
    /// A part is neither there nor obtainable.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// A file or folder of the cache could not be used.
    #[error("Could not {action} `{path}`: {source}", path = path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A command could not be started.
    #[error("Could not start `{program}`: {source}")]
    Start {
        /// The command's name or path.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A command ended with an error.
    #[error("{what} failed: `{command}` ended with {status}. Its last lines:\n{tail}\nThe whole output is in `{log}`", log = log.display())]
    Command {
        /// The undertaking, for example "The build of kubelet 1.34.2".
        what: String,
        /// The command line, shortened.
        command: String,
        /// Its exit status.
        status: String,
        /// The last lines of its output.
        tail: String,
        /// The file with all of its output.
        log: PathBuf,
    },
    /// A command went well, and yet what it should have made is not there.
    #[error("{what} seemed to go well, but `{path}` is not there", path = path.display())]
    Absent {
        /// The undertaking.
        what: String,
        /// What should exist.
        path: PathBuf,
    },
}

impl SupplyError {
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

/// A part that could not be had on this machine, and what to do about it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{item} is missing: {why}. {next}")]
pub struct Missing {
    /// The part.
    pub item: Item,
    /// Why it can neither be found nor made, as a fragment.
    pub why: String,
    /// What to do, as a sentence with its full stop.
    pub next: String,
}
