//! What can go wrong while the sandbox is brought up, used or taken down.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::bench::BenchError;
use super::supply::SupplyError;
use super::terraform::TerraformError;
use crate::front::AdminError;

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
    /// The ECR front could not be started.
    #[error("The ECR front could not be started: {0}")]
    Front(String),
    /// The ECR front did not do what it was asked for.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The contract could not be applied, or a lock not be left.
    #[error(transparent)]
    Terraform(#[from] TerraformError),
    /// The measurement went wrong.
    #[error(transparent)]
    Bench(Box<BenchError>),
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
            Self::Bench(error) => match error.as_ref() {
                BenchError::Sandbox(error) => error.exit_code(),
                _ => 1,
            },
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

// Boxed, since a measurement can fail for the sandbox's own reasons.
impl From<BenchError> for SandboxError {
    fn from(error: BenchError) -> Self {
        Self::Bench(Box::new(error))
    }
}

/// Begins the line in a log that tells one life of a part from the next.
pub(crate) const LOG_START: &str = "=== started at ";

/// The last lines of a part's log since it was last started, as a paragraph of an error; nothing
/// when it said nothing.
pub fn log_tail(path: &Path, lines: usize) -> String {
    let Ok(bytes) = fs::read(path) else {
        return String::new();
    };
    let tail = last_lines(&String::from_utf8_lossy(&bytes), lines);
    if tail.is_empty() {
        return tail;
    }
    format!(" Its last lines:\n{tail}\n")
}

fn last_lines(text: &str, lines: usize) -> String {
    let mut tail: Vec<&str> = text
        .lines()
        .rev()
        .take_while(|line| !line.starts_with(LOG_START))
        .filter(|line| !line.trim().is_empty())
        .take(lines)
        .collect();
    tail.reverse();
    tail.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_holds_the_last_life_alone() {
        let log = format!("{LOG_START}1\nold\n{LOG_START}2\na\n\nb\nc\n");
        assert_eq!(last_lines(&log, 9), "a\nb\nc");
        assert_eq!(last_lines(&log, 2), "b\nc");
        assert_eq!(last_lines(&format!("old\n{LOG_START}2\n"), 2), "");
    }

    #[test]
    fn a_missing_prerequisite_is_a_matter_of_usage() {
        assert_eq!(SandboxError::Prerequisite(String::new()).exit_code(), 2);
        assert_eq!(SandboxError::Front(String::new()).exit_code(), 1);
    }
}
