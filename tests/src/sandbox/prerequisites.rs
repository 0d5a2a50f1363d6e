//! What must hold before anything is changed: each one sentence that says what to do.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use super::endpoints::host_ports;
use super::supply::{self, Item};
use super::{Layout, SandboxError, processes};

const GIB: u64 = 1024 * 1024 * 1024;
/// Free space for images, containers and the cluster's data.
const STATE_SPACE: u64 = 2 * GIB;
/// Free space for builds: a few GiB of Go's own cache, and what comes of it.
const BUILD_SPACE: u64 = 8 * GIB;
/// A socket's path may have 107 bytes; the longest name below the state folder takes 20 of them.
const LONGEST_STATE_PATH: usize = 80;

/// Ends with the first thing that is missing. Changes nothing.
pub fn check(layout: &Layout, items: &[Item]) -> Result<(), SandboxError> {
    root()?;
    state_path(layout.state())?;
    namespaces()?;
    // What an earlier run left open is closed by the next.
    if processes::of_state(layout.state()).is_empty() {
        for port in host_ports() {
            free_port(port)?;
        }
    }
    free_space(layout.state(), STATE_SPACE, "HYBRID_SANDBOX_DIR")?;
    let missing = supply::check(items, layout.cache());
    if let Some(missing) = missing.first() {
        return Err(SandboxError::Prerequisite(missing.to_string()));
    }
    if !layout.cache().builds().exists() {
        free_space(layout.cache().root(), BUILD_SPACE, "HYBRID_CACHE")?;
    }
    Ok(())
}

/// Whoever is inside the machine cannot start or stop it: its processes have other numbers there.
pub fn outside() -> Result<(), SandboxError> {
    let first = fs::read("/proc/1/cmdline").unwrap_or_default();
    if processes::is_background(&first) {
        return Err(SandboxError::Prerequisite(
            "This command runs inside the sandbox, which can be brought up and taken down only \
             from outside: leave `cargo sandbox exec` first."
                .to_owned(),
        ));
    }
    Ok(())
}

/// The first thing that every verb needs which touches the machine.
pub fn root() -> Result<(), SandboxError> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(SandboxError::Prerequisite(
        "The sandbox makes namespaces and mounts, which only root may do: run it as root, for \
         example with `sudo -E env PATH=\"$PATH\" cargo sandbox up`."
            .to_owned(),
    ))
}

fn state_path(state: &Path) -> Result<(), SandboxError> {
    let refuse = |why: &str| {
        Err(SandboxError::Prerequisite(format!(
            "The state folder `{}` {why}: set HYBRID_SANDBOX_DIR to another folder.",
            state.display()
        )))
    };
    let Some(text) = state.to_str() else {
        return refuse("has a name that is not text");
    };
    if text.len() > LONGEST_STATE_PATH {
        return refuse("has too long a name for the sockets in it");
    }
    if text.contains([':', ',', '"', '\\', '\n', ' ']) {
        return refuse("has a character in its name that mounts and settings cannot hold");
    }
    if ["/etc", "/run", "/proc", "/sys", "/dev"]
        .iter()
        .any(|dir| state.starts_with(dir))
    {
        return refuse("is in a place that the sandbox has to itself");
    }
    Ok(())
}

/// Asks the kernel itself, in a process that ends at once.
fn namespaces() -> Result<(), SandboxError> {
    let exe = std::env::current_exe().map_err(|source| SandboxError::OwnPath { source })?;
    let output = Command::new(exe)
        .arg("probe")
        .output()
        .map_err(SandboxError::system("try out namespaces"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said
        .trim()
        .trim_start_matches("error: ")
        .trim_end_matches('.');
    Err(SandboxError::Prerequisite(format!(
        "This machine does not let root make a machine of its own ({said}): run the sandbox where \
         namespaces and overlay mounts are allowed, in a container for example with --privileged."
    )))
}

fn free_port(port: u16) -> Result<(), SandboxError> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let by = listener_of(port)
                .map(|who| format!(" by {who}"))
                .unwrap_or_default();
            Err(SandboxError::Prerequisite(format!(
                "Port {port} on 127.0.0.1 is in use{by}, and the sandbox needs it: stop what \
                 listens there."
            )))
        }
        Err(error) => Err(SandboxError::Prerequisite(format!(
            "Port {port} on 127.0.0.1 cannot be opened ({error}), and the sandbox needs it."
        ))),
    }
}

/// The process that listens on a port, by name and id, as far as `/proc` tells.
fn listener_of(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .find_map(|table| listening_inode(&table, port))?;
    let link = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let pid = process.file_name();
        // Beside processes there are names, `self` among them.
        if !pid.as_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        for descriptor in descriptors.flatten() {
            if fs::read_link(descriptor.path()).is_ok_and(|target| target == OsStr::new(&link)) {
                let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                return Some(format!(
                    "{} (process {})",
                    name.trim(),
                    pid.to_string_lossy()
                ));
            }
        }
    }
    None
}

/// Finds a listening socket in the kernel's table: local address, state 0A, inode.
fn listening_inode(table: &str, port: u16) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local) = fields.get(1)?.rsplit_once(':')?;
        let listens = fields.get(3) == Some(&"0A");
        let same = u16::from_str_radix(local, 16).is_ok_and(|found| found == port);
        if listens && same {
            fields.get(9)?.parse().ok()
        } else {
            None
        }
    })
}

fn free_space(folder: &Path, needed: u64, setting: &str) -> Result<(), SandboxError> {
    let Some(existing) = folder.ancestors().find(|dir| dir.exists()) else {
        return Ok(());
    };
    let Ok(disk) = rustix::fs::statvfs(existing) else {
        return Ok(());
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= needed {
        return Ok(());
    }
    Err(SandboxError::Prerequisite(format!(
        "The disk of `{}` has {:.1} GiB free, and {} GiB are needed: make room, or set {setting} to \
         a folder on another disk.",
        folder.display(),
        // Tenths are all that is shown.
        f64::from(u32::try_from(free / (GIB / 10)).unwrap_or(u32::MAX)) / 10.0,
        needed / GIB,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_names_the_port_and_who_has_it() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let sentence = free_port(port).unwrap_err().to_string();
        assert!(sentence.contains(&format!("Port {port} ")), "{sentence}");
        assert!(
            sentence.contains(&format!("(process {})", std::process::id())),
            "{sentence}"
        );
    }

    #[test]
    fn a_full_disk_is_said_with_the_setting_that_helps() {
        let sentence = free_space(Path::new("/no/such"), u64::MAX, "HYBRID_CACHE").unwrap_err();
        assert!(
            sentence.to_string().contains("set HYBRID_CACHE"),
            "{sentence}"
        );
        assert_eq!(sentence.exit_code(), 2);
    }

    #[test]
    fn state_folders_that_cannot_work_are_refused() {
        let long = format!("/{}", "x".repeat(90));
        for path in [long.as_str(), "/etc/sandbox", "/tmp/with space", "/tmp/a:b"] {
            assert!(state_path(Path::new(path)).is_err(), "{path}");
        }
        assert!(state_path(Path::new("/var/lib/hybrid-sandbox")).is_ok());
    }

    #[test]
    fn the_kernels_table_is_read_for_listeners_alone() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:403B 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 41\n\
            1: 0100007F:403B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 42\n";
        assert_eq!(listening_inode(table, 0x403B), Some(42));
        assert_eq!(listening_inode(table, 1), None);
    }
}
