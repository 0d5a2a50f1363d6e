//! The Linux kernel's keyring: in memory only, never on a disk, gone with the token's expiry.
//!
//! The keyring is the user's persistent one (see `persistent-keyring(7)`), linked to this process's
//! own keyring for as long as the process runs. That works in a login session, over SSH, under
//! `sudo`, and without any session keyring, and every session of the user sees the same tokens. A
//! kernel without it has the user keyring instead. Where neither can be used, as in most
//! containers, the store is unavailable and the next one has its turn.

use std::time::Duration;

use linux_keyutils::{Key as KernelKey, KeyError, KeyRing, KeyRingIdentifier};
use zeroize::Zeroizing;

use super::kind::{Store, StoreError};
use crate::key::Key;

const NAME: &str = "keyutils";

/// What the descriptions of our keys begin with.
const PREFIX: &str = "ecr-hybrid:";

/// The number of keys that are looked through when listing: the kernel's own default limit for a
/// user is two hundred.
const MOST_KEYS: usize = 1024;

/// Room for what a token takes, in bytes: mostly less than two thousand.
const ROOM: usize = 4096;

/// Tokens in the kernel's keyring.
#[derive(Debug, Default)]
pub struct KeyutilsStore;

impl KeyutilsStore {
    /// Whether the kernel lets this process use a keyring.
    pub fn is_available() -> bool {
        Self::ring().is_ok()
    }

    fn ring() -> Result<KeyRing, StoreError> {
        KeyRing::get_persistent(KeyRingIdentifier::Process)
            .or_else(|_| user_ring())
            .map_err(|error| StoreError::Unavailable {
                store: NAME,
                why: reason(error).to_owned(),
            })
    }

    fn find(ring: KeyRing, key: &Key) -> Result<Option<KernelKey>, KeyError> {
        match ring.search(&description(key)) {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_absent(error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The user keyring. It is only possessed, and so only readable, through a keyring of the process.
fn user_ring() -> Result<KeyRing, KeyError> {
    let process = KeyRing::from_special_id(KeyRingIdentifier::Process, true)?;
    let user = KeyRing::from_special_id(KeyRingIdentifier::User, true)?;
    process.link_keyring(user)?;
    Ok(user)
}

/// What a key holds. Room for the largest one, 64 KiB, would all have to be cleared afterwards, which
/// takes longer than everything else here.
fn payload(key: KernelKey) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut room = ROOM;
    loop {
        let mut bytes = Zeroizing::new(vec![0; room]);
        // The kernel says how much there is, whether there was room for it or not.
        let length = key.read(&mut *bytes)?;
        if length <= room {
            bytes.truncate(length);
            return Ok(bytes);
        }
        room = length;
    }
}

impl Store for KeyutilsStore {
    fn name(&self) -> &'static str {
        NAME
    }

    fn load(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let ring = Self::ring()?;
        let read = || -> Result<_, KeyError> {
            match Self::find(ring, key)? {
                Some(found) => payload(found).map(Some),
                None => Ok(None),
            }
        };
        match read() {
            Err(error) if is_absent(error) => Ok(None),
            read => read.map_err(|error| failed("read", error)),
        }
    }

    fn save(&self, key: &Key, bytes: &[u8], life: Duration) -> Result<(), StoreError> {
        let ring = Self::ring()?;
        let write = || -> Result<(), KeyError> {
            let kept = ring.add_key(&description(key), bytes)?;
            // The kernel forgets the key when the token is worth nothing.
            kept.set_timeout(usize::try_from(life.as_secs().max(1)).unwrap_or(usize::MAX))
        };
        write().map_err(|error| {
            // The kernel leaves the previous value readable when an update fails.
            let _ = self.delete(key);
            failed("keep", error)
        })
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        let ring = Self::ring()?;
        let removed = Self::find(ring, key).and_then(|found| match found {
            // Unlinking gives the quota back at once, unlike revoking.
            Some(found) => ring.unlink_key(found),
            None => Ok(()),
        });
        match removed {
            Err(error) if !is_absent(error) => Err(failed("remove", error)),
            _ => Ok(()),
        }
    }

    fn keys(&self) -> Result<Vec<Key>, StoreError> {
        let ring = Self::ring()?;
        let links = ring
            .get_links(MOST_KEYS)
            .map_err(|error| failed("list", error))?;
        let ours = |link: &linux_keyutils::LinkNode| {
            let metadata = link.as_key()?.metadata().ok()?;
            Key::from_text(metadata.get_description().strip_prefix(PREFIX)?)
        };
        Ok(links.iter().filter_map(ours).collect())
    }
}

fn description(key: &Key) -> String {
    format!("{PREFIX}{}", key.as_str())
}

fn is_absent(error: KeyError) -> bool {
    matches!(
        error,
        KeyError::KeyDoesNotExist
            | KeyError::KeyExpired
            | KeyError::KeyRevoked
            | KeyError::MissingFileOrDirectory
    )
}

fn failed(doing: &'static str, error: KeyError) -> StoreError {
    StoreError::Failed {
        store: NAME,
        doing,
        why: reason(error).to_owned(),
    }
}

fn reason(error: KeyError) -> &'static str {
    match error {
        KeyError::AccessDenied | KeyError::PermissionDenied => {
            "the kernel does not let this process use a keyring"
        }
        KeyError::QuotaExceeded => "the quota of this user's keys is used up",
        KeyError::OperationNotSupported => "this kernel has no keyrings",
        KeyError::InvalidArguments => "the kernel does not take a key of this size",
        KeyError::KeyringDoesNotExist => "there is no keyring",
        _ => "the kernel refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_mins(1);

    /// A key of this test run alone: the keyring belongs to the user and outlives the test.
    fn key(name: &str) -> Key {
        let process = std::process::id().to_string();
        Key::of_parts(&["test", name, &process])
    }

    fn store() -> Option<KeyutilsStore> {
        match KeyutilsStore::ring() {
            Ok(_) => Some(KeyutilsStore),
            Err(error) => {
                eprintln!("skipped: {error}");
                None
            }
        }
    }

    #[test]
    fn a_token_is_kept_replaced_listed_and_removed() {
        let Some(store) = store() else { return };
        let key = key("cycle");
        assert!(store.load(&key).unwrap().is_none());
        store.save(&key, b"one", LIFE).unwrap();
        store.save(&key, &[7; 8192], LIFE).unwrap();
        assert_eq!(&**store.load(&key).unwrap().unwrap(), &[7; 8192]);
        assert!(store.keys().unwrap().contains(&key));
        store.delete(&key).unwrap();
        store.delete(&key).unwrap();
        assert!(store.load(&key).unwrap().is_none());
        assert!(!store.keys().unwrap().contains(&key));
    }

    #[test]
    fn a_failed_write_leaves_no_older_token() {
        let Some(store) = store() else { return };
        let key = key("too-large");
        store.save(&key, b"old", LIFE).unwrap();
        assert!(store.save(&key, &vec![0; 40_000], LIFE).is_err());
        assert!(store.load(&key).unwrap().is_none());
    }
}
