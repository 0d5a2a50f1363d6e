//! The archive and the manifest with which krew installs the plugin.

mod archive;
mod build;
#[cfg(unix)]
pub mod krew;
mod manifest;
pub(crate) mod toolchain;

pub use archive::{Archive, PackageError, pack};
pub use build::{build, target_folder};
pub use manifest::{Platform, manifest};
pub use toolchain::{PACKAGES, Toolchain};
