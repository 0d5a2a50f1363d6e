//! Programs of the sandbox, with the release binaries before all others.

use std::ffi::OsString;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use super::BenchError;

/// Where programs are looked for.
pub(super) struct Programs {
    path: OsString,
}

impl Programs {
    /// The release binaries first, then what the environment says.
    pub(super) fn first_from(binaries: &Path) -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(binaries.to_owned()).chain(env::split_paths(&path));
        Self {
            path: env::join_paths(folders).unwrap_or(path),
        }
    }

    /// A command that finds them.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("PATH", &self.path);
        command
    }
}

/// Makes a folder for Docker's configuration that has the sandbox's plugins and nobody's login.
pub(super) fn private_docker(folder: &Path) -> Result<(), BenchError> {
    let docker = env::var_os("DOCKER_CONFIG").ok_or_else(|| BenchError::Wrong {
        what: "The sandbox's environment".to_owned(),
        why: "has no DOCKER_CONFIG".to_owned(),
    })?;
    fs::create_dir_all(folder).map_err(BenchError::io("make the folder", folder))?;
    let plugins = folder.join("cli-plugins");
    symlink(PathBuf::from(docker).join("cli-plugins"), &plugins)
        .map_err(BenchError::io("make the link", &plugins))
}
