//! What the registry knows of an image and of a repository.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

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

impl FoundImage {
    /// The platforms of an index, as `OS/ARCH[/VARIANT]`; empty for the manifest of one image, which
    /// does not say. Attestations are no images.
    pub fn platforms(&self) -> Vec<String> {
        let manifest: Value = serde_json::from_str(&self.manifest).unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let images = manifest.get("manifests").and_then(Value::as_array);
        images
            .into_iter()
            .flatten()
            .filter_map(|image| {
                let platform = image.get("platform")?;
                let os = text(platform.get("os")?)?;
                let arch = text(platform.get("architecture")?)?;
                let variant = platform.get("variant").and_then(text);
                let parts: Vec<String> = [Some(os), Some(arch), variant]
                    .into_iter()
                    .flatten()
                    .collect();
                (!parts.iter().any(|part| part == "unknown")).then(|| parts.join("/"))
            })
            .collect()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_names_its_platforms_and_a_manifest_does_not() {
        let image = |manifest: &str| FoundImage {
            digest: format!("sha256:{}", "0".repeat(64)).parse().unwrap(),
            manifest: manifest.to_owned(),
            media_type: None,
        };
        let index = image(
            r#"{"manifests":[{"platform":{"os":"linux","architecture":"arm","variant":"v7"}},
                {"platform":{"os":"linux","architecture":"amd64"}},
                {"platform":{"os":"unknown","architecture":"unknown"}},{}]}"#,
        );
        assert_eq!(index.platforms(), ["linux/arm/v7", "linux/amd64"]);
        for manifest in [r#"{"config":{},"layers":[]}"#, "not JSON"] {
            assert!(image(manifest).platforms().is_empty());
        }
    }
}
