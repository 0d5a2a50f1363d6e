//! The manifest, from the templates in `krew/`.

use std::env::consts;

use super::Archive;

const PLUGIN: &str = include_str!("../../../krew/plugin.yaml.in");
const PLATFORM: &str = include_str!("../../../krew/platform.yaml.in");

/// An operating system and an architecture, as Go and so krew name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// `linux`, `darwin` or `windows`.
    pub os: &'static str,
    /// `amd64` or `arm64`.
    pub arch: &'static str,
}

impl Platform {
    /// The platform that this program runs on.
    pub const fn here() -> Self {
        Self {
            os: go_os(consts::OS),
            arch: go_arch(consts::ARCH),
        }
    }

    /// What the file names of programs end with.
    pub const fn exe(self) -> &'static str {
        match self.os.as_bytes() {
            b"windows" => ".exe",
            _ => "",
        }
    }
}

const fn go_os(os: &'static str) -> &'static str {
    match os.as_bytes() {
        b"macos" => "darwin",
        _ => os,
    }
}

const fn go_arch(arch: &'static str) -> &'static str {
    match arch.as_bytes() {
        b"x86_64" => "amd64",
        b"aarch64" => "arm64",
        _ => arch,
    }
}

/// The manifest of a version for these archives, each to be fetched from below `release`.
pub fn manifest(version: &str, release: &str, archives: &[Archive]) -> String {
    let platforms: Vec<String> = archives
        .iter()
        .map(|archive| {
            let uri = format!("{}/{}", release.trim_end_matches('/'), archive.file_name());
            PLATFORM
                .trim_end()
                .replace("{os}", archive.platform.os)
                .replace("{arch}", archive.platform.arch)
                .replace("{uri}", &uri)
                .replace("{sha256}", &archive.sha256)
                .replace("{exe}", archive.platform.exe())
                .replace("{folder}", &archive.folder)
        })
        .collect();
    // The comment on top is for those who change the template.
    let lines = PLUGIN.lines().filter(|line| !line.starts_with('#'));
    let plugin: String = lines
        .flat_map(|line| {
            [
                line, "
",
            ]
        })
        .collect();
    plugin.replace("{version}", version).replace(
        "{platforms}",
        &platforms.join(
            "
",
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(os: &'static str, arch: &'static str) -> Archive {
        Archive {
            path: format!("/dist/kubectl-hybrid-1.2.3-{os}-{arch}.tar.gz").into(),
            folder: format!("kubectl-hybrid-1.2.3-{os}-{arch}"),
            platform: Platform { os, arch },
            sha256: "ab".repeat(32),
        }
    }

    #[test]
    fn each_archive_gets_a_block_and_no_place_is_left_open() {
        let text = manifest(
            "1.2.3",
            "https://example.com/releases/v1.2.3/",
            &[archive("linux", "amd64"), archive("windows", "arm64")],
        );
        assert!(!text.contains(['{', '}', '#']), "{text}");
        assert!(text.contains("\n  version: v1.2.3\n"));
        assert!(text.contains(
            "uri: https://example.com/releases/v1.2.3/kubectl-hybrid-1.2.3-linux-amd64.tar.gz\n"
        ));
        assert!(text.contains("from: \"kubectl-hybrid-1.2.3-windows-arm64/kubectl-hybrid.exe\""));
        assert_eq!(text.matches("- selector:").count(), 2);
    }

    #[test]
    fn the_short_description_fits_what_the_index_accepts() {
        let line = PLUGIN
            .lines()
            .find(|line| line.contains("shortDescription"))
            .unwrap();
        let text = line.split_once(": ").unwrap().1;
        assert!(text.len() <= 50, "{}", text.len());
    }

    #[test]
    fn platforms_are_named_as_go_names_them() {
        assert_eq!(go_os("macos"), "darwin");
        assert_eq!(go_os("linux"), "linux");
        assert_eq!(go_arch("x86_64"), "amd64");
        assert_eq!(go_arch("aarch64"), "arm64");
        assert_eq!(
            Platform {
                os: "windows",
                arch: "amd64"
            }
            .exe(),
            ".exe"
        );
        assert_eq!(
            Platform {
                os: "linux",
                arch: "amd64"
            }
            .exe(),
            ""
        );
    }
}
