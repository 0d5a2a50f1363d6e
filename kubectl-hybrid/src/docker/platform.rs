//! Platforms of engines, images and nodes, and which of them run what.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An operating system, an architecture and, where it matters, a variant of it, in the names of
/// the OCI image specification: `linux/amd64`, `linux/arm64`, `linux/arm/v7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Platform {
    os: String,
    arch: String,
    variant: String,
}

/// Why a text is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a platform: expected OS/ARCH or OS/ARCH/VARIANT, such as `linux/amd64`")]
pub struct PlatformError(String);

impl Platform {
    /// A platform from its parts, other names of the same thing unified: `x86_64` is `amd64`,
    /// `aarch64` and `arm64/v8` are `arm64`, and `arm` is `arm/v7`.
    pub fn new(os: &str, arch: &str, variant: &str) -> Self {
        let os = os.to_ascii_lowercase();
        let (arch, variant) = (arch.to_ascii_lowercase(), variant.to_ascii_lowercase());
        let os = if os == "macos" {
            "darwin".to_owned()
        } else {
            os
        };
        let (arch, variant) = match (arch.as_str(), variant.as_str()) {
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("aarch64" | "arm64", "" | "8" | "v8") => ("arm64", ""),
            ("aarch64", variant) => ("arm64", variant),
            ("armhf", "") | ("arm", "" | "7") => ("arm", "v7"),
            ("armel", "") | ("arm", "6") => ("arm", "v6"),
            ("i386" | "i686" | "x86", _) => ("386", ""),
            ("amd64", "v1") => ("amd64", ""),
            (arch, variant) => (arch, variant),
        };
        Self {
            os,
            arch: arch.to_owned(),
            variant: variant.to_owned(),
        }
    }

    /// The operating system.
    pub fn os(&self) -> &str {
        &self.os
    }

    /// The architecture.
    pub fn arch(&self) -> &str {
        &self.arch
    }

    /// Whether a node or engine of platform `host` runs an image of this platform by itself, that
    /// is, without emulation. An older variant runs on a newer one.
    pub fn runs_on(&self, host: &Self) -> bool {
        if self.os != host.os {
            return false;
        }
        if self.arch == host.arch {
            return self.variant_number() <= host.variant_number() || host.variant.is_empty();
        }
        matches!(
            (self.arch.as_str(), host.arch.as_str()),
            ("386", "amd64") | ("arm", "arm64")
        )
    }

    /// The platform in a form that a tag can hold: `linux-arm64`.
    pub fn slug(&self) -> String {
        self.to_string()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect()
    }

    fn variant_number(&self) -> u32 {
        self.variant
            .trim_start_matches('v')
            .parse()
            .unwrap_or_default()
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.trim().split('/').collect();
        let is_word = |part: &&str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        };
        match parts.as_slice() {
            [os, arch] if parts.iter().all(is_word) => Ok(Self::new(os, arch, "")),
            [os, arch, variant] if parts.iter().all(is_word) => Ok(Self::new(os, arch, variant)),
            // What `docker image inspect` prints with an empty variant.
            [os, arch, ""] if is_word(os) && is_word(arch) => Ok(Self::new(os, arch, "")),
            _ => Err(PlatformError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Platform {
    type Error = PlatformError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> Self {
        platform.to_string()
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.arch)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn other_names_of_a_platform_are_unified() {
        let cases = [
            ("linux/x86_64", "linux/amd64"),
            ("Linux/AMD64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm64/", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
            ("windows/amd64", "windows/amd64"),
        ];
        for (text, expected) in cases {
            assert_eq!(platform(text).to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_platform_is_refused() {
        for text in [
            "",
            "linux",
            "linux/",
            "/amd64",
            "linux/amd64/v1/x",
            "li nux/amd64",
        ] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_image_runs_where_its_instructions_exist() {
        let cases = [
            ("linux/amd64", "linux/amd64", true),
            ("linux/amd64", "linux/arm64", false),
            ("linux/arm64", "linux/amd64", false),
            ("linux/arm/v6", "linux/arm/v7", true),
            ("linux/arm/v7", "linux/arm/v6", false),
            ("linux/arm/v7", "linux/arm64", true),
            ("linux/386", "linux/amd64", true),
            ("linux/amd64/v3", "linux/amd64", true),
            ("windows/amd64", "linux/amd64", false),
        ];
        for (image, host, runs) in cases {
            assert_eq!(
                platform(image).runs_on(&platform(host)),
                runs,
                "{image} {host}"
            );
        }
    }
}
