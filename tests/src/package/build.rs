//! The release build of what is packed, and of what is measured.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::PackageError;
use crate::source_tree;

/// Builds both programs for release in the folder `target`, and gives the folder that they are in.
/// What cargo says goes to stderr.
pub fn build(target: &Path) -> Result<PathBuf, PackageError> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--release",
            "-p",
            "kubectl-hybrid",
            "-p",
            "docker-credential-ecr-hybrid",
            "--target-dir",
        ])
        .arg(target)
        .current_dir(source_tree())
        .stdout(Stdio::null())
        .status()
        .map_err(|source| PackageError::Cargo {
            why: source.to_string(),
        })?;
    if status.success() {
        Ok(target.join("release"))
    } else {
        Err(PackageError::Cargo {
            why: format!("it ended with {status}"),
        })
    }
}

/// The `target` folder of a program that cargo built, `target/PROFILE/PROGRAM`.
pub fn target_folder() -> Result<PathBuf, PackageError> {
    let own = env::current_exe().map_err(|source| PackageError::Cargo {
        why: source.to_string(),
    })?;
    own.ancestors()
        .nth(2)
        .map(Path::to_owned)
        .ok_or_else(|| PackageError::Cargo {
            why: "its target folder cannot be told".to_owned(),
        })
}
