//! Whether the holder of a lock still lives, as far as this machine can tell.
//!
//! A lock names user and host, no process. On the holder's own host a Terraform process that works
//! in the root folder is taken for the holder.

use std::path::{Path, PathBuf};

use super::held::LockInfo;

/// What is known about the holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Liveness {
    /// The lock was taken on another host.
    OtherHost(String),
    /// It was taken on this host by another user.
    OtherUser(String),
    /// A Terraform process works in the root folder.
    Alive {
        /// Its process id.
        pid: u32,
    },
    /// It was taken here by this user, and no Terraform process works in the root folder.
    Dead,
    /// Not to be told, and why.
    Unknown(&'static str),
}

/// This host and user, as Terraform writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    /// The host's name.
    pub host: Option<String>,
    /// The user's name.
    pub user: Option<String>,
}

impl Here {
    /// Of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self {
            host: host_name(),
            user: user_name(),
        }
    }
}

/// A Terraform process.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    pid: u32,
    /// `None` when the system does not say.
    cwd: Option<PathBuf>,
}

/// Whether the holder of `lock` lives. `dir` is the root folder, when there is one.
#[must_use]
pub fn of_holder(lock: &LockInfo, here: &Here, dir: Option<&Path>) -> Liveness {
    judge(lock, here, dir, processes().as_deref())
}

fn judge(
    lock: &LockInfo,
    here: &Here,
    dir: Option<&Path>,
    processes: Option<&[Process]>,
) -> Liveness {
    let Some(host) = lock.host() else {
        return Liveness::Unknown("the lock names no host");
    };
    let Some(here_host) = &here.host else {
        return Liveness::Unknown("the name of this host is not known");
    };
    if !host.eq_ignore_ascii_case(here_host) {
        return Liveness::OtherHost(host.to_owned());
    }
    let Some(dir) = dir.and_then(|dir| dir.canonicalize().ok()) else {
        return Liveness::Unknown("there is no Terraform folder to look for processes in");
    };
    let Some(processes) = processes else {
        return Liveness::Unknown("processes cannot be looked at on this system");
    };
    if let Some(found) = processes
        .iter()
        .find(|process| process.cwd.as_ref() == Some(&dir))
    {
        return Liveness::Alive { pid: found.pid };
    }
    match (lock.user(), &here.user) {
        (Some(user), Some(here)) if user != here => return Liveness::OtherUser(user.to_owned()),
        (Some(_), Some(_)) => {}
        _ => return Liveness::Unknown("the user is not known"),
    }
    if processes.iter().any(|process| process.cwd.is_none()) {
        return Liveness::Unknown("a Terraform process runs in a folder that cannot be seen");
    }
    Liveness::Dead
}

#[cfg(target_os = "linux")]
fn processes() -> Option<Vec<Process>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").ok()? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // A process that ends meanwhile is simply not there.
        let Ok(name) = std::fs::read_to_string(entry.path().join("comm")) else {
            continue;
        };
        if !matches!(name.trim_end(), "terraform" | "tofu") || is_zombie(&entry.path()) {
            continue;
        }
        found.push(Process {
            pid,
            cwd: std::fs::read_link(entry.path().join("cwd")).ok(),
        });
    }
    Some(found)
}

/// A killed process stays in the table until its parent asks for it.
#[cfg(target_os = "linux")]
fn is_zombie(process: &Path) -> bool {
    std::fs::read_to_string(process.join("status"))
        .is_ok_and(|status| status.lines().any(|line| line.starts_with("State:\tZ")))
}

#[cfg(not(target_os = "linux"))]
fn processes() -> Option<Vec<Process>> {
    None
}

#[cfg(target_os = "linux")]
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Windows sets `COMPUTERNAME`; a shell may export `HOSTNAME`.
#[cfg(not(target_os = "linux"))]
fn host_name() -> Option<String> {
    ["COMPUTERNAME", "HOSTNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok())
        .filter(|name| !name.is_empty())
}

/// Terraform looks the user up in the system; the environment may have been cleaned.
#[cfg(unix)]
fn user_name() -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let uid = std::fs::metadata("/proc/self")
        .ok()
        .map(|metadata| metadata.uid().to_string());
    let known = std::fs::read_to_string("/etc/passwd")
        .ok()
        .and_then(|users| {
            let uid = uid?;
            let line = users
                .lines()
                .find(|line| line.split(':').nth(2) == Some(&uid))?;
            Some(line.split(':').next()?.to_owned())
        });
    known.or_else(|| {
        ["USER", "LOGNAME"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok())
    })
}

/// Windows users are written with their domain.
#[cfg(not(unix))]
fn user_name() -> Option<String> {
    let user = std::env::var("USERNAME").ok()?;
    Some(match std::env::var("USERDOMAIN") {
        Ok(domain) => format!("{domain}\\{user}"),
        Err(_) => user,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(who: &str) -> LockInfo {
        serde_json::from_value(serde_json::json!({"ID": "1", "Who": who})).unwrap()
    }

    fn here() -> Here {
        Here {
            host: Some("vm".to_owned()),
            user: Some("ann".to_owned()),
        }
    }

    #[test]
    fn the_holder_is_judged_by_host_folder_and_user() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let in_root = Process {
            pid: 7,
            cwd: Some(root.clone()),
        };
        let elsewhere = Process {
            pid: 8,
            cwd: Some(root.join("other")),
        };
        let hidden = Process { pid: 9, cwd: None };
        let judged = |who: &str, processes: &[Process]| {
            judge(&lock(who), &here(), Some(dir.path()), Some(processes))
        };
        assert_eq!(
            judged("ann@other", &[]),
            Liveness::OtherHost("other".to_owned())
        );
        assert_eq!(judged("ann@VM", &[]), Liveness::Dead);
        assert_eq!(
            judged("ann@vm", std::slice::from_ref(&elsewhere)),
            Liveness::Dead
        );
        assert_eq!(
            judged("ann@vm", &[elsewhere.clone(), in_root.clone()]),
            Liveness::Alive { pid: 7 }
        );
        assert_eq!(judged("bob@vm", &[in_root]), Liveness::Alive { pid: 7 });
        assert_eq!(
            judged("bob@vm", &[elsewhere]),
            Liveness::OtherUser("bob".to_owned())
        );
        assert!(matches!(judged("ann@vm", &[hidden]), Liveness::Unknown(_)));
        assert!(matches!(judged("", &[]), Liveness::Unknown(_)));
        assert!(matches!(
            judge(&lock("ann@vm"), &here(), None, Some(&[])),
            Liveness::Unknown(_)
        ));
        assert!(matches!(
            judge(&lock("ann@vm"), &here(), Some(dir.path()), None),
            Liveness::Unknown(_)
        ));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_host_and_user_are_known() {
        let here = Here::of_process();
        assert!(here.host.is_some_and(|host| !host.is_empty()));
        assert!(here.user.is_some_and(|user| !user.is_empty()));
        assert!(processes().is_some());
    }
}
