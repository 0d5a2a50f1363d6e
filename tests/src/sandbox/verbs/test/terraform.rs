//! The tests of the Terraform configuration, in a copy: Terraform writes beside what it reads.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::sandbox::endpoints::WORKSPACE;
use crate::sandbox::{Environment, SandboxError};

/// The folders with tests, below the configuration's own.
pub(super) const FOLDERS: [&str; 4] = ["", "bootstrap", "modules/registry", "modules/kubernetes"];

/// Copies what the sandbox applies, without its state, values and data.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), SandboxError> {
    fs::create_dir_all(to).map_err(SandboxError::io("create", to))?;
    let entries = fs::read_dir(from)
        .and_then(Iterator::collect::<io::Result<Vec<_>>>)
        .map_err(SandboxError::io("read", from))?;
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name());
        let text = name.to_string_lossy();
        if is_of_the_sandbox(&text) {
            continue;
        }
        let target = to.join(&name);
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target).map_err(SandboxError::io("copy", &path))?;
        }
    }
    Ok(())
}

fn is_of_the_sandbox(name: &str) -> bool {
    // The lock file stays: it saves reading the providers' checksums again.
    (name.starts_with('.') && name != ".terraform.lock.hcl")
        || name.ends_with(".auto.tfvars")
        || name.contains(".tfstate")
        || name == "backend.hcl"
}

/// A command of Terraform in a folder of the copy.
pub(super) fn command(terraform: &Path, environment: &Environment, folder: &Path) -> Command {
    let mut command = environment.command(terraform);
    command
        .current_dir(folder)
        .env("TF_DATA_DIR", folder.join(".terraform"))
        .env("TF_WORKSPACE", WORKSPACE)
        .stdin(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_leaves_the_sandboxs_own_files_behind() {
        let (applied, copied) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in [
            "main.tf",
            "tests/a.tftest.hcl",
            "sandbox.auto.tfvars",
            ".applied",
            "backend.hcl",
            "bootstrap/terraform.tfstate",
        ] {
            let path = applied.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        copy(applied.path(), copied.path()).unwrap();
        let count = |folder: &str| fs::read_dir(copied.path().join(folder)).unwrap().count();
        assert!(copied.path().join("main.tf").exists());
        assert_eq!([count(""), count("tests"), count("bootstrap")], [3, 1, 0]);
    }
}
