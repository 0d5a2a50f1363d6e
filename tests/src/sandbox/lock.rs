//! One change of the sandbox at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::{Layout, SandboxError};

/// Held while the sandbox is brought up or taken down, or while its tests run; let go when dropped, or when its holder is
/// killed.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock. When somebody else holds it, `waiting` is told who, and this waits.
    pub fn take(layout: &Layout, waiting: impl FnOnce(&str)) -> Result<Self, SandboxError> {
        Self::at(layout, &layout.lock_file(), waiting)
    }

    /// The same for a run of the tests: two at once would make each other fail.
    pub fn for_tests(layout: &Layout, waiting: impl FnOnce(&str)) -> Result<Self, SandboxError> {
        Self::at(layout, &layout.test_lock_file(), waiting)
    }

    fn at(layout: &Layout, path: &Path, waiting: impl FnOnce(&str)) -> Result<Self, SandboxError> {
        fs::create_dir_all(layout.state()).map_err(SandboxError::io("create", layout.state()))?;
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(path)
            .map_err(SandboxError::io("open", path))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            // Who it is, is a courtesy.
            let _ = file.read_to_string(&mut holder);
            waiting(holder.trim());
            flock(&file, FlockOperation::LockExclusive)
                .map_err(|error| SandboxError::io("lock", path)(error.into()))?;
        }
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)).map(drop))
            .and_then(|()| write!(file, "process {}", std::process::id()))
            .map_err(SandboxError::io("write", path))?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::supply::Cache;

    #[test]
    fn a_second_one_waits_and_is_told_for_whom() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::at(dir.path(), Cache::at(dir.path()));
        let first = Lock::take(&layout, |_| panic!("nobody holds it")).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let second = std::thread::spawn(move || {
            Lock::take(&layout, |holder| tell.send(holder.to_owned()).unwrap()).map(drop)
        });
        assert_eq!(
            told.recv().unwrap(),
            format!("process {}", std::process::id())
        );
        drop(first);
        second.join().unwrap().unwrap();
    }
}
