//! Which parts there are, and how each is. One thread reaps; everybody else waits for changes.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use super::protocol::{PartSpec, PartState, PartStatus};
use crate::sandbox::error::LOG_START;

/// Logs that are longer than this are begun anew when their part starts.
const LOG_LIMIT: u64 = 16 * 1024 * 1024;

/// A part that was started at least once.
pub(super) struct Part {
    pub(super) spec: PartSpec,
    pub(super) pid: u32,
    pub(super) since: Timestamp,
    pub(super) state: PartState,
}

#[derive(Default)]
struct Inner {
    parts: BTreeMap<String, Part>,
    /// Ends of children that nobody has claimed: a part may end before it is entered above.
    ended: HashMap<u32, PartState>,
}

/// The parts, shared by all threads.
#[derive(Default)]
pub(super) struct Table {
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reaps every child, adopted ones included. Never returns.
    pub(super) fn reap(&self) {
        loop {
            match rustix::process::wait(WaitOptions::empty()) {
                Ok(Some((pid, status))) => self.note_end(pid, status),
                // No child at the moment: the next one is announced when it is started.
                Ok(None) | Err(rustix::io::Errno::CHILD) => {
                    let guard = self.lock();
                    drop(self.changed.wait_timeout(guard, Duration::from_secs(1)));
                }
                Err(_) => {}
            }
        }
    }

    fn note_end(&self, pid: Pid, status: WaitStatus) {
        let state = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => PartState::Exited(code),
            (None, Some(signal)) => PartState::Killed(signal),
            (None, None) => return,
        };
        let pid = pid.as_raw_nonzero().get().unsigned_abs();
        let mut inner = self.lock();
        let part = inner
            .parts
            .values_mut()
            .find(|part| part.pid == pid && part.state == PartState::Running);
        if let Some(part) = part {
            part.state = state;
        } else {
            inner.ended.insert(pid, state);
        }
        drop(inner);
        self.changed.notify_all();
    }

    /// Starts the part and enters it.
    pub(super) fn spawn(&self, spec: &PartSpec) -> io::Result<()> {
        let Some((program, arguments)) = spec.command.split_first() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no program"));
        };
        let log = open_log(spec)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(&spec.environment)
            .current_dir("/")
            // A group of its own, so that a signal reaches what it has started as well.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut inner = self.lock();
        // The child is reaped by the one thread that reaps all.
        let pid = command.spawn()?.id();
        let state = inner.ended.remove(&pid).unwrap_or(PartState::Running);
        let part = Part {
            spec: spec.clone(),
            pid,
            since: Timestamp::now(),
            state,
        };
        inner.parts.insert(spec.name.clone(), part);
        // What is left are adopted processes, which nobody asks for.
        inner.ended.clear();
        drop(inner);
        self.changed.notify_all();
        Ok(())
    }

    /// How a part is, or nothing when it was never started.
    pub(super) fn state(&self, name: &str) -> Option<PartState> {
        self.lock().parts.get(name).map(|part| part.state)
    }

    /// The specification that a part was started with.
    pub(super) fn spec(&self, name: &str) -> Option<PartSpec> {
        self.lock().parts.get(name).map(|part| part.spec.clone())
    }

    /// All specifications.
    pub(super) fn specs(&self) -> Vec<PartSpec> {
        self.lock()
            .parts
            .values()
            .map(|part| part.spec.clone())
            .collect()
    }

    /// All parts.
    pub(super) fn statuses(&self) -> Vec<PartStatus> {
        let inner = self.lock();
        inner
            .parts
            .values()
            .map(|part| PartStatus {
                name: part.spec.name.clone(),
                kind: part.spec.kind,
                pid: part.pid,
                since: part.since.as_second(),
                state: part.state,
                log: part.spec.log.clone(),
            })
            .collect()
    }

    /// Waits until the part no longer runs or the time is over. True when it does not run.
    pub(super) fn wait_end(&self, name: &str, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut inner = self.lock();
        loop {
            match inner.parts.get(name) {
                Some(part) if part.state == PartState::Running => {}
                _ => return true,
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            inner = match self.changed.wait_timeout(inner, left) {
                Ok((guard, _)) => guard,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Sends a signal to a part that runs: to it alone, or to its whole group.
    pub(super) fn signal(&self, name: &str, signal: Signal, group: bool) {
        let inner = self.lock();
        let Some(part) = inner.parts.get(name) else {
            return;
        };
        // While the lock is held nobody enters another process under this number.
        if part.state != PartState::Running {
            return;
        }
        let Some(pid) = i32::try_from(part.pid).ok().and_then(Pid::from_raw) else {
            return;
        };
        // A process that has just ended is what the caller wants.
        let _ = if group {
            rustix::process::kill_process_group(pid, signal)
        } else {
            rustix::process::kill_process(pid, signal)
        };
    }
}

/// Starts the thread that reaps.
pub(super) fn start_reaper(table: &std::sync::Arc<Table>) -> io::Result<()> {
    let table = std::sync::Arc::clone(table);
    thread::Builder::new()
        .name("reaper".to_owned())
        .spawn(move || table.reap())?;
    Ok(())
}

fn open_log(spec: &PartSpec) -> io::Result<File> {
    let too_long = fs::metadata(&spec.log).is_ok_and(|meta| meta.len() > LOG_LIMIT);
    if too_long {
        fs::remove_file(&spec.log)?;
    }
    let mut log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&spec.log)?;
    writeln!(log, "{LOG_START}{}", Timestamp::now())?;
    Ok(log)
}
