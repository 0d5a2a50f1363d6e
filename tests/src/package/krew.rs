//! The plugin as a user gets it: installed by the real krew from the archive and the manifest,
//! and called through kubectl.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use thiserror::Error;

use super::{PackageError, Platform};

/// Why the plugin could not be installed and called.
#[derive(Debug, Error)]
pub enum KrewError {
    /// There is no archive.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The folder of krew could not be prepared.
    #[error("Could not {action} `{path}`: {source}", path = path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A command failed.
    #[error("`kubectl {arguments}` ended with {status}: {output}")]
    Command {
        /// What kubectl was given.
        arguments: String,
        /// Its exit status.
        status: String,
        /// What it wrote, stderr included.
        output: String,
    },
}

/// The programs and folders of one try.
#[derive(Clone, Debug)]
pub struct Trial<'a> {
    /// The real krew.
    pub krew: &'a Path,
    /// The real kubectl.
    pub kubectl: &'a Path,
    /// Where `kubectl-hybrid` and `docker-credential-ecr-hybrid` were built.
    pub binaries: &'a Path,
    /// Holds the archive, the manifest and krew's own folder; emptied at first.
    pub folder: &'a Path,
    /// The version of the product, without a leading `v`.
    pub version: &'a str,
}

impl Trial<'_> {
    /// Packs, installs and calls `kubectl hybrid version`; gives what that printed.
    pub fn run(&self) -> Result<String, KrewError> {
        remove(self.folder)?;
        let commands = self.folder.join("commands");
        fs::create_dir_all(&commands).map_err(at("make the folder", &commands))?;
        link(self.kubectl, &commands.join("kubectl"))?;
        link(self.krew, &commands.join("kubectl-krew"))?;

        let archive = super::pack(self.version, Platform::here(), self.binaries, self.folder)?;
        // krew is given the archive itself and asks no server for this address.
        let release = "https://release.invalid";
        let text = super::manifest(self.version, release, std::slice::from_ref(&archive));
        let manifest = self.folder.join("hybrid.yaml");
        fs::write(&manifest, text).map_err(at("write", &manifest))?;

        let manifest = format!("--manifest={}", manifest.display());
        let archive = format!("--archive={}", archive.path.display());
        self.kubectl(&["krew", "install", &manifest, &archive])?;
        self.kubectl(&["hybrid", "version"])
    }

    /// Calls kubectl as a user would whose `PATH` has krew's folder on it, and nothing of ours.
    fn kubectl(&self, arguments: &[&str]) -> Result<String, KrewError> {
        let root = self.folder.join("krew");
        let kubectl = self.folder.join("commands/kubectl");
        let path = format!(
            "{}:{}",
            root.join("bin").display(),
            self.folder.join("commands").display()
        );
        let output = Command::new(&kubectl)
            .args(arguments)
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.folder)
            .env("KREW_ROOT", &root)
            .env("KREW_NO_UPGRADE_CHECK", "1")
            .stdin(Stdio::null())
            .output()
            .map_err(at("start", &kubectl))?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(stdout);
        }
        Err(KrewError::Command {
            arguments: arguments.join(" "),
            status: output.status.to_string(),
            output: format!("{stdout}{}", String::from_utf8_lossy(&output.stderr))
                .trim()
                .to_owned(),
        })
    }
}

fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KrewError {
    let path = path.to_owned();
    move |source| KrewError::Io {
        action,
        path,
        source,
    }
}

fn remove(folder: &Path) -> Result<(), KrewError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", folder)(error)),
        _ => Ok(()),
    }
}

fn link(program: &Path, name: &Path) -> Result<(), KrewError> {
    symlink(program, name).map_err(at("make the link", name))
}
