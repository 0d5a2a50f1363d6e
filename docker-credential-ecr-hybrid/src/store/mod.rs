//! Where a token is kept: the kernel's keyring, the desktop's, a file that only its owner reads, or nowhere.

#[cfg(target_os = "linux")]
mod bus;
mod chain;
#[cfg(any(windows, target_os = "macos", test))]
mod chunks;
#[cfg(windows)]
mod credential_manager;
mod file;
#[cfg(target_os = "macos")]
mod keychain;
#[cfg(target_os = "linux")]
mod keyutils;
mod kind;
#[cfg(target_os = "linux")]
mod secret_service;
#[cfg(target_os = "linux")]
mod spare;
#[cfg(any(windows, target_os = "macos", test))]
mod vault;

pub use chain::{Stores, Swept};
pub use file::FileStore;
#[cfg(target_os = "linux")]
pub use keyutils::KeyutilsStore;
pub use kind::{Store, StoreError, StoreKind, UnknownStore};
#[cfg(target_os = "linux")]
pub use secret_service::SecretServiceStore;
