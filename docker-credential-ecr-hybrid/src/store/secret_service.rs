//! The desktop's keyring (GNOME Keyring, `KWallet`) over the session bus.
//!
//! Every request has two seconds: a bus that is dead, a daemon that hangs, or a collection that is
//! locked must never hold Docker up. A locked collection is not unlocked, because that asks a person
//! in a window. After one request that took too long the store is left alone for the rest of the
//! process.

use std::sync::Mutex;
use std::time::Duration;

use zeroize::Zeroizing;

use self::service::{NewItem, Service, ServiceError};
use super::bus::Deadline;
use super::kind::{Store, StoreError};
use crate::environment::Environment;
use crate::key::Key;

mod service;
#[cfg(test)]
mod tests;

const NAME: &str = "secret-service";

/// What marks our items, beside their key.
const APPLICATION: (&str, &str) = ("application", "ecr-hybrid");
const KEY: &str = "key";

/// What a person sees in the desktop's own list.
const LABEL: &str = "Amazon ECR token (ecr-hybrid)";

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tokens in the desktop's keyring.
pub struct SecretServiceStore {
    environment: Environment,
    patience: Duration,
    /// Nothing until something is asked; then the service, or why it is of no more use. Who did not
    /// answer once is not asked again.
    link: Mutex<Option<Result<Service, String>>>,
}

impl SecretServiceStore {
    /// The keyring of the session bus that an environment names. It is connected to with the first
    /// request.
    pub fn of(environment: &Environment) -> Self {
        Self {
            environment: environment.clone(),
            patience: PATIENCE,
            link: Mutex::new(None),
        }
    }

    /// Has a request done, within the time that a request has.
    fn ask<T>(
        &self,
        doing: &'static str,
        request: impl FnOnce(&mut Service) -> Result<T, ServiceError>,
    ) -> Result<T, StoreError> {
        let deadline = Deadline::after(self.patience);
        let Ok(mut link) = self.link.lock() else {
            return Err(unavailable("an earlier request broke off"));
        };
        let service = link
            .get_or_insert_with(|| {
                Service::connect(&self.environment, deadline).map_err(|error| error.to_string())
            })
            .as_mut()
            .map_err(|why| unavailable(why))?;
        service.set_deadline(deadline);
        request(service).map_err(|error| match error {
            ServiceError::Bus(error) => {
                let why = error.to_string();
                let unavailable = unavailable(&why);
                *link = Some(Err(why));
                unavailable
            }
            ServiceError::Refused(why) => StoreError::Failed {
                store: NAME,
                doing,
                why,
            },
            error => unavailable(&error.to_string()),
        })
    }
}

fn unavailable(why: &str) -> StoreError {
    StoreError::Unavailable {
        store: NAME,
        why: why.to_owned(),
    }
}

fn attributes(key: &Key) -> [(&str, &str); 2] {
    [APPLICATION, (KEY, key.as_str())]
}

impl Store for SecretServiceStore {
    fn name(&self) -> &'static str {
        NAME
    }

    fn load(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.ask("read", |service| service.secret(&attributes(key)))
    }

    fn save(&self, key: &Key, bytes: &[u8], _life: Duration) -> Result<(), StoreError> {
        let attributes = attributes(key);
        self.ask("keep", |service| {
            let item = NewItem {
                label: LABEL,
                attributes: &attributes,
                secret: bytes,
                content_type: "application/json",
            };
            service.create(&item).inspect_err(|_| {
                // Nothing older may be left behind a failed write, which may have used up its time.
                service.set_deadline(Deadline::after(self.patience / 8));
                let _ = service.remove(&attributes);
            })
        })
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.ask("remove", |service| service.remove(&attributes(key)))
    }

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        self.ask("list", |service| {
            let keys = service.values(&[APPLICATION], KEY)?;
            Ok(keys.iter().filter_map(|key| Key::from_text(key)).collect())
        })
    }
}
