//! Versions as programs print them, remembered so that a program is asked once.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Cache, child};

/// The first thing in `text` that looks like a version: numbers joined by dots, at least two.
pub(super) fn first(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let end = bytes[at..]
            .iter()
            .position(|byte| !byte.is_ascii_digit() && *byte != b'.')
            .map_or(bytes.len(), |offset| at + offset);
        let before = at.checked_sub(1).map(|index| bytes[index]);
        let stands_alone = before.is_none_or(|byte| byte == b'v' || !byte.is_ascii_alphanumeric());
        let version = text[at..end].trim_end_matches('.');
        if stands_alone && version.contains('.') && !version.contains("..") {
            return Some(version);
        }
        at = end;
    }
    None
}

/// The numbers of a version, for comparing: `1.6.20~ds1` is 1, 6, 20.
pub(super) fn numbers(version: &str) -> Vec<u64> {
    let version = version.trim_start_matches('v');
    let end = version
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(version.len());
    version[..end]
        .split('.')
        .map_while(|part| part.parse().ok())
        .collect()
}

/// Versions by executable, kept in the cache folder.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Known {
    #[serde(default)]
    by_path: BTreeMap<PathBuf, Entry>,
    #[serde(skip)]
    changed: bool,
}

#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
struct Entry {
    changed_at: (i64, i64),
    length: u64,
    version: String,
}

impl Known {
    fn file(cache: &Cache) -> PathBuf {
        cache.root().join("versions.json")
    }

    /// What earlier runs learned; nothing when the file is absent or not to be read.
    pub(super) fn load(cache: &Cache) -> Self {
        fs::read(Self::file(cache))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// Keeps what was learned. Not being able to costs the next run half a second.
    pub(super) fn save(&self, cache: &Cache) {
        if !self.changed {
            return;
        }
        let Ok(bytes) = serde_json::to_vec_pretty(self) else {
            return;
        };
        let file = Self::file(cache);
        let beside = file.with_extension(format!("{}.new", std::process::id()));
        if fs::create_dir_all(cache.root()).is_ok() && fs::write(&beside, bytes).is_ok() {
            let _ = fs::rename(&beside, &file);
        }
    }

    /// The version of an executable: remembered while the file is the same, else what `ask` says.
    pub(super) fn of(
        &mut self,
        program: &Path,
        ask: impl FnOnce() -> Option<String>,
    ) -> Option<String> {
        let meta = fs::metadata(program).ok()?;
        let (changed_at, length) = ((meta.mtime(), meta.mtime_nsec()), meta.len());
        if let Some(entry) = self.by_path.get(program)
            && entry.changed_at == changed_at
            && entry.length == length
        {
            return Some(entry.version.clone());
        }
        let version = ask()?;
        self.changed = true;
        self.by_path.insert(
            program.to_owned(),
            Entry {
                changed_at,
                length,
                version: version.clone(),
            },
        );
        Some(version)
    }
}

/// Asks a program for its version.
pub(super) fn ask(program: &Path, arguments: &[&str]) -> Option<String> {
    // Terraform asks its makers for news otherwise.
    let text = child::output(
        child::command(program)
            .args(arguments)
            .env("CHECKPOINT_DISABLE", "1"),
    )?;
    first(&text).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_programs_really_print() {
        let cases = [
            (
                "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3",
                "1.6.20",
            ),
            (
                "runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1",
                "1.1.5",
            ),
            ("Docker version 20.10.24+dfsg1, build 5d6db84", "20.10.24"),
            ("github.com/docker/buildx v0.29.1 ", "0.29.1"),
            ("etcd Version: 3.4.23\nGit SHA: Not provided", "3.4.23"),
            ("Kubernetes v1.34.2", "1.34.2"),
            (
                "Client Version: v1.32.4-dispatcher\nKustomize Version: v5.5.0",
                "1.32.4",
            ),
            ("aws-cli/1.45.11 Python/3.11.7 Linux/6.18.44", "1.45.11"),
            ("iptables v1.8.9 (nf_tables)", "1.8.9"),
            (
                "socat by G - see www.dest-unreach.org\nsocat version 1.7.4.4 on 06 Nov 2022",
                "1.7.4.4",
            ),
            ("ip utility, iproute2-6.1.0, libbpf 1.1.2", "6.1.0"),
            ("keyctl from keyutils-1.6.3 (Built 2022-12-24)", "1.6.3"),
        ];
        for (text, version) in cases {
            assert_eq!(first(text), Some(version), "{text}");
        }
        assert_eq!(first("CNI bridge plugin version unknown"), None);
        assert_eq!(first("v2 ... 7"), None);
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(numbers("1.10.0") > numbers("1.9.9"));
        assert!(numbers("v3.2.1") >= numbers("3.2.1"));
        assert!(numbers("1.6.20~ds1") == [1, 6, 20]);
        assert!(numbers("unknown").is_empty());
    }

    #[test]
    fn a_program_is_asked_again_only_when_it_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let program = folder.path().join("program");
        fs::write(&program, "one").unwrap();
        let mut known = Known::load(&cache);
        assert_eq!(
            known.of(&program, || Some("1.0".into())).as_deref(),
            Some("1.0")
        );
        known.save(&cache);

        let mut known = Known::load(&cache);
        assert_eq!(
            known.of(&program, || Some("2.0".into())).as_deref(),
            Some("1.0")
        );
        fs::write(&program, "changed").unwrap();
        assert_eq!(
            known.of(&program, || Some("2.0".into())).as_deref(),
            Some("2.0")
        );
    }

    #[test]
    fn a_broken_memory_is_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("versions.json"), "{").unwrap();
        assert!(Known::load(&Cache::at(folder.path())).by_path.is_empty());
    }
}
