//! The archive and the manifest with which krew installs the plugin.

mod archive;
#[cfg(unix)]
pub mod krew;
mod manifest;

pub use archive::{Archive, PackageError, pack};
pub use manifest::{Platform, manifest};
