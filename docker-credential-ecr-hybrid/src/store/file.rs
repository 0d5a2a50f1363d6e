//! One file for each token, 0600 in a folder of 0700.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use super::kind::{Store, StoreError};
use crate::key::Key;
use crate::private_files::{is_private, private, private_folder};

const NAME: &str = "file";

/// A token of 8 KiB makes an entry far below this; anything above is not ours.
const LARGEST: u64 = 256 * 1024;

/// AWS gives tokens twelve hours.
const LONGEST_LIFE: Duration = Duration::from_hours(24);

/// Tokens as files in a folder.
#[derive(Debug)]
pub struct FileStore {
    folder: PathBuf,
}

impl FileStore {
    /// A store in a folder, which is made when it is first written to.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(format!("{}.json", key.as_str()))
    }

    /// Removes tokens that nobody has renewed for longer than any token lives, and what killed
    /// writers left behind.
    fn remove_old(&self) {
        let is_old = |entry: &fs::DirEntry| {
            let written = entry.metadata().and_then(|metadata| metadata.modified());
            written.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > LONGEST_LIFE))
        };
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if matches!(extension, Some("json" | "part")) && is_old(&entry) {
                let _ = fs::remove_file(path);
            }
        }
    }

    fn write(&self, key: &Key, bytes: &[u8]) -> io::Result<()> {
        private_folder(&self.folder)?;
        let path = self.path(key);
        // Beside the target, and named by the process, so that two writers never share a file.
        let beside = path.with_extension(format!("{}.part", std::process::id()));
        let written = private_file(&beside)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| fs::rename(&beside, &path));
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written
    }
}

impl Store for FileStore {
    fn name(&self) -> &'static str {
        NAME
    }

    fn load(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let path = self.path(key);
        match read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path, &error)),
        }
    }

    fn save(&self, key: &Key, bytes: &[u8], _life: Duration) -> Result<(), StoreError> {
        self.remove_old();
        self.write(key, bytes).map_err(|error| {
            let path = self.path(key);
            let _ = fs::remove_file(&path);
            failed("keep", &path, &error)
        })
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        let path = self.path(key);
        match fs::remove_file(&path) {
            Err(error) if !is_absent(&error) => Err(failed("remove", &path, &error)),
            _ => Ok(()),
        }
    }

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            // What systems say of a file in its place differs.
            Err(_) if !self.folder.is_dir() => return Ok(Vec::new()),
            Err(error) => return Err(failed("list", &self.folder, &error)),
        };
        let key = |entry: io::Result<fs::DirEntry>| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            Key::from_text(name.strip_suffix(".json")?)
        };
        Ok(entries.filter_map(key).collect())
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn failed(doing: &'static str, path: &Path, error: &io::Error) -> StoreError {
    StoreError::Failed {
        store: NAME,
        doing,
        why: format!("{}: {error}", path.display()),
    }
}

fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    use std::io::Read as _;

    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let length = metadata.len();
    if length > LARGEST {
        return Err(io::Error::other("the file is too large to be a token"));
    }
    if !is_private(&metadata) {
        return Err(io::Error::other("the file is not this user's alone"));
    }
    // Room for all of it at once, so that no copy is left behind by growing.
    let room = usize::try_from(length).unwrap_or_default() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a new file that only its owner reads.
fn private_file(path: &Path) -> io::Result<File> {
    // A part that a killed process of the same number left behind must not lend its mode.
    let _ = fs::remove_file(path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    private(&mut options);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_hours(12);

    fn key(name: &str) -> Key {
        Key::of_parts(&[name])
    }

    #[test]
    fn a_token_is_kept_replaced_listed_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path().join("deep").join("down"));
        assert!(store.load(&key("a")).unwrap().is_none());
        assert!(store.keys().unwrap().is_empty());
        store.save(&key("a"), b"one", LIFE).unwrap();
        store.save(&key("a"), b"two", LIFE).unwrap();
        assert_eq!(&**store.load(&key("a")).unwrap().unwrap(), b"two");
        assert_eq!(store.keys().unwrap(), [key("a")]);
        store.delete(&key("a")).unwrap();
        store.delete(&key("a")).unwrap();
        assert!(store.load(&key("a")).unwrap().is_none());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_the_file_and_enters_the_folder() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("cache");
        let store = FileStore::new(place.clone());
        store.save(&key("a"), b"one", LIFE).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&place), 0o700);
        assert_eq!(mode(&store.path(&key("a"))), 0o600);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_or_write_is_not_believed() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path().to_owned());
        store.save(&key("a"), b"one", LIFE).unwrap();
        let path = store.path(&key("a"));
        for mode in [0o640, 0o602, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = store.load(&key("a")).unwrap_err().to_string();
            assert!(error.contains("not this user's alone"), "{error}");
        }
        store.save(&key("a"), b"two", LIFE).unwrap();
        assert_eq!(&**store.load(&key("a")).unwrap().unwrap(), b"two");
    }

    #[test]
    fn tokens_that_nobody_renewed_are_removed_with_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path().to_owned());
        for name in ["old", "young"] {
            store.save(&key(name), b"one", LIFE).unwrap();
        }
        let before = std::time::SystemTime::now() - LONGEST_LIFE * 2;
        let old = File::options()
            .write(true)
            .open(store.path(&key("old")))
            .unwrap();
        old.set_modified(before).unwrap();
        // Windows tells the times of an open file late.
        drop(old);
        store.save(&key("new"), b"one", LIFE).unwrap();
        let mut kept = store.keys().unwrap();
        kept.sort();
        let mut expected = [key("young"), key("new")];
        expected.sort();
        assert_eq!(kept, expected);
    }

    #[test]
    fn a_failed_write_leaves_no_older_token() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path().to_owned());
        store.save(&key("a"), b"old", LIFE).unwrap();
        let part = store
            .path(&key("a"))
            .with_extension(format!("{}.part", std::process::id()));
        fs::create_dir(part).unwrap();
        assert!(store.save(&key("a"), b"new", LIFE).is_err());
        assert!(store.load(&key("a")).unwrap().is_none());
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_an_error_and_not_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("file");
        fs::write(&place, "x").unwrap();
        let store = FileStore::new(place);
        assert!(store.save(&key("a"), b"one", LIFE).is_err());
        assert!(store.keys().unwrap().is_empty());
    }
}
