//! A person's file, read and replaced whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::error::ConfigureError;
use crate::environment::Environment;
use crate::private_files::{private, private_folder};

/// How many links are followed to the file itself.
const MOST_LINKS: usize = 40;

/// How long another run of ours is waited for. It needs a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The file itself, behind all links.
    path: PathBuf,
    /// All of it; `None` when there is no file.
    bytes: Option<Vec<u8>>,
    has_mark: bool,
}

impl Found {
    /// Reads the file that a path leads to.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigureError> {
        let unreadable = |source| ConfigureError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let path = behind_links(path).map_err(unreadable)?;
        let bytes = read(&path).map_err(unreadable)?;
        let has_mark = bytes
            .as_ref()
            .is_some_and(|bytes| bytes.starts_with(BYTE_ORDER_MARK.as_bytes()));
        Ok(Self {
            path,
            bytes,
            has_mark,
        })
    }

    /// Whether there is a file.
    pub(super) fn exists(&self) -> bool {
        self.bytes.is_some()
    }

    /// The text without its byte order mark. A file that is not there, or blank, has none.
    pub(super) fn text(&self) -> Result<Option<&str>, ConfigureError> {
        let bytes = self.bytes.as_deref().unwrap_or_default();
        match str::from_utf8(bytes) {
            Ok(text) => {
                let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
                Ok((!text.trim().is_empty()).then_some(text))
            }
            Err(error) => {
                let before = &bytes[..error.valid_up_to()];
                let line_start = before.iter().rposition(|byte| *byte == b'\n');
                Err(ConfigureError::Invalid {
                    path: self.path.clone(),
                    line: 1 + before.split(|byte| *byte == b'\n').skip(1).count(),
                    column: before.len() - line_start.map_or(0, |at| at + 1) + 1,
                    why: "it is not UTF-8".to_owned(),
                })
            }
        }
    }

    /// Puts another text in the file's place, unless the file has changed since it was read: then
    /// false.
    ///
    /// The new file is written beside the old one, with its mode and owner, and renamed, so that
    /// whoever reads at the same time sees one or the other.
    pub(super) fn replace(&self, text: &str) -> io::Result<bool> {
        let folder = self
            .path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            private_folder(folder)?;
        }
        let beside = beside(&self.path)?;
        let mark = if self.has_mark { BYTE_ORDER_MARK } else { "" };
        let result = write(&beside, mark, text)
            .and_then(|()| like(&self.path, &beside))
            .and_then(|()| {
                if read(&self.path)? != self.bytes {
                    return Ok(false);
                }
                fs::rename(&beside, &self.path).map(|()| true)
            });
        if !matches!(result, Ok(true)) {
            let _ = fs::remove_file(&beside);
        }
        result
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The file that a path leads to; it need not exist.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(target) => {
                // A relative link starts from the folder that it is in.
                path = path.parent().unwrap_or(Path::new("")).join(target);
            }
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("it is a link that leads back to itself"))
}

/// A name beside a file that no other process of ours uses.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::from(ErrorKind::InvalidInput))?;
    let mut beside = name.to_owned();
    beside.push(format!(".ecr-hybrid-{}", std::process::id()));
    Ok(path.with_file_name(beside))
}

fn write(path: &Path, mark: &str, text: &str) -> io::Result<()> {
    // Left behind by a process of the same number that was killed.
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    private(&mut options);
    let mut file = options.open(path)?;
    file.write_all(mark.as_bytes())?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Gives a new file the mode and the owner of the one that it takes the place of.
fn like(old: &Path, new: &Path) -> io::Result<()> {
    let old = match fs::metadata(old) {
        Ok(old) => old,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let own = fs::metadata(new)?;
        if own.uid() != old.uid() || own.gid() != old.gid() {
            let given = std::os::unix::fs::chown(new, Some(old.uid()), Some(old.gid()));
            // A group may be one that only its members can give away; an owner matters more.
            if own.uid() != old.uid() {
                given?;
            }
        }
    }
    // After the owner, whose change takes some bits away.
    fs::set_permissions(new, old.permissions())
}

/// Held while files are changed, so that two runs of ours wait for each other. Without a place for
/// the lock it goes without: the comparison before the file is replaced is still there.
pub(super) fn turn(environment: &Environment) -> Option<File> {
    let folder = environment.cache_folder()?;
    private_folder(&folder).ok()?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    private(&mut options);
    let file = options.open(folder.join("configure.lock")).ok()?;
    let (sender, receiver) = mpsc::channel();
    // A lock can only be waited for without end, so a thread does the waiting.
    thread::Builder::new()
        .spawn(move || {
            if file.lock().is_ok() {
                let _ = sender.send(file);
            }
        })
        .ok()?;
    receiver.recv_timeout(PATIENCE).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changed_meanwhile_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let found = Found::read(&path).unwrap();
        assert!(!found.exists());
        fs::write(&path, "{}").unwrap();
        assert!(!found.replace("mine").unwrap());
        let found = Found::read(&path).unwrap();
        assert!(found.replace("mine").unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_byte_order_mark_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, "\u{feff}{}").unwrap();
        let found = Found::read(&path).unwrap();
        assert_eq!(found.text().unwrap(), Some("{}"));
        found.replace("{1}").unwrap();
        assert_eq!(fs::read(&path).unwrap(), "\u{feff}{1}".as_bytes());
    }

    #[test]
    fn what_is_no_text_is_named_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, b"{\n  \xff}").unwrap();
        let error = Found::read(&path).unwrap().text().unwrap_err().to_string();
        assert!(
            error.contains("line 2, column 3: it is not UTF-8"),
            "{error}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_the_mode_stays() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        fs::create_dir(place("dotfiles")).unwrap();
        fs::write(place("dotfiles/docker.json"), "{}").unwrap();
        fs::set_permissions(
            place("dotfiles/docker.json"),
            fs::Permissions::from_mode(0o640),
        )
        .unwrap();
        std::os::unix::fs::symlink("dotfiles/docker.json", place("two")).unwrap();
        std::os::unix::fs::symlink(place("two"), place("config.json")).unwrap();
        let found = Found::read(&place("config.json")).unwrap();
        assert!(found.replace("new").unwrap());
        assert!(place("config.json").is_symlink() && place("two").is_symlink());
        let file = place("dotfiles/docker.json");
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(
            fs::metadata(file).unwrap().permissions().mode() & 0o777,
            0o640
        );
        std::os::unix::fs::symlink("loop", place("loop")).unwrap();
        assert!(Found::read(&place("loop")).is_err());
    }
}
