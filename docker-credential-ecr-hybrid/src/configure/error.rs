//! Why a configuration file was not changed.

use std::io;
use std::path::PathBuf;

use crate::environment::HOME_OF_DOCKER;

/// Why a configuration file was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    /// The host is not one that the helper has a token for.
    #[error("`{host}` is not a host of ECR, and the helper has no login for others.")]
    NotOurs {
        /// What was given.
        host: String,
    },
    /// There is nothing to say where the file is.
    #[error(
        "There is no {whose} configuration to change: neither {} nor {variable} is set.",
        HOME_OF_DOCKER
    )]
    NoPlace {
        /// Docker's or Podman's.
        whose: &'static str,
        /// The variable that names the place.
        variable: &'static str,
    },
    /// The file is there and cannot be read.
    #[error("`{}` cannot be read: {source}.", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is no JSON.
    #[error(
        "`{}` is not valid JSON in line {line}, column {column}: {why}; it was left as it is.",
        path.display()
    )]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, counted from one.
        line: usize,
        /// The column, counted from one.
        column: usize,
        /// What is wrong, as a clause.
        why: String,
    },
    /// The file is JSON of another shape.
    #[error("{what} in `{}` is not a JSON object; it was left as it is.", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Which part.
        what: &'static str,
    },
    /// The file cannot be written.
    #[error("`{}` cannot be written: {source}.", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another program writes the file again and again.
    #[error("`{}` was changed by another program each time; try again.", path.display())]
    Contested {
        /// The file.
        path: PathBuf,
    },
}
