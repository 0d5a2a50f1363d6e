//! A store that is asked only once something was put into it.
//!
//! Asking the desktop's keyring takes longer than everything else together. Where the kernel keeps
//! the tokens it is only the spare, for what the kernel has no room for; an empty file in the cache
//! folder says that there is something in it.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::kind::{Store, StoreError};
use crate::key::Key;
use crate::private_files::{private, private_folder};

/// A store behind a mark.
pub(super) struct SpareStore<S> {
    store: S,
    folder: PathBuf,
}

impl<S: Store> SpareStore<S> {
    pub(super) fn new(store: S, folder: PathBuf) -> Self {
        Self { store, folder }
    }

    fn mark(&self) -> PathBuf {
        self.folder.join(format!("in-{}", self.store.name()))
    }

    fn is_marked(&self) -> bool {
        self.mark().exists()
    }

    fn set_mark(&self) -> std::io::Result<()> {
        private_folder(&self.folder)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        private(&mut options);
        options.open(self.mark()).map(drop)
    }
}

impl<S: Store> Store for SpareStore<S> {
    fn name(&self) -> &'static str {
        self.store.name()
    }

    fn load(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        if self.is_marked() {
            self.store.load(key)
        } else {
            Ok(None)
        }
    }

    fn save(&self, key: &Key, bytes: &[u8], life: Duration) -> Result<(), StoreError> {
        let was_marked = self.is_marked();
        // Before the token: one that nobody looks for again must not be kept.
        self.set_mark().map_err(|error| StoreError::Unavailable {
            store: self.name(),
            why: format!("{} cannot be written: {error}", self.mark().display()),
        })?;
        let saved = self.store.save(key, bytes, life);
        if saved.is_err() && !was_marked {
            let _ = fs::remove_file(self.mark());
        }
        saved
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        if self.is_marked() {
            self.store.delete(key)
        } else {
            Ok(())
        }
    }

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        if !self.is_marked() {
            return Ok(Vec::new());
        }
        let keys = self.store.keys()?;
        if keys.is_empty() {
            let _ = fs::remove_file(self.mark());
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::file::FileStore;
    use super::*;

    /// Counts how often it is asked.
    struct Counting {
        store: FileStore,
        asked: AtomicUsize,
    }

    impl Counting {
        fn asked(&self) -> &FileStore {
            self.asked.fetch_add(1, Ordering::Relaxed);
            &self.store
        }
    }

    impl Store for Counting {
        fn name(&self) -> &'static str {
            "counting"
        }

        fn load(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
            self.asked().load(key)
        }

        fn save(&self, key: &Key, bytes: &[u8], life: Duration) -> Result<(), StoreError> {
            self.asked().save(key, bytes, life)
        }

        fn delete(&self, key: &Key) -> Result<(), StoreError> {
            self.asked().delete(key)
        }

        fn keys(&self) -> Result<Vec<Key>, StoreError> {
            self.asked().keys()
        }
    }

    #[test]
    fn the_spare_is_left_alone_until_something_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, marks) = (folder.path().join("inside"), folder.path().join("marks"));
        let store = SpareStore::new(
            Counting {
                store: FileStore::new(inside),
                asked: AtomicUsize::new(0),
            },
            marks,
        );
        let asked = || store.store.asked.load(Ordering::Relaxed);
        let key = Key::of_parts(&["a"]);
        assert!(store.load(&key).unwrap().is_none());
        store.delete(&key).unwrap();
        assert!(store.keys().unwrap().is_empty());
        assert_eq!(asked(), 0);
        store.save(&key, b"one", Duration::from_mins(1)).unwrap();
        assert_eq!(&**store.load(&key).unwrap().unwrap(), b"one");
        assert_eq!(store.keys().unwrap(), std::slice::from_ref(&key));
        store.delete(&key).unwrap();
        assert!(store.keys().unwrap().is_empty());
        let before = asked();
        assert!(store.load(&key).unwrap().is_none());
        assert_eq!(asked(), before);
    }

    #[test]
    fn what_would_never_be_found_again_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let store = SpareStore::new(FileStore::new(folder.path().join("inside")), file);
        let key = Key::of_parts(&["a"]);
        assert!(store.save(&key, b"one", Duration::from_mins(1)).is_err());
        assert!(store.store.load(&key).unwrap().is_none());
    }
}
