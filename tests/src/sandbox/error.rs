//! What can go wrong while the sandbox is brought up, used or taken down.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::supply::SupplyError;

/// Why a verb of the sandbox ended early.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// Something that must be there before anything is changed is not.
    #[error("{0}")]
    Prerequisite(String),
    /// A part could not be had.
    #[error(transparent)]
    Supply(#[from] SupplyError),
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
    /// The running executable's own path is not known.
    #[error("Could not find out where the sandbox's own executable is: {source}")]
    OwnPath {
        /// What the system said.
        source: io::Error,
    },
    /// A system call that makes or enters the machine was refused.
    #[error("Could not {action}: {source}")]
    System {
        /// What was tried.
        action: String,
        /// What the system said.
        source: io::Error,
    },
    /// A command could not be started or ended with an error.
    #[error("`{command}` failed: {why}")]
    Command {
        /// The command line.
        command: String,
        /// Its exit status and what it said.
        why: String,
    },
    /// A certificate could not be made.
    #[error("Could not make the certificate `{name}`: {source}")]
    Certificate {
        /// Its file name without extension.
        name: String,
        /// What the library said.
        source: rcgen::Error,
    },
    /// The supervisor ended or did not answer.
    #[error("The sandbox's supervisor {why}.{tail} Its log is `{log}`", log = log.display())]
    Supervisor {
        /// What it did, as a fragment.
        why: String,
        /// The last lines of its log, or nothing.
        tail: String,
        /// Its log file.
        log: PathBuf,
    },
    /// A part did not start.
    #[error("{part} {why}.{tail} The whole log is `{log}`", log = log.display())]
    Part {
        /// The part.
        part: String,
        /// What it did, as a fragment.
        why: String,
        /// The last lines of its log, or nothing.
        tail: String,
        /// Its log file.
        log: PathBuf,
    },
    /// The sandbox must run for this verb, and does not.
    #[error("The sandbox is not running in `{state}`: start it with `cargo sandbox up`", state = state.display())]
    NotRunning {
        /// The state folder.
        state: PathBuf,
    },
    /// The node did not become ready.
    #[error("The node {node} is not Ready after {seconds} s: {why}", node = super::endpoints::NODE)]
    NotReady {
        /// How long was waited.
        seconds: u64,
        /// What it said last.
        why: String,
    },
    /// The ECR front refused a request of its admin.
    #[error("The ECR front did not do that: {0}")]
    Front(String),
    /// The contract could not be applied.
    #[error("{0}")]
    Contract(String),
    /// A number, a name or an address in a file of the state folder is not what was written there.
    #[error("`{path}` holds something else than expected: {why}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl SandboxError {
    /// The exit code: 2 for a missing prerequisite, 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Prerequisite(_) => 2,
            _ => 1,
        }
    }

    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    pub(crate) fn system<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Self {
        let action = action.into();
        move |source| Self::System {
            action,
            source: source.into(),
        }
    }
}

/// The last lines of a log as a paragraph of an error, or nothing when there are none.
pub fn log_tail(path: &std::path::Path, lines: usize) -> String {
    let Ok(bytes) = std::fs::read(path) else {
        return String::new();
    };
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let from = all.len().saturating_sub(lines);
    if all.is_empty() {
        return String::new();
    }
    format!(" Its last lines:\n{}\n", all[from..].join("\n"))
}
