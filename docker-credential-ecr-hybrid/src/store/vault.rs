//! A store on top of a system's own place for passwords, which knows small entries only, may ask a
//! person, and may take its time.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

use super::chunks;
use super::kind::{Store, StoreError};
use crate::key::Key;
use crate::lock;

/// How long one request may take, all of its entries together.
const PATIENCE: Duration = Duration::from_secs(2);

/// A system's place for passwords. An entry has a name and bytes.
pub(super) trait Vault: Send + Sync + 'static {
    /// The name of the store that it makes.
    const NAME: &'static str;

    /// The most bytes that one entry holds.
    const LARGEST: usize;

    /// The bytes of an entry; `None` if there is none. The error is a clause.
    fn read(&self, entry: &str) -> Result<Option<Zeroizing<Vec<u8>>>, String>;

    /// Writes an entry, over an older one if there is one.
    fn write(&self, entry: &str, bytes: &[u8]) -> Result<(), String>;

    /// Removes an entry, and says whether there was one.
    fn delete(&self, entry: &str) -> Result<bool, String>;
}

/// Tokens in a vault.
pub(super) struct VaultStore<V> {
    vault: Arc<V>,
    /// Has a lock file for every key that was ever minted: a vault cannot always list its entries.
    folder: Option<PathBuf>,
    patience: Duration,
    /// After one request that took too long, the vault is left alone for the rest of the process.
    hung: AtomicBool,
}

impl<V: Vault> VaultStore<V> {
    pub(super) fn new(vault: V, folder: Option<PathBuf>) -> Self {
        Self {
            vault: Arc::new(vault),
            folder,
            patience: PATIENCE,
            hung: AtomicBool::new(false),
        }
    }

    /// Has a request done on a thread of its own, which can be left waiting.
    fn ask<T: Send + 'static>(
        &self,
        doing: &'static str,
        request: impl FnOnce(&V) -> Result<T, String> + Send + 'static,
    ) -> Result<T, StoreError> {
        let late = || StoreError::Unavailable {
            store: V::NAME,
            why: "it did not answer in time".to_owned(),
        };
        if self.hung.load(Ordering::Relaxed) {
            return Err(late());
        }
        let answer = self.ask_within(self.patience, doing, request);
        if answer.is_none() {
            self.hung.store(true, Ordering::Relaxed);
        }
        answer.unwrap_or_else(|| Err(late()))
    }

    /// The answer to a request, or nothing if it did not come in time.
    fn ask_within<T: Send + 'static>(
        &self,
        patience: Duration,
        doing: &'static str,
        request: impl FnOnce(&V) -> Result<T, String> + Send + 'static,
    ) -> Option<Result<T, StoreError>> {
        let (sender, answer) = mpsc::channel();
        let vault = self.vault.clone();
        let spawned = thread::Builder::new().spawn(move || {
            let _ = sender.send(request(&vault));
        });
        if spawned.is_err() {
            return Some(Err(StoreError::Unavailable {
                store: V::NAME,
                why: "there is no thread for it".to_owned(),
            }));
        }
        let answer = answer.recv_timeout(patience).ok()?;
        Some(answer.map_err(|why| StoreError::Failed {
            store: V::NAME,
            doing,
            why,
        }))
    }
}

impl<V: Vault> Store for VaultStore<V> {
    fn name(&self) -> &'static str {
        V::NAME
    }

    fn load(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let key = key.clone();
        self.ask("read", move |vault| chunks::read(vault, key.as_str()))
    }

    fn save(&self, key: &Key, bytes: &[u8], _life: Duration) -> Result<(), StoreError> {
        let (name, bytes) = (key.clone(), Zeroizing::new(bytes.to_vec()));
        let saved = self.ask("keep", move |vault| {
            chunks::write(vault, name.as_str(), &bytes)
        });
        if saved.is_err() {
            // Nothing older may be left behind a failed write, even one that used up its time.
            let key = key.clone();
            let delete = move |vault: &V| chunks::delete(vault, key.as_str());
            let _ = self.ask_within(self.patience / 8, "remove", delete);
        }
        saved
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        let key = key.clone();
        self.ask("remove", move |vault| chunks::delete(vault, key.as_str()))
    }

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        let known = self.folder.as_deref().map_or_else(Vec::new, lock::keys);
        self.ask("list", move |vault| {
            let mut kept = Vec::new();
            for key in known {
                if vault.read(key.as_str())?.is_some() {
                    kept.push(key);
                }
            }
            Ok(kept)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Instant;

    use super::*;

    /// A vault that never answers, as one does that waits for a person.
    struct Silent(Mutex<mpsc::Receiver<()>>);

    impl Vault for Silent {
        const NAME: &'static str = "silent";
        const LARGEST: usize = 10;

        fn read(&self, _entry: &str) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
            let _ = self.0.lock().unwrap().recv();
            Ok(None)
        }

        fn write(&self, _entry: &str, _bytes: &[u8]) -> Result<(), String> {
            let _ = self.0.lock().unwrap().recv();
            Ok(())
        }

        fn delete(&self, _entry: &str) -> Result<bool, String> {
            let _ = self.0.lock().unwrap().recv();
            Ok(false)
        }
    }

    /// A vault that has an older token, and does not answer when it is to write a newer one.
    struct SlowToWrite {
        never: Mutex<mpsc::Receiver<()>>,
        older: Mutex<bool>,
    }

    impl Vault for SlowToWrite {
        const NAME: &'static str = "slow to write";
        const LARGEST: usize = 300;

        fn read(&self, _entry: &str) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
            Ok(None)
        }

        fn write(&self, _entry: &str, _bytes: &[u8]) -> Result<(), String> {
            // What was there came back, as with a write that was half done.
            *self.older.lock().unwrap() = true;
            let _ = self.never.lock().unwrap().recv();
            Ok(())
        }

        fn delete(&self, _entry: &str) -> Result<bool, String> {
            Ok(std::mem::take(&mut *self.older.lock().unwrap()))
        }
    }

    #[test]
    fn behind_a_write_that_took_too_long_nothing_is_left() {
        let (open, receiver) = mpsc::channel();
        let vault = SlowToWrite {
            never: Mutex::new(receiver),
            older: Mutex::new(true),
        };
        let mut store = VaultStore::new(vault, None);
        // Long enough for the removal's own part of it.
        store.patience = Duration::from_secs(1);
        assert!(store.save(&Key::of_parts(&["a"]), b"x", LIFE).is_err());
        assert!(!*store.vault.older.lock().unwrap());
        drop(open);
    }

    const LIFE: Duration = Duration::from_hours(12);

    #[test]
    fn a_vault_that_does_not_answer_is_waited_for_once() {
        let (open, receiver) = mpsc::channel();
        let mut store = VaultStore::new(Silent(Mutex::new(receiver)), None);
        store.patience = Duration::from_millis(50);
        let key = Key::of_parts(&["a"]);
        let begun = Instant::now();
        let error = store.load(&key).unwrap_err().to_string();
        assert!(error.contains("did not answer in time"), "{error}");
        store.patience = Duration::from_mins(5);
        assert!(store.save(&key, b"x", Duration::from_mins(1)).is_err());
        assert!(store.delete(&key).is_err());
        assert!(begun.elapsed() < Duration::from_mins(1));
        drop(open);
    }
}
