//! Image references, tags and digests as types.
//!
//! The grammar is that of the distribution project's reference package, which Docker, containerd
//! and Kubernetes share.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest tag that a registry takes, in bytes.
const MAX_TAG: usize = 128;

/// The longest repository name that ECR takes, in bytes.
const MAX_REPOSITORY: usize = 256;

/// Why a text is not an image reference, a tag or a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The digest is not `sha256:` and 64 hexadecimal digits.
    #[error("`{text}` is not a digest: expected `sha256:` and 64 lower-case hexadecimal digits")]
    Digest {
        /// What was given.
        text: String,
    },
    /// The tag has a wrong length or a wrong character.
    #[error(
        "`{text}` is not a tag: expected 1 to 128 of A-Z, a-z, 0-9, `_`, `.` and `-`, not starting with `.` or `-`"
    )]
    Tag {
        /// What was given.
        text: String,
    },
    /// The repository's name breaks the rules.
    #[error(
        "`{text}` is not a repository name: expected lower-case letters, digits and single `.`, `_`, `-` between them, in parts divided by `/`"
    )]
    Repository {
        /// What was given.
        text: String,
    },
    /// The registry's host is empty or has a wrong character.
    #[error("`{text}` is not a registry host: expected a host name, with a port if needed")]
    Registry {
        /// What was given.
        text: String,
    },
}

/// The digest of a manifest or of an image's configuration: `sha256:` and 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// The whole digest, algorithm included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve hexadecimal digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(7..19).unwrap_or_default()
    }

    /// Finds the first digest in a longer text, such as `dev: digest: sha256:… size: 942`.
    pub fn find_in(text: &str) -> Option<Self> {
        text.match_indices("sha256:").find_map(|(start, _)| {
            let candidate = text.get(start..start + 71)?;
            let next = text[start + 71..].chars().next();
            if next.is_some_and(|c| c.is_ascii_alphanumeric()) {
                return None;
            }
            candidate.parse().ok()
        })
    }
}

impl FromStr for Digest {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ReferenceError::Digest {
                text: text.to_owned(),
            })
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tag of an image: 1 to 128 characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

impl Tag {
    /// The tag's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A tag made from any text, such as the name of a workspace: what a tag cannot hold becomes
    /// `-`, and what is too long is cut. `None` when nothing is left.
    pub fn from_name(name: &str) -> Option<Self> {
        let text: String = name
            .chars()
            .map(|c| if is_tag_char(c) { c } else { '-' })
            .skip_while(|&c| matches!(c, '.' | '-'))
            .take(MAX_TAG)
            .collect();
        text.parse().ok()
    }
}

fn is_tag_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')
}

impl FromStr for Tag {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=MAX_TAG).contains(&text.len())
            && text.chars().all(is_tag_char)
            && !text.starts_with(['.', '-']);
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(ReferenceError::Tag {
                text: text.to_owned(),
            })
        }
    }
}

impl TryFrom<String> for Tag {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an image is: `REGISTRY/REPOSITORY[:TAG][@DIGEST]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageReference {
    registry: String,
    repository: String,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

impl ImageReference {
    /// A repository of a registry, with neither tag nor digest.
    pub fn new(registry: &str, repository: &str) -> Result<Self, ReferenceError> {
        if !is_registry(registry) {
            return Err(ReferenceError::Registry {
                text: registry.to_owned(),
            });
        }
        if !is_repository(repository) {
            return Err(ReferenceError::Repository {
                text: repository.to_owned(),
            });
        }
        Ok(Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            tag: None,
            digest: None,
        })
    }

    /// The same repository under this tag, without a digest.
    #[must_use]
    pub fn tagged(&self, tag: &Tag) -> Self {
        Self {
            tag: Some(tag.clone()),
            digest: None,
            ..self.clone()
        }
    }

    /// The same repository pinned to this digest, without a tag.
    #[must_use]
    pub fn pinned(&self, digest: &Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest.clone()),
            ..self.clone()
        }
    }

    /// The registry's host, with its port when there is one.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository's name, without the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, when there is one.
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// The digest, when there is one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }
}

impl FromStr for ImageReference {
    type Err = ReferenceError;

    /// Reads a reference as Docker does: without a host it is Docker Hub's, and a name of one part
    /// there is in `library/`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        let name_start = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[name_start..].split_once(':') {
            Some((_, tag)) => (&rest[..rest.len() - tag.len() - 1], Some(tag.parse()?)),
            None => (rest, None),
        };
        let reference = match name.split_once('/') {
            Some((first, repository)) if first.contains(['.', ':']) || first == "localhost" => {
                Self::new(first, repository)?
            }
            Some(_) => Self::new("docker.io", name)?,
            None => {
                if !is_repository(name) {
                    return Err(ReferenceError::Repository {
                        text: name.to_owned(),
                    });
                }
                Self::new("docker.io", &format!("library/{name}"))?
            }
        };
        Ok(Self {
            tag,
            digest,
            ..reference
        })
    }
}

impl TryFrom<String> for ImageReference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ImageReference> for String {
    fn from(reference: ImageReference) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let host_fits = !host.is_empty()
        && !host.starts_with(['.', '-'])
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    host_fits && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Parts of lower-case letters and digits; inside a part one `.`, one or two `_`, or any run of
/// `-` may stand between them.
fn is_repository(text: &str) -> bool {
    text.len() <= MAX_REPOSITORY && text.split('/').all(is_repository_part)
}

fn is_repository_part(part: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.starts_with(alphanumeric)
        && part.ends_with(alphanumeric)
        && part
            .split(alphanumeric)
            .all(|run| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

    fn hex() -> String {
        "0123456789abcdef".repeat(4)
    }

    #[test]
    fn a_digest_is_sha256_and_64_lower_case_digits() {
        let good = format!("sha256:{}", hex());
        assert_eq!(good.parse::<Digest>().unwrap().short(), "0123456789ab");
        for bad in [
            String::new(),
            hex(),
            format!("sha256:{}", &hex()[1..]),
            format!("sha256:{}0", hex()),
            format!("sha256:{}", hex().to_uppercase()),
            format!("sha512:{}", hex()),
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_digest_is_found_in_the_line_that_push_prints() {
        let line = format!("dev: digest: sha256:{} size: 942", hex());
        assert_eq!(
            Digest::find_in(&line).unwrap().as_str(),
            format!("sha256:{}", hex())
        );
        assert_eq!(Digest::find_in("digest: sha256:abc size: 1"), None);
        assert_eq!(Digest::find_in(&format!("sha256:{}ff", hex())), None);
        assert_eq!(Digest::find_in("sha256:é"), None);
    }

    #[test]
    fn tags_follow_the_registry_s_grammar() {
        let longest = "a".repeat(128);
        for good in ["dev", "1", "_x", "a.b-c_D", longest.as_str()] {
            assert_eq!(good.parse::<Tag>().unwrap().as_str(), good);
        }
        let too_long = "a".repeat(129);
        for bad in ["", ".a", "-a", "a b", "a/b", "é", "a:b", too_long.as_str()] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
    }

    #[test]
    fn any_name_becomes_a_tag_or_nothing() {
        let cases = [
            ("dev", Some("dev")),
            ("feature/login", Some("feature-login")),
            ("-x", Some("x")),
            ("..", None),
            ("", None),
            ("ä", None),
        ];
        for (name, tag) in cases {
            assert_eq!(
                Tag::from_name(name).map(String::from),
                tag.map(str::to_owned),
                "{name}"
            );
        }
        assert_eq!(
            Tag::from_name(&"x".repeat(500)).unwrap().as_str().len(),
            128
        );
    }

    #[test]
    fn references_are_read_as_docker_reads_them() {
        let digest = format!("sha256:{}", hex());
        let cases = [
            ("busybox", "docker.io", "library/busybox", None, false),
            (
                "busybox:1.36",
                "docker.io",
                "library/busybox",
                Some("1.36"),
                false,
            ),
            ("org/app", "docker.io", "org/app", None, false),
            ("localhost/app:x", "localhost", "app", Some("x"), false),
            ("localhost:5000/a/b", "localhost:5000", "a/b", None, false),
            (
                &format!("{HOST}/knowledge-repo-dev/web:dev"),
                HOST,
                "knowledge-repo-dev/web",
                Some("dev"),
                false,
            ),
            (
                &format!("{HOST}/web:dev@{digest}"),
                HOST,
                "web",
                Some("dev"),
                true,
            ),
        ];
        for (text, registry, repository, tag, has_digest) in cases {
            let reference: ImageReference = text.parse().unwrap();
            assert_eq!(reference.registry(), registry, "{text}");
            assert_eq!(reference.repository(), repository, "{text}");
            assert_eq!(reference.tag().map(Tag::as_str), tag, "{text}");
            assert_eq!(reference.digest().is_some(), has_digest, "{text}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for bad in [
            "",
            "/",
            "Web",
            "a//b",
            "host.example/",
            "host.example/a:",
            "host.example/a@sha256:1",
            "host.example:x/a",
            "host.example/a..b",
            "host.example/a___b",
            "host.example/-a",
            "a b",
            "-x.example/a",
        ] {
            assert!(bad.parse::<ImageReference>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_reference_prints_as_it_was_read() {
        let text = format!("{HOST}/a/b:dev@sha256:{}", hex());
        let reference: ImageReference = text.parse().unwrap();
        assert_eq!(reference.to_string(), text);
        let digest = reference.digest().unwrap().clone();
        assert_eq!(
            reference.pinned(&digest).to_string(),
            format!("{HOST}/a/b@{digest}")
        );
        assert_eq!(
            reference.tagged(&"x".parse().unwrap()).to_string(),
            format!("{HOST}/a/b:x")
        );
    }
}
