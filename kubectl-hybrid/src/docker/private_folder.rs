//! A folder that only this user can enter and that does not outlive its use.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::login::LoginError;
use super::surroundings::Surroundings;

/// What the private folders are called; the rest of the name is random.
pub(super) const PREFIX: &str = "kubectl-hybrid-docker-";

/// The file that a live folder's owner holds locked.
pub(super) const LOCK: &str = "owner.lock";

/// The folder that is put on `PATH`. It is made once the lock is held.
pub(super) const PROGRAMS: &str = "hybrid-bin";

/// Makes a private folder and holds its lock.
///
/// The runtime folder is preferred: it is in memory and ends with the user's session.
pub(super) fn make(surroundings: &Surroundings) -> Result<(TempDir, File), LoginError> {
    let runtime = surroundings.get("XDG_RUNTIME_DIR").map(PathBuf::from);
    let temporary = std::env::temp_dir();
    let make_in = |parent: &Path| {
        sweep(parent);
        let folder = private_name().tempdir_in(parent)?;
        let lock = File::create(folder.path().join(LOCK))?;
        lock.lock()?;
        Ok((folder, lock))
    };
    let in_runtime = runtime.as_deref().and_then(|parent| make_in(parent).ok());
    match in_runtime {
        Some(private) => Ok(private),
        None => make_in(&temporary).map_err(|source| LoginError::Folder {
            folder: temporary,
            source,
        }),
    }
}

#[cfg(unix)]
fn private_name() -> tempfile::Builder<'static, 'static> {
    use std::os::unix::fs::PermissionsExt as _;

    let mut builder = tempfile::Builder::new();
    builder
        .prefix(PREFIX)
        .permissions(std::fs::Permissions::from_mode(0o700));
    builder
}

/// The temporary folder of Windows is the user's own already.
#[cfg(not(unix))]
fn private_name() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX);
    builder
}

/// Removes the folders of owners that were killed. A folder is judged only once it shows that its
/// owner has taken the lock.
fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let folder = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(PREFIX)
            || !folder.join(PROGRAMS).is_dir()
        {
            continue;
        }
        let is_dead = File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if is_dead {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// Writes a file that only this user can read.
pub(super) fn write(path: &Path, config: &Value) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(config.to_string().as_bytes())?;
    file.flush()
}
