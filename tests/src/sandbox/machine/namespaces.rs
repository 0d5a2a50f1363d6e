//! Making and entering the namespaces.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use nix::sched::{CloneFlags, unshare as unshare_flags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::sandbox::SandboxError;
use crate::sandbox::processes::ProcessRecord;

/// Leaves the host's namespaces. That of process ids holds for children, the rest at once.
///
/// Fails when the process has more than one thread.
pub fn unshare() -> Result<(), SandboxError> {
    unshare_flags(
        CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC,
    )
    .map_err(SandboxError::system("make private namespaces"))
}

/// Enters all namespaces of the machine; children are processes of it. Keeps the current folder
/// when it exists inside.
///
/// Fails when the process has more than one thread.
pub fn enter(supervisor: &ProcessRecord) -> Result<(), SandboxError> {
    let folder = std::env::current_dir().unwrap_or_else(|_| "/".into());
    // All are opened before the first one is entered: `/proc` is another one afterwards.
    let kinds = [
        ("pid", LinkNameSpaceType::ProcessID),
        ("ipc", LinkNameSpaceType::InterProcessCommunication),
        ("uts", LinkNameSpaceType::HostNameAndNISDomainName),
        ("net", LinkNameSpaceType::Network),
        ("mnt", LinkNameSpaceType::Mount),
    ];
    let mut opened = Vec::new();
    for (name, kind) in kinds {
        opened.push((open(supervisor, name)?, kind));
    }
    for (namespace, kind) in opened {
        move_into_link_name_space(namespace.as_fd(), Some(kind))
            .map_err(SandboxError::system("enter the sandbox"))?;
    }
    std::env::set_current_dir(&folder)
        .or_else(|_| std::env::set_current_dir("/"))
        .map_err(SandboxError::io("enter", folder))
}

/// Enters the machine's network alone. Holds for this thread and those it starts.
pub fn enter_network(supervisor: &ProcessRecord) -> Result<(), SandboxError> {
    let namespace = open(supervisor, "net")?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(SandboxError::system("enter the sandbox's network"))
}

fn open(supervisor: &ProcessRecord, name: &str) -> Result<File, SandboxError> {
    let path = Path::new("/proc")
        .join(supervisor.pid.to_string())
        .join("ns")
        .join(name);
    File::open(&path).map_err(SandboxError::io("open", path))
}
