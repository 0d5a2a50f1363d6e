//! What the registry knows of an image and of a repository.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::mutability::Mutability;
use super::reference::{Digest, Tag};

/// An image with its manifest, as one look-up finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundImage {
    /// The manifest's digest.
    pub digest: Digest,
    /// The manifest, byte for byte: its hash is the digest.
    pub manifest: String,
    /// The manifest's media type, when the registry says it.
    pub media_type: Option<String>,
}

/// The answer to a look-up of several tags in one repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lookup {
    /// The tags that exist.
    pub images: BTreeMap<Tag, FoundImage>,
}

impl Lookup {
    /// The digest behind this tag.
    pub fn digest(&self, tag: &Tag) -> Option<&Digest> {
        self.images.get(tag).map(|image| &image.digest)
    }
}

/// What the registry remembers of an image, without its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageDetail {
    /// The manifest's digest.
    pub digest: Digest,
    /// All tags of the image.
    pub tags: Vec<Tag>,
    /// When it was pushed.
    pub pushed_at: Option<Timestamp>,
    /// The manifest's media type.
    pub media_type: Option<String>,
    /// The size of its layers in the registry, in bytes, compressed.
    pub size: Option<u64>,
}

/// What the registry knows of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RepositoryDetail {
    /// The repository's name.
    pub name: String,
    /// The registry and the name, as Docker wants it.
    pub uri: String,
    /// Whether tags may be moved.
    pub mutability: Mutability,
}
