//! The contract of a state that was read before, kept with the `ETag` that S3 confirms.
//!
//! Only the output `hybrid` is kept, never the state: other outputs may be secret. An entry is
//! used only after S3 answered "not modified" to someone who may read the state.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::keys::StateAddress;

/// What is remembered of one state object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// As S3 sent it, quotes included.
    pub(super) etag: String,
    /// The hex MD5 of the state's bytes, for the digest in the lock table.
    pub(super) md5: String,
    pub(super) serial: u64,
    pub(super) lineage: String,
    pub(super) terraform_version: String,
    /// Seconds since 1970.
    pub(super) last_modified: Option<i64>,
    pub(super) output: Value,
}

/// A folder of entries; without a folder nothing is kept.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    file: Option<PathBuf>,
}

impl Cache {
    /// One file for each state; the endpoint counts, because buckets of two clouds may share names.
    pub(super) fn new(
        folder: Option<&Path>,
        endpoint: Option<&str>,
        address: &StateAddress,
    ) -> Self {
        let mut hash = Sha256::new();
        for part in [endpoint.unwrap_or_default(), &address.bucket, &address.key] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let name: String = hex(&hash.finalize()).chars().take(32).collect();
        Self {
            file: folder.map(|folder| folder.join(format!("{name}.json"))),
        }
    }

    /// A missing, broken or older file is no entry.
    pub(super) fn get(&self) -> Option<Entry> {
        let text = std::fs::read(self.file.as_ref()?).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// A cache that cannot be written costs time, not correctness; so failures are ignored.
    pub(super) fn put(&self, entry: &Entry) {
        let Some(file) = &self.file else { return };
        let _written = write_whole(file, entry);
    }

    pub(super) fn forget(&self) {
        if let Some(file) = &self.file {
            let _removed = std::fs::remove_file(file);
        }
    }
}

/// Whole or not at all; the temporary file is private to the user from the start.
fn write_whole(file: &Path, entry: &Entry) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut whole = tempfile::NamedTempFile::new_in(folder)?;
    whole.write_all(&serde_json::to_vec(entry)?)?;
    whole.persist(file)?;
    Ok(())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _infallible = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(key: &str) -> StateAddress {
        StateAddress {
            bucket: "b".to_owned(),
            key: key.to_owned(),
        }
    }

    #[test]
    fn an_entry_comes_back_only_for_its_own_state() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("contracts");
        let entry = Entry {
            etag: "\"e\"".to_owned(),
            md5: "m".to_owned(),
            serial: 3,
            lineage: "l".to_owned(),
            terraform_version: "1.11.4".to_owned(),
            last_modified: Some(5),
            output: serde_json::json!({"schema_version": 1}),
        };
        let cache = Cache::new(Some(&folder), None, &address("k"));
        assert_eq!(cache.get(), None);
        cache.put(&entry);
        assert_eq!(cache.get(), Some(entry));
        assert_eq!(Cache::new(Some(&folder), None, &address("k2")).get(), None);
        assert_eq!(
            Cache::new(Some(&folder), Some("http://127.0.0.1:1"), &address("k")).get(),
            None
        );
        assert_eq!(Cache::new(None, None, &address("k")).get(), None);
        cache.forget();
        assert_eq!(cache.get(), None);
    }

    #[test]
    fn a_broken_file_is_no_entry() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(Some(dir.path()), None, &address("k"));
        std::fs::write(cache.file.as_ref().unwrap(), "{").unwrap();
        assert_eq!(cache.get(), None);
    }
}
