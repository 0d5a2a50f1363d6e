//! Where each part comes from: found on the machine, taken from the cache, installed or built.
//!
//! [`ensure_all`] gives the parts that a caller names, in this order of preference: what the
//! machine has, what the cache folder has, what apt-get or pip can install, what Go can build.
//! [`check`] says beforehand, without changing anything, what could not be had.

mod apt;
mod build;
mod busybox;
mod cache;
mod child;
mod ensure;
mod error;
mod go;
mod item;
mod machine;
mod making;
mod mirror;
mod origin;
mod pause;
mod python;
mod recipes;
mod search;
mod supplied;
mod version;

pub use cache::Cache;
pub use ensure::{check, ensure, ensure_all, packages};
pub use error::{Missing, SupplyError};
pub use item::Item;
pub use supplied::{Source, Supplied, Supplies};
