//! The release build of what is packed, and of what is measured.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::{PackageError, Toolchain};
use crate::source_tree;

/// Builds both programs for release in the folder `target`, and gives the folder that they are in.
/// What cargo says goes to stderr.
pub fn build(toolchain: &Toolchain, target: &Path) -> Result<PathBuf, PackageError> {
    let status = toolchain
        .cargo()
        .args(["build", "--quiet", "--release"])
        .args(["-p", "kubectl-hybrid", "-p", "docker-credential-ecr-hybrid"])
        .args(toolchain.options())
        .arg("--target-dir")
        .arg(target)
        .current_dir(source_tree())
        .stdout(Stdio::null())
        .status()
        .map_err(|source| PackageError::Cargo {
            why: source.to_string(),
        })?;
    if status.success() {
        Ok(toolchain.folder(target))
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
