//! Amazon ECR as a registry of images: references, look-ups and moving tags through its API.
//!
//! Layers travel through Docker (see [`crate::docker`]). What can be asked or changed without
//! layers is asked here, in one call per repository.

pub mod client;
pub mod error;
#[cfg(test)]
pub(crate) mod fake;
pub mod image;
pub mod mutability;
pub mod reference;

pub use client::{Registry, TagChange};
pub use error::RegistryError;
pub use image::{FoundImage, ImageDetail, Lookup, RepositoryDetail};
pub use mutability::Mutability;
pub use reference::{Digest, ImageReference, ReferenceError, Tag};
