//! A stand-in for the Docker client, for faults that the real one cannot be made to show.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::engine::{DOCKER_VARIABLE, Docker};
use super::surroundings::Surroundings;

/// A client whose every command runs this shell script.
pub(crate) fn fake_docker(script: &str, vars: &[(&str, &str)]) -> (TempDir, Docker) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("docker");
    write_program(&program, script);
    let surroundings: Surroundings = vars
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .chain([(
            DOCKER_VARIABLE.to_owned(),
            program.to_string_lossy().into_owned(),
        )])
        .collect();
    let docker = Docker::locate(&Arc::new(surroundings)).unwrap();
    (folder, docker)
}

/// Writes a shell script that can be run.
///
/// The file is written by a child: if this process held it open for writing while another thread
/// forks, the copy of the handle would make the kernel refuse to run it ("text file busy").
pub(crate) fn write_program(path: &Path, script: &str) {
    let source = path.with_extension("source");
    std::fs::write(&source, format!("#!/bin/sh\n{script}\n")).unwrap();
    let copied = std::process::Command::new("/bin/cp")
        .args([&source, path])
        .status()
        .unwrap();
    assert!(copied.success());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
