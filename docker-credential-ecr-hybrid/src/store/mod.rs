//! Where a token is kept: the kernel's keyring, a file that only its owner reads, or nowhere.

mod chain;
mod file;
#[cfg(target_os = "linux")]
mod keyutils;
mod kind;

pub use chain::Stores;
pub use file::FileStore;
#[cfg(target_os = "linux")]
pub use keyutils::KeyutilsStore;
pub use kind::{Store, StoreError, StoreKind, UnknownStore};
