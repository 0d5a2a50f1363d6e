//! Images that are there from the start: no public registry is asked.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::build::{Bench, text};
use super::containers;
use crate::sandbox::endpoints::{BASE_IMAGE, PAUSE_IMAGE};
use crate::sandbox::supervisor::{Kind, PartSpec};
use crate::sandbox::supply::Item;
use crate::sandbox::{Layout, SandboxError};

pub(super) const IMAGES: &str = "images";

/// A task of the sandbox's own program, see [`load`].
pub(super) fn part(bench: &Bench<'_>) -> Result<PartSpec, SandboxError> {
    let exe = std::env::current_exe().map_err(|source| SandboxError::OwnPath { source })?;
    let containerd = bench.path(Item::Containerd)?;
    let ctr = containerd.with_file_name("ctr");
    let mut part = bench
        .service(IMAGES, &exe)
        .args(["load-images", "--ctr", &text(&ctr)])
        .args(["--docker", &text(bench.path(Item::DockerCli)?)])
        .args(["--pause", &text(bench.path(Item::PauseImage)?)])
        .args(["--busybox", &text(bench.path(Item::BusyboxRoot)?)])
        .after(&[containers::CONTAINERD, containers::DOCKERD]);
    part.kind = Kind::Task;
    Ok(part)
}

/// Imports the pause image into containerd and the base image into Docker, unless they are there.
pub fn load(
    layout: &Layout,
    ctr: &Path,
    docker: &Path,
    pause: &Path,
    busybox: &Path,
) -> Result<(), SandboxError> {
    let ctr = || {
        let mut command = Command::new(ctr);
        command
            .arg("--address")
            .arg(layout.containerd_socket())
            .args(["--namespace", "k8s.io"]);
        command
    };
    let listed = run(ctr().args(["images", "list", "--quiet"]))?;
    if !String::from_utf8_lossy(&listed.stdout)
        .lines()
        .any(|line| line == PAUSE_IMAGE)
    {
        run(ctr().args(["images", "import"]).arg(pause))?;
    }
    let docker = || {
        let mut command = Command::new(docker);
        command
            .env(
                "DOCKER_HOST",
                format!("unix://{}", layout.docker_socket().display()),
            )
            .env("DOCKER_CONFIG", layout.docker_config());
        command
    };
    let found = run(docker().args(["image", "ls", "--quiet", BASE_IMAGE]))?;
    if found.stdout.is_empty() {
        import_folder(docker(), busybox)?;
    }
    Ok(())
}

fn import_folder(mut docker: Command, folder: &Path) -> Result<(), SandboxError> {
    let what = || format!("tar -C {} | docker import", folder.display());
    let failed = |why: String| SandboxError::Command {
        command: what(),
        why,
    };
    let mut tar = Command::new("tar")
        .arg("-C")
        .arg(folder)
        // The same image whoever unpacked the folder.
        .args(["--numeric-owner", "--owner=0", "--group=0", "-cf", "-", "."])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let pipe = tar.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let imported = run(docker
        .args(["import", "--change", "CMD [\"sh\"]", "-", BASE_IMAGE])
        .stdin(pipe));
    let packed = tar.wait().map_err(|error| failed(error.to_string()))?;
    imported?;
    if packed.success() {
        Ok(())
    } else {
        Err(failed(format!("tar ended with {packed}")))
    }
}

fn run(command: &mut Command) -> Result<Output, SandboxError> {
    let failed = |command: &Command, why: String| SandboxError::Command {
        command: format!("{command:?}"),
        why,
    };
    let output = command
        .output()
        .map_err(|error| failed(command, error.to_string()))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(
        command,
        format!("{}: {}", output.status, said.trim()),
    ))
}
