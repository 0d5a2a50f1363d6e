//! Processes that outlive the command that started them: recorded so that a later one finds them,
//! and never mistakes another process for them.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::SandboxError;

/// A process and what tells it from a later one with the same number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// The process id in the host's numbering.
    pub pid: u32,
    /// When it was started, in clock ticks after boot.
    pub started: u64,
    /// Which boot that was.
    pub boot: String,
}

impl ProcessRecord {
    /// The record of a process that is running now.
    pub fn of(pid: u32) -> io::Result<Self> {
        Ok(Self {
            pid,
            started: start_ticks(pid)?,
            boot: boot_id()?,
        })
    }

    /// The record of this very process, in the numbering of the `/proc` that is mounted now.
    pub fn of_self() -> io::Result<Self> {
        let link = fs::read_link("/proc/self")?;
        let pid = link.to_str().and_then(|text| text.parse().ok());
        Self::of(pid.ok_or_else(|| io::Error::other("`/proc` is not mounted"))?)
    }

    /// The record in a file, or nothing when there is none or it is torn.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Writes the record beside and renames it into place.
    pub fn write(&self, path: &Path) -> Result<(), SandboxError> {
        // The supervisor and its launcher write the same record, each in its own time.
        let beside = path.with_extension(format!("{}.new", std::process::id()));
        let text = serde_json::to_vec(self).unwrap_or_default();
        fs::write(&beside, text).map_err(SandboxError::io("write", &beside))?;
        fs::rename(&beside, path).map_err(SandboxError::io("move into place", path))
    }

    /// Whether that very process still runs.
    pub fn is_alive(&self) -> bool {
        start_ticks(self.pid).is_ok_and(|ticks| ticks == self.started)
            && boot_id().is_ok_and(|boot| boot == self.boot)
    }

    /// Sends a signal to that very process and waits until it is gone. True when it is.
    pub fn end(&self, signal: Signal, patience: Duration) -> bool {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return true;
        };
        // The descriptor is opened before the check, so that it cannot be another process later.
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
            return !self.is_alive();
        };
        if !self.is_alive() {
            return true;
        }
        if pidfd_send_signal(&process, signal).is_err() {
            return !self.is_alive();
        }
        gone_within(&process, patience)
    }
}

/// The supervisors and gates of a state folder, also those whose record is lost: whoever removed
/// the record without ending the process leaves ports open and data folders locked.
pub fn of_state(state: &Path) -> Vec<ProcessRecord> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pid_of = |name: &OsStr| name.to_str().and_then(|text| text.parse().ok());
    entries
        .flatten()
        .filter_map(|entry| Some((pid_of(&entry.file_name())?, entry.path())))
        .filter(|(_, process)| {
            let read = |name: &str| fs::read(process.join(name)).unwrap_or_default();
            is_background(&read("cmdline")) && is_of_state(&read("environ"), state)
        })
        .filter_map(|(pid, _)| ProcessRecord::of(pid).ok())
        .collect()
}

/// Whether a command line is one of this program's processes that outlive the command.
pub(super) fn is_background(command_line: &[u8]) -> bool {
    let mut words = command_line.split(|byte| *byte == 0);
    let program = words.next().unwrap_or_default();
    program.ends_with(b"hybrid-sandbox")
        && words
            .next()
            .is_some_and(|verb| verb == b"supervise" || verb == b"gate")
}

fn is_of_state(environ: &[u8], state: &Path) -> bool {
    let variable = [b"HYBRID_SANDBOX_DIR=", state.as_os_str().as_bytes()].concat();
    environ.split(|byte| *byte == 0).any(|it| it == variable)
}

/// Whether the process behind a descriptor ends within `patience`.
pub(crate) fn gone_within(process: &impl std::os::fd::AsFd, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(process, PollFlags::IN)];
        let timeout = Timespec::try_from(left).ok();
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(error) if error == rustix::io::Errno::INTR => {}
            Err(_) => return false,
        }
    }
}

fn start_ticks(pid: u32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_start_ticks(&stat)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the process has ended"))
}

/// Field 22 of `/proc/PID/stat`; the second one is in brackets and may hold anything. A process
/// that waits to be reaped counts as gone.
fn parse_start_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_the_sandbox_is_known_by_its_verb_and_its_state_folder() {
        assert!(is_background(b"/target/debug/hybrid-sandbox\0supervise\0"));
        assert!(is_background(b"hybrid-sandbox\0gate\0"));
        assert!(!is_background(b"hybrid-sandbox\0up\0"));
        assert!(!is_background(b"less\0gate\0"));
        let environ = b"HOME=/\0HYBRID_SANDBOX_DIR=/var/lib/one\0";
        assert!(is_of_state(environ, Path::new("/var/lib/one")));
        assert!(!is_of_state(environ, Path::new("/var/lib/on")));
    }
    use std::process::Command;

    #[test]
    fn start_ticks_are_found_behind_any_name() {
        let rest = "S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 1 2";
        assert_eq!(
            parse_start_ticks(&format!("9 (a) S (b) {rest}")),
            Some(4711)
        );
        assert_eq!(
            parse_start_ticks(&format!("9 (a) {}", rest.replacen('S', "Z", 1))),
            None
        );
        assert_eq!(parse_start_ticks("torn"), None);
    }

    #[test]
    fn a_record_of_another_process_with_the_same_number_is_not_alive() {
        let own = ProcessRecord::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        assert!(
            !ProcessRecord {
                started: own.started + 1,
                ..own.clone()
            }
            .is_alive()
        );
        assert!(
            !ProcessRecord {
                boot: "another boot".to_owned(),
                ..own
            }
            .is_alive()
        );
    }

    #[test]
    fn ending_a_process_waits_until_it_is_gone() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let record = ProcessRecord::of(child.id()).unwrap();
        assert!(record.end(Signal::KILL, Duration::from_secs(10)));
        assert!(!record.is_alive());
        assert!(record.end(Signal::KILL, Duration::from_secs(10)));
        child.wait().unwrap();
    }

    #[test]
    fn a_torn_record_is_no_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.json");
        fs::write(&path, "{\"pid\": 1").unwrap();
        assert_eq!(ProcessRecord::read(&path), None);
    }
}
