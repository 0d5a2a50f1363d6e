//! What every store can do, and the names that people choose one by.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::key::Key;

/// A place that keeps bytes under a key.
pub trait Store {
    /// The name that settings and messages use.
    fn name(&self) -> &'static str;

    /// What is kept under a key.
    fn load(&self, key: &Key) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;

    /// Keeps bytes under a key, for as long as they are of use. When this fails, nothing may be
    /// left under the key.
    fn save(&self, key: &Key, bytes: &[u8], life: Duration) -> Result<(), StoreError>;

    /// Removes what is kept under a key. Nothing there is a success.
    fn delete(&self, key: &Key) -> Result<(), StoreError>;

    /// The keys under which something is kept.
    fn keys(&self) -> Result<Vec<Key>, StoreError>;
}

/// Why a store did not do it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store does not exist here.
    #[error("The store `{store}` is not available: {why}.")]
    Unavailable {
        /// Its name.
        store: &'static str,
        /// Why, as a clause.
        why: String,
    },
    /// The store is there and refused.
    #[error("The store `{store}` cannot {doing} a token: {why}.")]
    Failed {
        /// Its name.
        store: &'static str,
        /// What was tried: `keep`, `read`, `remove`, or `list`.
        doing: &'static str,
        /// Why, as a clause.
        why: String,
    },
}

/// A choice of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoreKind {
    /// The first of this system's stores that works.
    #[default]
    Auto,
    /// The Linux kernel's keyring of this user.
    Keyutils,
    /// The desktop's keyring over the session bus.
    SecretService,
    /// The Keychain of macOS.
    Keychain,
    /// The Credential Manager of Windows.
    CredentialManager,
    /// A file, readable by its owner only.
    File,
    /// No store: every call asks AWS.
    None,
}

impl StoreKind {
    /// Every choice on this system, by name.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        #[cfg(target_os = "linux")]
        ("keyutils", Self::Keyutils),
        #[cfg(target_os = "linux")]
        ("secret-service", Self::SecretService),
        #[cfg(target_os = "macos")]
        ("keychain", Self::Keychain),
        #[cfg(windows)]
        ("credential-manager", Self::CredentialManager),
        ("file", Self::File),
        ("none", Self::None),
    ];
}

/// A name that no store has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a store; the choices are {names}.", names = names())]
pub struct UnknownStore(pub String);

fn names() -> String {
    let names: Vec<_> = StoreKind::NAMES.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

impl FromStr for StoreKind {
    type Err = UnknownStore;

    fn from_str(text: &str) -> Result<Self, UnknownStore> {
        Self::NAMES
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, kind)| *kind)
            .ok_or_else(|| UnknownStore(text.to_owned()))
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, kind)| kind == self);
        f.write_str(name.map_or("auto", |(name, _)| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_store_is_known_by_its_name_and_a_wrong_name_lists_them() {
        for (name, kind) in StoreKind::NAMES {
            assert_eq!(name.parse(), Ok(*kind));
            assert_eq!(kind.to_string(), *name);
        }
        let error = "keychian".parse::<StoreKind>().unwrap_err().to_string();
        assert!(error.contains("`keychian`") && error.contains("auto") && error.contains("file"));
    }
}
