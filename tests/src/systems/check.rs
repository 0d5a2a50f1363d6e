//! One target, compiled.

use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use thiserror::Error;

use super::library::{Library, LibraryError};
use super::stand_in::NAME;
use crate::package::{PackageError, target_folder};
use crate::source_tree;

/// Why a target was not compiled for.
#[derive(Debug, Error)]
pub enum CheckError {
    /// There is no standard library.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The folder of what is built is not known.
    #[error(transparent)]
    Folder(#[from] PackageError),
    /// The compiler of C cannot be put in its place.
    #[error("`{}` cannot be written: {source}", path.display())]
    StandIn {
        /// The program.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Cargo cannot be started.
    #[error("cargo cannot be started: {0}")]
    Start(io::Error),
    /// What the compiler says is on stderr.
    #[error("cargo ended with {0}")]
    Refused(ExitStatus),
}

/// Compiles both programs and their tests for a target, without linking. What the compiler says
/// goes to stderr.
pub fn check(target: &str) -> Result<(), CheckError> {
    let library = Library::find(target)?;
    let mut cargo = library.cargo(target);
    let own = format!("-{}-", env::consts::OS);
    if !target.contains(&own) {
        let compiler = compiler()?;
        let name = target.replace('-', "_");
        for tool in ["AR", "CC", "CXX"] {
            cargo.env(format!("{tool}_{name}"), &compiler);
        }
        // macOS asks its own tools for this.
        cargo.env("SDKROOT", "/");
    }
    let status = cargo
        .args(["--quiet", "--all-targets"])
        .args(["-p", "kubectl-hybrid", "-p", "docker-credential-ecr-hybrid"])
        .args(library.lints())
        .current_dir(source_tree())
        .status()
        .map_err(CheckError::Start)?;
    if status.success() {
        Ok(())
    } else {
        Err(CheckError::Refused(status))
    }
}

/// This program under the name by which it stands in for a compiler of C.
fn compiler() -> Result<PathBuf, CheckError> {
    let path = target_folder()?.join(format!("{NAME}{}", env::consts::EXE_SUFFIX));
    let failed = |source| CheckError::StandIn {
        path: path.clone(),
        source,
    };
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let own = env::current_exe().map_err(failed)?;
    fs::copy(own, &path).map_err(failed)?;
    Ok(path)
}
