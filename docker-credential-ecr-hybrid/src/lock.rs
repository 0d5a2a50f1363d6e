//! One mint for each key, however many processes ask.
//!
//! The lock is the operating system's own lock on a file, so that it goes with its holder: killing
//! the holder frees it at once. Waiting is bounded, because a holder may also just be stopped.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime};

use crate::key::Key;
use crate::private_files::{private, private_folder};

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

/// What came of asking for a lock.
#[derive(Debug)]
pub(crate) enum Asked {
    /// It was free.
    Free(Lock),
    /// Another process has it.
    Taken(Waiting),
    /// There is no place for a lock file: go on without.
    Impossible,
}

/// A lock that another process has.
#[derive(Debug)]
pub(crate) struct Waiting {
    file: File,
}

impl Lock {
    /// Asks for the lock of a key without waiting.
    pub(crate) fn ask(folder: Option<&Path>, key: &Key) -> Asked {
        let Some(file) = folder.and_then(|folder| open(folder, key)) else {
            return Asked::Impossible;
        };
        match file.try_lock() {
            Ok(()) => Asked::Free(Self { file }),
            Err(std::fs::TryLockError::WouldBlock) => Asked::Taken(Waiting { file }),
            Err(std::fs::TryLockError::Error(_)) => Asked::Impossible,
        }
    }

    /// Leaves a note for those who come after.
    pub(crate) fn leave_note(&mut self, note: &str) {
        let _ = self
            .file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .and_then(|()| self.file.write_all(note.as_bytes()));
    }

    /// The note of the holder before, if it left one.
    pub(crate) fn read_note(&self) -> String {
        note_in(&self.file)
    }

    /// Notes that something is kept under the key from now on.
    pub(crate) fn is_of_use(&self) {
        let _ = self.file.set_modified(SystemTime::now());
    }

    /// Notes that nothing is kept under the key. The file stays: whoever opened it a moment ago would
    /// have another lock than those who come after.
    pub(crate) fn is_of_no_more_use(&self) {
        let _ = self.file.set_modified(SystemTime::UNIX_EPOCH);
    }
}

impl Waiting {
    /// The note of the holder before the one that has the lock. Windows does not tell it.
    pub(crate) fn read_note(&self) -> String {
        note_in(&self.file)
    }

    /// Waits for the lock, but not longer than this.
    pub(crate) fn wait(self, patience: Duration) -> Option<Lock> {
        let (sender, receiver) = mpsc::channel();
        // Taking a lock can only be waited for without end, so a thread does the waiting. One that
        // comes too late finds nobody to hand the lock to, and lets it go.
        let waiter = thread::Builder::new().spawn(move || {
            if self.file.lock().is_ok() {
                let _ = sender.send(Lock { file: self.file });
            }
        });
        waiter.ok()?;
        receiver.recv_timeout(patience).ok()
    }
}

fn note_in(mut file: &File) -> String {
    let mut note = String::new();
    let _ = file
        .rewind()
        .and_then(|()| file.take(4096).read_to_string(&mut note));
    note
}

/// The keys of a folder under which something may be kept.
#[cfg(any(windows, target_os = "macos", test))]
pub(crate) fn keys(folder: &Path) -> Vec<Key> {
    let keys = last_used(folder).into_iter();
    let keys = keys.filter(|(_, at)| *at != SystemTime::UNIX_EPOCH);
    keys.map(|(key, _)| key).collect()
}

/// The keys of a folder that nobody has minted for in this time and under which something may be kept,
/// with their locks. One that somebody has just now is left out.
pub(crate) fn unused(folder: &Path, time: Duration) -> impl Iterator<Item = (Key, Lock)> {
    let is_unused = move |at: SystemTime| {
        at != SystemTime::UNIX_EPOCH && at.elapsed().is_ok_and(|elapsed| elapsed > time)
    };
    let keys = last_used(folder).into_iter();
    let keys = keys.filter(move |(_, at)| is_unused(*at));
    let lock = move |(key, _)| match Lock::ask(Some(folder), &key) {
        Asked::Free(lock) => {
            // Whoever had it until now may have minted.
            let at = lock.file.metadata().and_then(|file| file.modified());
            at.is_ok_and(is_unused).then_some((key, lock))
        }
        Asked::Taken(_) | Asked::Impossible => None,
    };
    keys.filter_map(lock)
}

/// The keys that were ever locked in a folder, and when something was last kept under them.
fn last_used(folder: &Path) -> Vec<(Key, SystemTime)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let key = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.ok()?;
        let name = entry.file_name().into_string().ok()?;
        let key = Key::from_text(name.strip_suffix(".lock")?)?;
        Some((key, entry.metadata().ok()?.modified().ok()?))
    };
    entries.filter_map(key).collect()
}

fn open(folder: &Path, key: &Key) -> Option<File> {
    private_folder(folder).ok()?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    private(&mut options);
    let path = folder.join(format!("{}.lock", key.as_str()));
    options.open(path).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn key() -> Key {
        Key::of_parts(&["lock"])
    }

    #[test]
    fn a_second_asker_waits_until_the_first_lets_go_and_finds_its_note() {
        let folder = tempfile::tempdir().unwrap();
        let ask = || Lock::ask(Some(folder.path()), &key());
        let Asked::Free(mut first) = ask() else {
            panic!("the lock is free");
        };
        let Asked::Taken(waiting) = ask() else {
            panic!("the lock is taken");
        };
        let second = thread::spawn(move || waiting.wait(Duration::from_secs(30)));
        first.leave_note("out of luck");
        drop(first);
        let mut second = second.join().unwrap().unwrap();
        assert_eq!(second.read_note(), "out of luck");
        second.leave_note("");
        assert_eq!(second.read_note(), "");
        assert_eq!(keys(folder.path()), [key()]);
    }

    #[test]
    fn waiting_is_bounded_and_the_late_lock_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let ask = || Lock::ask(Some(folder.path()), &key());
        let Asked::Free(first) = ask() else {
            panic!("the lock is free");
        };
        let Asked::Taken(waiting) = ask() else {
            panic!("the lock is taken");
        };
        let before = Instant::now();
        assert!(waiting.wait(Duration::from_millis(50)).is_none());
        assert!(before.elapsed() < Duration::from_secs(10));
        drop(first);
        // The late waiter may be holding it for a moment before it lets go.
        let late = match ask() {
            Asked::Free(lock) => Some(lock),
            Asked::Taken(waiting) => waiting.wait(Duration::from_secs(30)),
            Asked::Impossible => None,
        };
        assert!(late.is_some());
    }

    #[test]
    fn what_nobody_has_used_for_long_is_told_once_and_not_while_it_is_locked() {
        const DAY: Duration = Duration::from_hours(24);
        let folder = tempfile::tempdir().unwrap();
        let ask = |name: &str| match Lock::ask(Some(folder.path()), &Key::of_parts(&[name])) {
            Asked::Free(lock) => lock,
            _ => panic!("the lock is free"),
        };
        let unused = || -> Vec<_> { unused(folder.path(), DAY).collect() };
        drop(ask("young"));
        let old = ask("old");
        old.file.set_modified(SystemTime::now() - DAY * 2).unwrap();
        assert!(unused().is_empty());
        drop(old);
        let (key, lock) = unused().pop().unwrap();
        assert_eq!(key, Key::of_parts(&["old"]));
        lock.is_of_no_more_use();
        drop(lock);
        assert!(unused().is_empty());
        assert_eq!(keys(folder.path()), [Key::of_parts(&["young"])]);
        ask("old").is_of_use();
        assert_eq!(keys(folder.path()).len(), 2);
        assert!(unused().is_empty());
    }

    #[test]
    fn without_a_place_there_is_no_lock_and_no_error() {
        assert!(matches!(Lock::ask(None, &key()), Asked::Impossible));
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(
            Lock::ask(Some(file.path()), &key()),
            Asked::Impossible
        ));
    }
}
