//! A build context as Docker sees it.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use super::build::Source;
use super::content::ContentError;
use super::ignore::IgnoreRules;
use super::stamp::Stamp;

/// The files and folders of a context that Docker sees, listed but not read.
#[derive(Debug)]
pub(super) struct Context {
    entries: BTreeMap<Vec<u8>, Entry>,
    rules: IgnoreRules,
    /// Files that decide although the rules may leave them out: the Dockerfile and the rules.
    decisive: Vec<Vec<u8>>,
    /// The Dockerfile's path in the context, when it is there.
    pub(super) dockerfile: Option<Vec<u8>>,
    /// Whether Docker sees Git's own folder.
    pub(super) sees_git: bool,
    /// The bytes of decisive files outside the context.
    pub(super) outside: Vec<Vec<u8>>,
    /// The bytes of the rules.
    rules_text: Vec<u8>,
}

/// What one look at a context saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen([u8; 32]);

#[derive(Debug)]
struct Entry {
    kind: Kind,
    mode: u32,
    stamp: Stamp,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
    Link(Vec<u8>),
}

impl Context {
    /// Lists the context of this source.
    pub(super) fn read(source: &Source) -> Result<Self, ContentError> {
        let folder = &source.context;
        let dockerfile = source.dockerfile();
        // The file that is named after the Dockerfile comes first, as BuildKit has it.
        let mut own_rules = dockerfile.clone().into_os_string();
        own_rules.push(".dockerignore");
        let own_rules = PathBuf::from(own_rules);
        let rules_file = if own_rules.is_file() {
            own_rules
        } else {
            folder.join(".dockerignore")
        };
        let rules_text = match std::fs::read(&rules_file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(unreadable(&rules_file, source)),
        };
        let mut context = Self {
            entries: BTreeMap::new(),
            rules: IgnoreRules::parse(&String::from_utf8_lossy(&rules_text)),
            decisive: Vec::new(),
            dockerfile: inside(folder, &dockerfile),
            sees_git: false,
            outside: Vec::new(),
            rules_text,
        };
        for file in [&dockerfile, &rules_file] {
            if !file.is_file() {
                continue;
            }
            match inside(folder, file) {
                Some(path) => {
                    context.add(folder, path.clone())?;
                    context.decisive.push(path);
                }
                None => context
                    .outside
                    .push(std::fs::read(file).map_err(|source| unreadable(file, source))?),
            }
        }
        context.walk(folder, &[])?;
        Ok(context)
    }

    /// What this look saw, to compare with a later one; nothing where that would not tell.
    ///
    /// Nothing is read for it: a file that has the same number, length and times is the same one. That
    /// tells nothing of a file that was written while this one looked, which is why the time of the
    /// look counts (the same as Git's "racy" entries).
    pub(super) fn seen(&self, at: SystemTime) -> Option<Seen> {
        // What Git's folder is worth is not in its entries.
        let tells = !self.sees_git && !self.entries.values().any(|entry| entry.stamp.is_racy(at));
        tells.then(|| self.look())
    }

    /// Whether what this look saw is the same.
    pub(super) fn has_the_look_of(&self, seen: Seen) -> bool {
        !self.sees_git && self.look() == seen
    }

    fn look(&self) -> Seen {
        let mut hash = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        field(&self.rules_text);
        for (path, entry) in &self.entries {
            field(path);
            field(&entry.mode.to_le_bytes());
            match &entry.kind {
                Kind::Folder => field(b"folder"),
                Kind::Link(target) => field(target),
                Kind::File => field(&entry.stamp.to_bytes()),
            }
        }
        for content in &self.outside {
            field(content);
        }
        Seen(hash.finalize().into())
    }

    /// Whether Docker sees what is, or was, at this path.
    pub(super) fn sees(&self, path: &[u8]) -> bool {
        self.decisive.iter().any(|decisive| decisive == path) || !self.rules.excludes(path)
    }

    /// The files and links that Docker sees. Folders are left out, as Git has none.
    pub(super) fn files(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.entries
            .iter()
            .filter(|(_, entry)| entry.kind != Kind::Folder)
            .map(|(path, _)| path)
    }

    /// Reads every file and hashes all of it, after these options: 64 hexadecimal digits.
    pub(super) fn hash(&self, folder: &Path, options: &[u8]) -> Result<String, ContentError> {
        let mut hash = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        field(options);
        for (path, entry) in &self.entries {
            field(path);
            field(&entry.mode.to_le_bytes());
            match &entry.kind {
                Kind::Folder => field(b"folder"),
                Kind::Link(target) => {
                    field(b"link");
                    field(target);
                }
                Kind::File => {
                    field(b"file");
                    let file = join(folder, path);
                    let content = hash_file(&file).map_err(|source| unreadable(&file, source))?;
                    field(&content);
                }
            }
        }
        Ok(hex(&hash.finalize()))
    }

    fn walk(&mut self, folder: &Path, prefix: &[u8]) -> Result<(), ContentError> {
        let place = join(folder, prefix);
        let failed = |source| unreadable(&place, source);
        for entry in std::fs::read_dir(&place).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let mut path = prefix.to_vec();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name.as_encoded_bytes());
            let excluded = self.rules.excludes(&path);
            if excluded && !self.rules.has_exceptions() {
                continue;
            }
            if path == b".git" {
                // Each command of Git changes something in it. What a build can want of it is
                // which commit it builds.
                self.sees_git = !excluded;
                continue;
            }
            let is_folder = if excluded {
                join(folder, &path)
                    .symlink_metadata()
                    .is_ok_and(|m| m.is_dir())
            } else {
                self.add(folder, path.clone())?
            };
            if is_folder {
                self.walk(folder, &path)?;
            }
        }
        Ok(())
    }

    /// Adds one entry and says whether it is a folder.
    fn add(&mut self, folder: &Path, path: Vec<u8>) -> Result<bool, ContentError> {
        let place = join(folder, &path);
        let failed = |source| unreadable(&place, source);
        let metadata = place.symlink_metadata().map_err(failed)?;
        let kind = if metadata.is_dir() {
            Kind::Folder
        } else if metadata.is_symlink() {
            let target = std::fs::read_link(&place).map_err(failed)?;
            Kind::Link(target.as_os_str().as_encoded_bytes().to_vec())
        } else if metadata.is_file() {
            Kind::File
        } else {
            // Sockets, pipes and devices are not sent to the builder.
            return Ok(false);
        };
        let is_folder = kind == Kind::Folder;
        let (mode, stamp) = (mode(&metadata), Stamp::of(&metadata));
        self.entries.insert(path, Entry { kind, mode, stamp });
        Ok(is_folder)
    }
}

#[cfg(unix)]
fn mode(metadata: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;

    if metadata.is_symlink() {
        0o777
    } else {
        metadata.permissions().mode() & 0o7777
    }
}

/// Docker gives every file of a context on Windows the same mode.
#[cfg(not(unix))]
fn mode(_metadata: &std::fs::Metadata) -> u32 {
    0o755
}

/// The path of a file relative to the context, or nothing when it is elsewhere.
fn inside(context: &Path, file: &Path) -> Option<Vec<u8>> {
    let file = match (file.parent()?.canonicalize(), file.file_name()) {
        (Ok(parent), Some(name)) => parent.join(name),
        _ => return None,
    };
    let relative = file
        .strip_prefix(context.canonicalize().ok()?)
        .ok()?
        .to_path_buf();
    let parts: Vec<&[u8]> = relative
        .components()
        .map(|part| part.as_os_str().as_encoded_bytes())
        .collect();
    Some(parts.join(&b'/'))
}

/// The place of an entry. The bytes came from names that this system gave.
#[cfg(unix)]
fn join(folder: &Path, path: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;

    if path.is_empty() {
        return folder.to_path_buf();
    }
    folder.join(std::ffi::OsStr::from_bytes(path))
}

#[cfg(not(unix))]
fn join(folder: &Path, path: &[u8]) -> PathBuf {
    if path.is_empty() {
        return folder.to_path_buf();
    }
    folder.join(String::from_utf8_lossy(path).as_ref())
}

fn hash_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok(hash.finalize().to_vec());
        }
        hash.update(&chunk[..read]);
    }
}

fn unreadable(path: &Path, source: io::Error) -> ContentError {
    ContentError::Read {
        path: path.to_path_buf(),
        source,
    }
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
