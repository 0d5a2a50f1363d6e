//! Files that are whole or not there, and for their owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Writes beside the file and renames, so that a reader and a killed writer leave a whole file.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = create(&beside)?;
    file.write_all(bytes)?;
    drop(file);
    fs::rename(&beside, path)
}

/// Creates or empties a file that only its owner reads.
fn create(path: &Path) -> io::Result<File> {
    owners(OpenOptions::new().write(true).create(true).truncate(true)).open(path)
}

/// Opens a file for reading and appending; only its owner reads it.
pub(super) fn open_to_append(path: &Path) -> io::Result<File> {
    owners(OpenOptions::new().read(true).append(true).create(true)).open(path)
}

#[cfg(unix)]
fn owners(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600)
}

#[cfg(not(unix))]
fn owners(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}
