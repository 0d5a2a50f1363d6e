//! Builds that are there whole or not at all.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::{Cache, SupplyError};
use crate::sandbox::report::Report;

/// Begins the name of a folder in which a build is under way.
const UNDER_WAY: &str = ".making-";

/// The right to change the cache folder. One run at a time has it; it ends with the process.
pub(super) struct Exclusive {
    _lock: File,
}

impl Exclusive {
    /// Waits for the runs before this one and then clears away what a killed one left.
    pub(super) fn take(cache: &Cache, report: &Report) -> Result<Self, SupplyError> {
        let builds = cache.builds();
        fs::create_dir_all(&builds).map_err(SupplyError::io("make the folder", &builds))?;
        let path = cache.root().join("lock");
        let file = File::create(&path).map_err(SupplyError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                report.step("waited for another run that uses the cache folder", || {
                    file.lock().map_err(SupplyError::io("lock", &path))
                })?;
            }
            Err(TryLockError::Error(source)) => {
                return Err(SupplyError::Io {
                    action: "lock",
                    path,
                    source,
                });
            }
        }
        clear_left_over(&builds)?;
        Ok(Self { _lock: file })
    }
}

fn clear_left_over(builds: &Path) -> Result<(), SupplyError> {
    let entries = fs::read_dir(builds).map_err(SupplyError::io("read", builds))?;
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNDER_WAY) {
            let path = entry.path();
            fs::remove_dir_all(&path).map_err(SupplyError::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Lets `make` fill a folder beside `target` and then puts it in the place of `target`, so that a
/// run which is killed leaves nothing that counts as built.
pub(super) fn whole<T>(
    target: &Path,
    make: impl FnOnce(&Path) -> Result<T, SupplyError>,
) -> Result<T, SupplyError> {
    let beside = beside(target);
    fs::create_dir_all(&beside).map_err(SupplyError::io("make the folder", &beside))?;
    let result = make(&beside).inspect_err(|_| {
        let _ = remove(&beside);
    })?;
    remove(target)?;
    fs::rename(&beside, target).map_err(SupplyError::io("move a build to", target))?;
    Ok(result)
}

/// Not the folder of an earlier process, whose compiler may have outlived it.
fn beside(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!("{UNDER_WAY}{name}-{}", std::process::id()))
}

/// Removes a folder with all that is in it; one that is not there is fine.
pub(super) fn remove(folder: &Path) -> Result<(), SupplyError> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(SupplyError::Io {
            action: "remove",
            path: folder.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// Writes a file of a build.
pub(super) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), SupplyError> {
    fs::write(path, content).map_err(SupplyError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_that_fails_leaves_nothing_and_the_one_before_stays() {
        let cache = tempfile::tempdir().unwrap();
        let target = cache.path().join("krew-0.4.4");
        whole(&target, |folder| write(&folder.join("krew"), "first")).unwrap();

        let failed = whole(&target, |folder| {
            write(&folder.join("krew"), "half")?;
            Err::<(), _>(SupplyError::NoCacheFolder)
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(target.join("krew")).unwrap(), "first");
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_build_takes_the_place_of_the_one_before() {
        let cache = tempfile::tempdir().unwrap();
        let target = cache.path().join("krew-0.4.4");
        whole(&target, |folder| write(&folder.join("old"), "")).unwrap();
        whole(&target, |folder| write(&folder.join("new"), "")).unwrap();
        assert!(!target.join("old").exists());
        assert!(target.join("new").exists());
    }

    #[test]
    fn what_a_killed_run_left_is_cleared_away_and_finished_builds_stay() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        fs::create_dir_all(cache.builds().join(".making-krew-0.4.4/half")).unwrap();
        fs::create_dir_all(cache.build("buildx", "0.29.1")).unwrap();
        let _mine = Exclusive::take(&cache, &Report::silent()).unwrap();
        assert!(!cache.builds().join(".making-krew-0.4.4").exists());
        assert!(cache.build("buildx", "0.29.1").exists());
    }
}
