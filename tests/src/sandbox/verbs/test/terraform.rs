//! The tests of the Terraform configuration, in a copy: Terraform writes beside what it reads.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
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

/// The runs of test files that the project has and the copy has not: the kubernetes provider of
/// this machine cannot take what they test.
pub(super) fn left_out(source: &Path, copy: &Path) -> Vec<(PathBuf, String)> {
    let mut runs = Vec::new();
    for folder in FOLDERS {
        let tests = Path::new(folder).join("tests");
        for entry in fs::read_dir(source.join(&tests))
            .into_iter()
            .flatten()
            .flatten()
        {
            let file = tests.join(entry.file_name());
            if copy.join(&file).exists() {
                continue;
            }
            let text = fs::read_to_string(source.join(&file)).unwrap_or_default();
            let names = text.lines().filter_map(|line| {
                let name = line.strip_prefix("run \"")?;
                name.split_once('"').map(|(name, _)| name.to_owned())
            });
            runs.extend(names.map(|name| (file.clone(), name)));
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_leaves_the_sandboxs_own_files_behind_and_tells_what_is_missing() {
        let (source, applied, copied) = (
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
        );
        let write = |root: &Path, name: &str, text: &str| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for name in ["main.tf", "sandbox.auto.tfvars", ".applied", "backend.hcl"] {
            write(applied.path(), name, "");
        }
        for name in ["bootstrap/terraform.tfstate", "tests/a.tftest.hcl"] {
            write(applied.path(), name, "");
        }
        write(source.path(), "tests/a.tftest.hcl", "run \"one\" {\n}\n");
        write(
            source.path(),
            "modules/registry/tests/b.tftest.hcl",
            "run \"two\" {\n}\nrun \"three\" {\n}\n",
        );
        copy(applied.path(), copied.path()).unwrap();
        let names: Vec<_> = ["main.tf", "tests/a.tftest.hcl", "bootstrap"]
            .iter()
            .map(|name| copied.path().join(name).exists())
            .collect();
        assert_eq!(names, [true; 3]);
        assert_eq!(fs::read_dir(copied.path()).unwrap().count(), 3);
        assert_eq!(
            fs::read_dir(copied.path().join("bootstrap"))
                .unwrap()
                .count(),
            0
        );
        let missing: Vec<_> = left_out(source.path(), copied.path())
            .into_iter()
            .map(|(_, name)| name)
            .collect();
        assert_eq!(missing, ["two", "three"]);
    }
}
