//! What of the file system is the machine's own.

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change,
    unmount,
};

use crate::sandbox::{Layout, SandboxError};

/// Folders that the parts write to by names that cannot be set: Docker's certificates and CNI's
/// settings, addresses given to pods, links to the pods' logs.
const COPIES: [&str; 3] = ["/etc", "/var/lib", "/var/log"];
/// Below the fresh `/run`: what the machine needs for itself.
const OWN: &str = "/run/hybrid-sandbox";

/// Makes `/proc`, `/sys`, `/run`, `/etc`, `/var/lib` and `/var/log` private; the state folder stays
/// the host's.
pub(super) fn make(layout: &Layout) -> Result<(), SandboxError> {
    // From here on nothing that is mounted reaches the host.
    change(
        "/",
        MountPropagationFlags::REC | MountPropagationFlags::PRIVATE,
    )?;
    fresh("proc", "/proc", c"")?;
    fresh("tmpfs", "/run", c"mode=755")?;
    let own = Path::new(OWN);
    create(own)?;
    fresh_sysfs(own)?;
    let state = keep(layout.state(), &own.join("state"))?;
    for folder in COPIES {
        if Path::new(folder).is_dir() {
            private_copy(Path::new(folder), own)?;
        }
    }
    state.give_back()?;
    // Kubernetes hands mounts on to containers and asks for a shared root.
    change(
        "/",
        MountPropagationFlags::REC | MountPropagationFlags::SHARED,
    )
}

/// `/sys` shows the interfaces of the network namespace that it is mounted in. The control groups
/// below it stay the host's.
fn fresh_sysfs(own: &Path) -> Result<(), SandboxError> {
    let groups = keep(Path::new("/sys/fs/cgroup"), &own.join("cgroup"))?;
    fresh("sysfs", "/sys", c"")?;
    groups.give_back()
}

/// A folder that is bound elsewhere while another mount covers it.
struct Kept {
    folder: PathBuf,
    aside: PathBuf,
}

fn keep(folder: &Path, aside: &Path) -> Result<Kept, SandboxError> {
    create(aside)?;
    bind(folder, aside)?;
    Ok(Kept {
        folder: folder.to_owned(),
        aside: aside.to_owned(),
    })
}

impl Kept {
    fn give_back(self) -> Result<(), SandboxError> {
        create(&self.folder)?;
        bind(&self.aside, &self.folder)?;
        unmount(&self.aside, UnmountFlags::DETACH)
            .map_err(|error| SandboxError::io("unmount", self.aside.clone())(error.into()))
    }
}

/// Lays a writable layer over a folder: what is written there is seen inside alone, and is gone
/// with the machine.
fn private_copy(folder: &Path, own: &Path) -> Result<(), SandboxError> {
    let name = folder.to_string_lossy().replace('/', "-");
    let (upper, work) = (
        own.join(format!("upper{name}")),
        own.join(format!("work{name}")),
    );
    create(&upper)?;
    create(&work)?;
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        folder.display(),
        upper.display(),
        work.display()
    );
    let options = CString::new(options).map_err(|_| SandboxError::Malformed {
        path: folder.to_owned(),
        why: "its name has a zero byte".to_owned(),
    })?;
    mount(
        "overlay",
        folder,
        "overlay",
        MountFlags::empty(),
        options.as_c_str(),
    )
    .map_err(|error| SandboxError::io("lay a private copy over", folder)(error.into()))
}

fn fresh(kind: &str, target: &str, options: &std::ffi::CStr) -> Result<(), SandboxError> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount(kind, target, kind, flags, options)
        .map_err(|error| SandboxError::io("mount", target)(error.into()))
}

fn bind(source: &Path, target: &Path) -> Result<(), SandboxError> {
    mount_bind_recursive(source, target)
        .map_err(|error| SandboxError::io("bind a folder to", target)(error.into()))
}

fn change(target: &str, propagation: MountPropagationFlags) -> Result<(), SandboxError> {
    mount_change(target, propagation)
        .map_err(|error| SandboxError::io("change the propagation of", target)(error.into()))
}

fn create(folder: &Path) -> Result<(), SandboxError> {
    fs::create_dir_all(folder).map_err(SandboxError::io("create", folder))
}

/// Tries the one mount that not every kernel allows. The caller has left the host's namespaces.
pub(super) fn probe() -> Result<(), SandboxError> {
    change(
        "/",
        MountPropagationFlags::REC | MountPropagationFlags::PRIVATE,
    )?;
    fresh("tmpfs", "/run", c"mode=755")?;
    private_copy(Path::new("/etc"), Path::new("/run"))
}
