//! The stores of this system, tried in order.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;

#[cfg(windows)]
use super::credential_manager::CredentialManager;
use super::file::FileStore;
#[cfg(target_os = "macos")]
use super::keychain::Keychain;
#[cfg(target_os = "linux")]
use super::keyutils::KeyutilsStore;
use super::kind::{Store, StoreError, StoreKind};
#[cfg(target_os = "linux")]
use super::secret_service::SecretServiceStore;
#[cfg(target_os = "linux")]
use super::spare::SpareStore;
#[cfg(any(windows, target_os = "macos"))]
use super::vault::VaultStore;
use crate::envelope::Envelope;
use crate::environment::Environment;
use crate::key::Key;
use crate::log::Log;

/// The chosen stores. One that is missing or refuses passes its turn on, with a line in the log.
pub struct Stores {
    in_order: Vec<AnyStore>,
    /// A person named the store, and it is not the best that this system has.
    is_chosen: bool,
    log: Log,
    /// What was said in the log already.
    told: Mutex<Vec<String>>,
}

/// What came of going through all that is kept, and the stores that did not do their part.
#[derive(Debug, Default)]
pub struct Swept<T> {
    /// What was found.
    pub found: T,
    /// Why there may be more. Each is told once.
    pub errors: Vec<StoreError>,
}

type AnyStore = Box<dyn Store + Send + Sync>;

impl Stores {
    /// The stores of a choice. `Auto` is the best of this system's, the next best for what it does
    /// not take, and a file for what nothing better takes.
    pub fn of(kind: StoreKind, environment: &Environment, log: Log) -> Self {
        let folder = environment.cache_folder();
        let mut stores = of_system(kind, environment, folder.as_deref(), &log);
        if matches!(kind, StoreKind::Auto | StoreKind::File)
            && let Some(folder) = folder
        {
            stores.push(Box::new(FileStore::new(folder)));
        }
        Self {
            in_order: stores,
            is_chosen: kind != StoreKind::Auto,
            log,
            told: Mutex::default(),
        }
    }

    #[cfg(test)]
    fn given(stores: Vec<AnyStore>) -> Self {
        Self {
            in_order: stores,
            is_chosen: true,
            log: Log::off(),
            told: Mutex::default(),
        }
    }

    /// The names of the stores, in the order in which they are tried.
    pub fn names(&self) -> Vec<&'static str> {
        self.in_order.iter().map(|store| store.name()).collect()
    }

    /// The entry of a key whose token is alive. What is corrupt, foreign, or dead is passed over.
    ///
    /// A fresh one is taken from the first store that has it, and no other is asked. Else there may
    /// be a newer one behind: a store that could not keep it may still have the one before.
    pub fn load(&self, key: &Key, now: Timestamp) -> Option<Envelope> {
        let mut newest: Option<Envelope> = None;
        for store in &self.in_order {
            let Some(envelope) = self.live_in(store, key, now) else {
                continue;
            };
            if envelope.token.is_fresh(now, Duration::ZERO) {
                return Some(envelope);
            }
            if newest
                .as_ref()
                .is_none_or(|other| other.token.issued_at() < envelope.token.issued_at())
            {
                newest = Some(envelope);
            }
        }
        newest
    }

    fn live_in(&self, store: &AnyStore, key: &Key, now: Timestamp) -> Option<Envelope> {
        let bytes = self.heard(store.load(key))??;
        let envelope = Envelope::from_bytes(key, &bytes);
        if envelope.is_none() {
            let name = store.name();
            self.log
                .line(|| format!("an entry in {name} is not ours or damaged: ignored"));
        }
        envelope.filter(|envelope| envelope.token.is_alive(now))
    }

    /// Keeps an entry in the first store that takes it, and nowhere else. Says whether one did.
    pub fn save(&self, key: &Key, envelope: &Envelope, now: Timestamp) -> bool {
        let bytes = envelope.to_bytes(key);
        let life = envelope.token.remaining_life(now);
        let mut kept = false;
        for store in &self.in_order {
            if kept {
                self.heard(store.delete(key));
            } else if self.heard(store.save(key, &bytes, life)).is_some() {
                kept = true;
                let name = store.name();
                self.log.line(|| format!("the token is kept in {name}"));
            }
        }
        kept
    }

    /// Removes an entry from every store.
    pub fn delete(&self, key: &Key) {
        for store in &self.in_order {
            self.heard(store.delete(key));
        }
    }

    /// Every entry, dead ones too, with the name of its store.
    pub fn entries(&self) -> Swept<Vec<(&'static str, Key, Envelope)>> {
        let mut swept = Swept::<Vec<_>>::default();
        for store in &self.in_order {
            for key in self
                .swept(store.keys(), &mut swept.errors)
                .unwrap_or_default()
            {
                let bytes = self.swept(store.load(&key), &mut swept.errors).flatten();
                if let Some(envelope) = bytes.and_then(|bytes| Envelope::from_bytes(&key, &bytes)) {
                    swept.found.push((store.name(), key, envelope));
                }
            }
        }
        swept
    }

    /// Removes all that is kept, damaged entries included. Says how many there were.
    pub fn clear(&self) -> Swept<usize> {
        let mut swept = Swept::<usize>::default();
        for store in &self.in_order {
            for key in self
                .swept(store.keys(), &mut swept.errors)
                .unwrap_or_default()
            {
                let deleted = self.swept(store.delete(&key), &mut swept.errors);
                swept.found += usize::from(deleted.is_some());
            }
        }
        swept
    }

    /// Collects an error, but for that of a store which nobody chose and which is not there.
    fn swept<T>(&self, result: Result<T, StoreError>, errors: &mut Vec<StoreError>) -> Option<T> {
        self.log_error(&result);
        let is_passed_over =
            |error: &StoreError| !self.is_chosen && matches!(error, StoreError::Unavailable { .. });
        result
            .map_err(|error| {
                let is_told = errors.iter().any(|other| other == &error);
                if !is_told && !is_passed_over(&error) {
                    errors.push(error);
                }
            })
            .ok()
    }

    fn heard<T>(&self, result: Result<T, StoreError>) -> Option<T> {
        self.log_error(&result);
        result.ok()
    }

    /// A line in the log, once for each store and reason.
    fn log_error<T>(&self, result: &Result<T, StoreError>) {
        let Err(error) = result else { return };
        let sentence = error.to_string();
        if let Ok(mut told) = self.told.lock()
            && !told.contains(&sentence)
        {
            self.log.line(|| sentence.clone());
            told.push(sentence);
        }
    }
}

/// The kernel's keyring where there is one, and the desktop's where there is none or it is full.
#[cfg(target_os = "linux")]
fn of_system(
    kind: StoreKind,
    environment: &Environment,
    folder: Option<&Path>,
    log: &Log,
) -> Vec<AnyStore> {
    let desktop = || SecretServiceStore::of(environment);
    match kind {
        StoreKind::Keyutils => vec![Box::new(KeyutilsStore)],
        StoreKind::SecretService => vec![Box::new(desktop())],
        StoreKind::Auto if KeyutilsStore::is_available() => {
            let mut stores: Vec<AnyStore> = vec![Box::new(KeyutilsStore)];
            if let Some(folder) = folder {
                stores.push(Box::new(SpareStore::new(desktop(), folder.to_owned())));
            }
            stores
        }
        StoreKind::Auto => {
            log.line(|| "the kernel's keyring is not available".to_owned());
            vec![Box::new(desktop())]
        }
        _ => Vec::new(),
    }
}

#[cfg(target_os = "macos")]
fn of_system(
    kind: StoreKind,
    _environment: &Environment,
    folder: Option<&Path>,
    _log: &Log,
) -> Vec<AnyStore> {
    match kind {
        StoreKind::Auto | StoreKind::Keychain => {
            let folder = folder.map(Path::to_owned);
            vec![Box::new(VaultStore::new(Keychain, folder))]
        }
        _ => Vec::new(),
    }
}

#[cfg(windows)]
fn of_system(
    kind: StoreKind,
    _environment: &Environment,
    folder: Option<&Path>,
    log: &Log,
) -> Vec<AnyStore> {
    match kind {
        StoreKind::Auto | StoreKind::CredentialManager => {
            let Some(vault) = CredentialManager::open() else {
                log.line(|| "the Credential Manager is not available".to_owned());
                return Vec::new();
            };
            let folder = folder.map(Path::to_owned);
            vec![Box::new(VaultStore::new(vault, folder))]
        }
        _ => Vec::new(),
    }
}

#[cfg(not(any(windows, target_os = "linux", target_os = "macos")))]
fn of_system(
    _kind: StoreKind,
    _environment: &Environment,
    _folder: Option<&Path>,
    _log: &Log,
) -> Vec<AnyStore> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use zeroize::Zeroizing;

    use super::*;
    use crate::secret::Secret;
    use crate::token::Token;

    type Shelf = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

    /// A store that can be told to refuse: no real one does so on demand.
    struct Fake {
        shelf: Shelf,
        refuses: bool,
        reads: Arc<AtomicUsize>,
    }

    impl Store for Fake {
        fn name(&self) -> &'static str {
            "fake"
        }

        fn load(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            let kept = self.shelf.lock().unwrap();
            Ok(kept.get(key.as_str()).cloned().map(Zeroizing::new))
        }

        fn save(&self, key: &Key, bytes: &[u8], _life: Duration) -> Result<(), StoreError> {
            if self.refuses {
                return Err(StoreError::Failed {
                    store: "fake",
                    doing: "keep",
                    why: "it was told to".into(),
                });
            }
            let name = key.as_str().to_owned();
            self.shelf.lock().unwrap().insert(name, bytes.to_vec());
            Ok(())
        }

        fn delete(&self, key: &Key) -> Result<(), StoreError> {
            self.shelf.lock().unwrap().remove(key.as_str());
            Ok(())
        }

        fn keys(&self) -> Result<Vec<Key>, StoreError> {
            let kept = self.shelf.lock().unwrap();
            Ok(kept.keys().filter_map(|key| Key::from_text(key)).collect())
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn envelope() -> Envelope {
        issued(0)
    }

    fn issued(second: i64) -> Envelope {
        let password = Secret::new("p".into());
        Envelope {
            token: Token::new(password, at(second), at(second + 43_200), None),
            hosts: Vec::new(),
            identity: String::new(),
        }
    }

    /// Two stores, and how often the second one was read.
    fn two_with_reads(first_refuses: bool) -> (Stores, Shelf, Shelf, Arc<AtomicUsize>) {
        let (first, second) = (Shelf::default(), Shelf::default());
        let reads = Arc::<AtomicUsize>::default();
        let stores = Stores::given(vec![
            Box::new(Fake {
                shelf: first.clone(),
                refuses: first_refuses,
                reads: Arc::default(),
            }),
            Box::new(Fake {
                shelf: second.clone(),
                refuses: false,
                reads: reads.clone(),
            }),
        ]);
        (stores, first, second, reads)
    }

    fn two(first_refuses: bool) -> (Stores, Shelf, Shelf) {
        let (stores, first, second, _) = two_with_reads(first_refuses);
        (stores, first, second)
    }

    fn put(shelf: &Shelf, key: &Key, envelope: &Envelope) {
        let bytes = envelope.to_bytes(key).to_vec();
        shelf.lock().unwrap().insert(key.as_str().into(), bytes);
    }

    #[test]
    fn behind_an_older_token_a_newer_one_is_found() {
        let key = Key::of_parts(&["a"]);
        let (stores, first, second, reads) = two_with_reads(false);
        put(&first, &key, &issued(0));
        put(&second, &key, &issued(20_000));
        let load = |now| stores.load(&key, at(now)).unwrap().token.issued_at();
        // Fresh: the cached path is one read.
        assert_eq!(load(20_001), at(0));
        assert_eq!(reads.load(Ordering::Relaxed), 0);
        // Past the half of its life; then the newer one is, too.
        assert_eq!(load(21_601), at(20_000));
        assert_eq!(load(42_000), at(20_000));
        put(&second, &key, &issued(-1));
        assert_eq!(load(42_000), at(0));
    }

    #[test]
    fn a_store_that_refuses_passes_its_turn_on() {
        let key = Key::of_parts(&["a"]);
        let (stores, first, second) = two(true);
        stores.save(&key, &envelope(), at(0));
        assert!(first.lock().unwrap().is_empty());
        assert_eq!(second.lock().unwrap().len(), 1);
        assert!(stores.load(&key, at(1)).is_some());
    }

    #[test]
    fn a_token_is_in_one_store_only() {
        let key = Key::of_parts(&["a"]);
        let (stores, _, second) = two(false);
        let older = envelope().to_bytes(&key).to_vec();
        second.lock().unwrap().insert(key.as_str().into(), older);
        stores.save(&key, &envelope(), at(0));
        assert!(second.lock().unwrap().is_empty());
        assert_eq!(stores.entries().found.len(), 1);
        assert_eq!(stores.clear().found, 1);
        assert!(stores.entries().found.is_empty());
    }

    #[test]
    fn what_is_damaged_or_dead_is_passed_over() {
        let key = Key::of_parts(&["a"]);
        let (stores, first, second) = two(false);
        first
            .lock()
            .unwrap()
            .insert(key.as_str().into(), b"{".to_vec());
        let good = envelope().to_bytes(&key).to_vec();
        second.lock().unwrap().insert(key.as_str().into(), good);
        assert!(stores.load(&key, at(1)).is_some());
        assert!(stores.load(&key, at(50_000)).is_none());
    }
}
