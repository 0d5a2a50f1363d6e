//! Whether the holder of a lock still lives, as far as this machine can tell.
//!
//! A lock names user and host, no process. On the holder's own host a Terraform process that works
//! in the root folder, or in another folder with the same state, is taken for the holder.

use std::path::Path;

use super::held::LockInfo;
use super::processes::{self, Process, SameState};
use crate::terraform::backend::S3Backend;

/// What is known about the holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Liveness {
    /// The lock was taken on another host.
    OtherHost(String),
    /// It was taken on this host by another user.
    OtherUser(String),
    /// A Terraform process works on this state.
    Alive {
        /// Its process id.
        pid: u32,
    },
    /// It was taken here by this user, and no Terraform process works on this state.
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

/// Whether the holder of `lock` lives. `dir` is the root folder, when there is one, and `backend`
/// what the lock is of.
#[must_use]
pub fn of_holder(
    lock: &LockInfo,
    here: &Here,
    dir: Option<&Path>,
    backend: &S3Backend,
) -> Liveness {
    judge(lock, here, dir, || {
        processes::of_terraform(&backend.bucket, &backend.key)
    })
}

/// The processes are looked for only when the holder is on this host.
fn judge(
    lock: &LockInfo,
    here: &Here,
    dir: Option<&Path>,
    processes: impl FnOnce() -> Option<Vec<Process>>,
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
    let Some(processes) = processes() else {
        return Liveness::Unknown("the processes of this host cannot be looked at");
    };
    let dir = dir.and_then(|dir| dir.canonicalize().ok());
    if let Some(found) = processes
        .iter()
        .find(|process| process.works_in(dir.as_deref()) || process.state == SameState::Yes)
    {
        return Liveness::Alive { pid: found.pid };
    }
    match (lock.user(), &here.user) {
        (Some(user), Some(here)) if user != here => return Liveness::OtherUser(user.to_owned()),
        (Some(_), Some(_)) => {}
        _ => return Liveness::Unknown("the user is not known"),
    }
    if processes
        .iter()
        .any(|process| process.state == SameState::Unknown)
    {
        return Liveness::Unknown("a Terraform process runs here, and its state cannot be seen");
    }
    Liveness::Dead
}

/// Go's `os.Hostname`, which Terraform writes.
#[cfg(unix)]
fn host_name() -> Option<String> {
    let names = rustix::system::uname();
    let name = names.nodename().to_str().ok()?;
    Some(name.to_owned()).filter(|name| !name.is_empty())
}

#[cfg(not(unix))]
fn host_name() -> Option<String> {
    std::env::var("COMPUTERNAME")
        .ok()
        .filter(|name| !name.is_empty())
}

/// Terraform looks the user up in the system; the environment may have been cleaned.
#[cfg(unix)]
fn user_name() -> Option<String> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let known = std::fs::read_to_string("/etc/passwd")
        .ok()
        .and_then(|users| {
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
    use std::path::PathBuf;

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
    fn the_holder_is_judged_by_host_folder_state_and_user() {
        let dir = tempfile::tempdir().unwrap();
        let process = |pid, cwd: Option<PathBuf>, state| Process { pid, cwd, state };
        let root = dir.path().canonicalize().unwrap();
        let in_root = process(7, Some(root.clone()), SameState::Unknown);
        let other_state = process(8, Some(root.join("other")), SameState::No);
        let other_clone = process(9, Some(root.join("clone")), SameState::Yes);
        let hidden = process(10, None, SameState::Unknown);
        let judged = |who: &str, processes: &[&Process]| {
            judge(&lock(who), &here(), Some(dir.path()), || {
                Some(processes.iter().copied().cloned().collect())
            })
        };
        assert_eq!(
            judged("ann@other", &[]),
            Liveness::OtherHost("other".to_owned())
        );
        assert_eq!(judged("ann@VM", &[]), Liveness::Dead);
        assert_eq!(judged("ann@vm", &[&other_state]), Liveness::Dead);
        assert_eq!(
            judged("ann@vm", &[&other_state, &in_root]),
            Liveness::Alive { pid: 7 }
        );
        assert_eq!(
            judged("ann@vm", &[&other_clone]),
            Liveness::Alive { pid: 9 }
        );
        assert_eq!(judged("bob@vm", &[&in_root]), Liveness::Alive { pid: 7 });
        assert_eq!(
            judged("bob@vm", &[&other_state]),
            Liveness::OtherUser("bob".to_owned())
        );
        assert!(matches!(judged("ann@vm", &[&hidden]), Liveness::Unknown(_)));
        assert!(matches!(judged("", &[]), Liveness::Unknown(_)));
        // Without a Terraform folder the state alone tells.
        assert_eq!(
            judge(&lock("ann@vm"), &here(), None, || Some(vec![])),
            Liveness::Dead
        );
        assert!(matches!(
            judge(&lock("ann@vm"), &here(), Some(dir.path()), || None),
            Liveness::Unknown(_)
        ));
    }

    #[test]
    fn this_host_and_user_are_known() {
        let here = Here::of_process();
        assert!(here.host.is_some_and(|host| !host.is_empty()));
        assert!(here.user.is_some_and(|user| !user.is_empty()));
    }
}
