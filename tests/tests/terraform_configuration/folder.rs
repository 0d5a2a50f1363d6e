//! A copy of a configuration with a data folder of its own, and programs that work in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hybrid_tests::said::Said;
use tempfile::TempDir;

/// A path that the sandbox's environment names.
pub(crate) fn variable(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set")))
}

/// A folder with a Terraform configuration.
pub(crate) struct Folder {
    above: TempDir,
    root: PathBuf,
    data: PathBuf,
}

impl Folder {
    /// A copy of one folder of the source tree, below a folder of its own: `NAME` or `NAME/SUB`.
    pub(crate) fn copied(from: &Path, below: &str) -> Self {
        let above = tempfile::tempdir().unwrap();
        let root = above.path().join(below);
        copy(from, &root, &|_| true);
        let data = root.join(".terraform");
        Self { above, root, data }
    }

    /// What the sandbox has applied, initialised as it is there, in no workspace.
    pub(crate) fn of_the_sandbox() -> Self {
        let above = tempfile::tempdir().unwrap();
        let (root, data) = (above.path().join("terraform"), above.path().join("data"));
        copy(&variable("HYBRID_TERRAFORM_DIR"), &root, &|name| {
            name != "bootstrap" && name != "sandbox.auto.tfvars" && !name.starts_with(".applied")
        });
        copy(&variable("TF_DATA_DIR"), &data, &|name| {
            name != "environment"
        });
        Self { above, root, data }
    }

    /// The folder that everything is below.
    pub(crate) fn above(&self) -> &Path {
        self.above.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("terraform");
        command
            .args(arguments)
            .current_dir(&self.root)
            .env("TF_DATA_DIR", &self.data)
            .env_remove("HYBRID_TERRAFORM_DIR");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        Said::of(&mut self.command(arguments))
    }

    /// Whether a plan would change nothing.
    #[track_caller]
    pub(crate) fn assert_plan_is_empty(&self) {
        let said = self.run(&["plan", "-no-color", "-detailed-exitcode"]);
        assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
    }
}

/// Copies a folder, links as links, without what `takes` refuses at its top.
pub(crate) fn copy(from: &Path, to: &Path, takes: &dyn Fn(&str) -> bool) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name());
        if !takes(&name.to_string_lossy()) {
            continue;
        }
        let target = to.join(&name);
        let kind = entry.file_type().unwrap();
        if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&path).unwrap(), target).unwrap();
        } else if kind.is_dir() {
            copy(&path, &target, &|_| true);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}

/// What `kubectl` says to a request, with a kubeconfig of one's own.
#[track_caller]
pub(crate) fn kubectl(kubeconfig: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("kubectl");
    command.env("KUBECONFIG", kubeconfig).args(arguments);
    Said::of(&mut command).succeeds().stdout
}
