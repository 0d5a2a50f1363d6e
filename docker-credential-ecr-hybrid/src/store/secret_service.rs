//! The desktop's keyring (GNOME Keyring, `KWallet`, `KeePassXC`) over the session bus.
//!
//! Every request has two seconds: a bus that is dead, a daemon that hangs, or a collection that is
//! locked must never hold Docker up. A locked collection is not unlocked, because that asks a person
//! in a window. After one request that took too long the store is left alone for the rest of the
//! process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use secret_service::blocking::{Collection, Item, SecretService};
use secret_service::{EncryptionType, Error};
use zeroize::Zeroizing;

use super::kind::{Store, StoreError};
use crate::key::Key;

const NAME: &str = "secret-service";

/// What marks our items, beside their key.
const APPLICATION: (&str, &str) = ("application", "ecr-hybrid");
const KEY: &str = "key";

/// What a person sees in the desktop's own list.
const LABEL: &str = "Amazon ECR token (ecr-hybrid)";

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tokens in the desktop's keyring.
#[derive(Debug, Default)]
pub struct SecretServiceStore {
    /// A thread of its own speaks to the bus: it can be left waiting, and it is outside of any async
    /// runtime that the caller may be in.
    worker: Mutex<Option<mpsc::Sender<Job>>>,
    hung: AtomicBool,
}

type Job = Box<dyn FnOnce(&Result<SecretService<'static>, Error>) + Send>;

impl SecretServiceStore {
    /// Has a request done on the worker, within the time that a request has.
    fn ask<T: Send + 'static>(
        &self,
        doing: &'static str,
        request: impl FnOnce(&Collection<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let unavailable = |why: &str| StoreError::Unavailable {
            store: NAME,
            why: why.to_owned(),
        };
        if self.hung.load(Ordering::Relaxed) {
            return Err(unavailable("it did not answer in time"));
        }
        let (sender, answer) = mpsc::channel();
        let job: Job = Box::new(move |service| {
            let _ = sender.send(match service {
                Err(error) => Err(StoreError::Unavailable {
                    store: NAME,
                    why: reason(error),
                }),
                Ok(service) => in_collection(service, doing, request),
            });
        });
        self.hand_over(job)
            .ok_or_else(|| unavailable("there is no thread for it"))?;
        answer.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            self.hung.store(true, Ordering::Relaxed);
            Err(unavailable("it did not answer in time"))
        })
    }

    fn hand_over(&self, job: Job) -> Option<()> {
        let mut worker = self.worker.lock().ok()?;
        if worker.is_none() {
            let (sender, jobs) = mpsc::channel::<Job>();
            thread::Builder::new()
                .name("secret-service".to_owned())
                .spawn(move || {
                    // The bus is private to the user, so a plain session shows nothing that the user
                    // could not ask for anyway.
                    let service = SecretService::connect(EncryptionType::Plain);
                    for job in jobs {
                        job(&service);
                    }
                })
                .ok()?;
            *worker = Some(sender);
        }
        worker.as_ref()?.send(job).ok()
    }
}

fn in_collection<T>(
    service: &SecretService<'static>,
    doing: &'static str,
    request: impl FnOnce(&Collection<'_>) -> Result<T, Error>,
) -> Result<T, StoreError> {
    let collection = service
        .get_default_collection()
        .and_then(|collection| collection.ensure_unlocked().map(|()| collection))
        .map_err(|error| StoreError::Unavailable {
            store: NAME,
            why: reason(&error),
        })?;
    request(&collection).map_err(|error| StoreError::Failed {
        store: NAME,
        doing,
        why: reason(&error),
    })
}

fn attributes(key: &Key) -> HashMap<&str, &str> {
    HashMap::from([APPLICATION, (KEY, key.as_str())])
}

fn delete_all(items: &[Item<'_>]) -> Result<(), Error> {
    items.iter().try_for_each(Item::delete)
}

impl Store for SecretServiceStore {
    fn name(&self) -> &'static str {
        NAME
    }

    fn load(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let key = key.clone();
        self.ask("read", move |collection| {
            let items = collection.search_items(attributes(&key))?;
            let item = items.first();
            item.map(|item| Ok(Zeroizing::new(item.get_secret()?)))
                .transpose()
        })
    }

    fn save(&self, key: &Key, bytes: &[u8], _life: Duration) -> Result<(), StoreError> {
        let key = key.clone();
        let bytes = Zeroizing::new(bytes.to_vec());
        self.ask("keep", move |collection| {
            let replace = true;
            let kind = "application/json";
            let made = collection.create_item(LABEL, attributes(&key), &bytes, replace, kind);
            made.map(drop).inspect_err(|_| {
                // Nothing older may be left behind a failed write.
                let older = collection.search_items(attributes(&key));
                let _ = older.and_then(|items| delete_all(&items));
            })
        })
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        let key = key.clone();
        self.ask("remove", move |collection| {
            delete_all(&collection.search_items(attributes(&key))?)
        })
    }

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        self.ask("list", |collection| {
            let items = collection.search_items(HashMap::from([APPLICATION]))?;
            let key = |item: &Item<'_>| Key::from_text(item.get_attributes().ok()?.get(KEY)?);
            Ok(items.iter().filter_map(key).collect())
        })
    }
}

fn reason(error: &Error) -> String {
    match error {
        Error::Locked => "the default collection is locked".to_owned(),
        Error::NoResult => "there is no default collection".to_owned(),
        Error::Unavailable => "nobody serves it on the session bus".to_owned(),
        error => error.to_string(),
    }
}
