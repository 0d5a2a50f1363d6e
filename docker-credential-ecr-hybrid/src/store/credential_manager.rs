//! The Credential Manager of Windows: generic credentials of this user on this machine.

use std::collections::HashMap;
use std::sync::Arc;

use keyring_core::api::CredentialStoreApi as _;
use keyring_core::{Entry, Error};
use windows_native_keyring_store::Store;
use zeroize::Zeroizing;

use super::vault::Vault;

/// What the names of our credentials begin with, as the Control Panel lists them.
const PREFIX: &str = "ecr-hybrid:";

/// Tokens in the Credential Manager.
#[derive(Debug)]
pub(super) struct CredentialManager {
    store: Arc<Store>,
}

impl CredentialManager {
    /// The Credential Manager of this user; `None` where there is none.
    pub(super) fn open() -> Option<Self> {
        Store::new().ok().map(|store| Self { store })
    }

    fn entry(&self, name: &str) -> Result<Entry, String> {
        let target = format!("{PREFIX}{name}");
        // A token is of no use on the other machines of a roaming user.
        let modifiers = HashMap::from([("target", target.as_str()), ("persistence", "Local")]);
        self.store
            .build(PREFIX, name, Some(&modifiers))
            .map_err(|error| reason(&error))
    }
}

fn reason(error: &Error) -> String {
    error.to_string().trim_end_matches('.').to_owned()
}

impl Vault for CredentialManager {
    const NAME: &'static str = "credential-manager";

    /// `CRED_MAX_CREDENTIAL_BLOB_SIZE`.
    const LARGEST: usize = 2560;

    fn read(&self, entry: &str) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
        match self.entry(entry)?.get_secret() {
            Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(reason(&error)),
        }
    }

    fn write(&self, entry: &str, bytes: &[u8]) -> Result<(), String> {
        self.entry(entry)?
            .set_secret(bytes)
            .map_err(|error| reason(&error))
    }

    fn delete(&self, entry: &str) -> Result<bool, String> {
        match self.entry(entry)?.delete_credential() {
            Ok(()) => Ok(true),
            Err(Error::NoEntry) => Ok(false),
            Err(error) => Err(reason(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::kind::Store as _;
    use super::super::vault::VaultStore;
    use super::*;
    use crate::key::Key;

    #[test]
    fn the_longest_token_comes_back_and_leaves_nothing_behind() {
        let store = VaultStore::new(CredentialManager::open().unwrap(), None);
        let key = Key::of_parts(&["credential-manager", &std::process::id().to_string()]);
        assert!(store.load(&key).unwrap().is_none());
        for length in [9000, 3, 2560, 2561, 5200] {
            let token = vec![b'x'; length];
            store.save(&key, &token, Duration::from_hours(12)).unwrap();
            assert_eq!(*store.load(&key).unwrap().unwrap(), token);
        }
        store.delete(&key).unwrap();
        assert!(store.load(&key).unwrap().is_none());
        let of_ours = |at: usize| format!("{}.{at}", key.as_str());
        let vault = CredentialManager::open().unwrap();
        assert_eq!(vault.read(key.as_str()).unwrap(), None);
        assert_eq!(vault.read(&of_ours(1)).unwrap(), None);
    }
}
