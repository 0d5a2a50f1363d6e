//! Executables that the machine has already.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::child;

/// Folders that hold programs of the sandbox and are often not on a user's `PATH`.
const USUAL: [&str; 8] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/usr/local/go/bin",
    "/usr/lib/go/bin",
];

/// The folders of `PATH` and then the usual ones, each once and only absolute ones.
pub(super) fn folders() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut seen = BTreeSet::new();
    env::split_paths(&path)
        .chain(USUAL.map(PathBuf::from))
        .filter(|folder| folder.is_absolute() && seen.insert(folder.clone()))
        .collect()
}

/// The executable of this name in the first folder that has one.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    find_in(&folders(), name).map(behind_shim)
}

/// The executable of this name in the first of `folders` that has one.
pub(super) fn find_in(folders: &[PathBuf], name: &str) -> Option<PathBuf> {
    folders
        .iter()
        .map(|folder| folder.join(name))
        .find(|path| is_executable(path))
}

/// Whether `path` is a file, or a link to one, that somebody may execute.
pub(super) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// A pyenv shim needs pyenv's own variables to work, the program behind it needs none.
fn behind_shim(path: PathBuf) -> PathBuf {
    let shim = path
        .parent()
        .is_some_and(|folder| folder.ends_with("shims"));
    let (true, Some(name)) = (shim, path.file_name()) else {
        return path;
    };
    // Run as the user would run it: which version answers depends on the user's set-up.
    let real = child::command("pyenv")
        .envs(env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PYENV_")))
        .arg("which")
        .arg(name)
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map(|line| PathBuf::from(line.trim()))
        .filter(|real| is_executable(real));
    real.unwrap_or(path)
}

/// Whether this file is an ELF executable that needs no loader, and so runs in an empty root.
pub(super) fn is_static(program: &[u8]) -> bool {
    /// `PT_INTERP` of the ELF specification: names the loader.
    const INTERPRETER: u32 = 3;
    let word = |at: usize, len: usize| -> Option<u64> {
        let bytes = program.get(at..at.checked_add(len)?)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |value, byte| (value << 8) | u64::from(*byte)),
        )
    };
    // 64-bit and little-endian: the only kind that the sandbox runs on.
    if program.get(..6) != Some(b"\x7fELF\x02\x01") {
        return false;
    }
    let (Some(table), Some(size), Some(count)) = (word(32, 8), word(54, 2), word(56, 2)) else {
        return false;
    };
    (0..count).all(|index| {
        let at = index
            .checked_mul(size)
            .and_then(|offset| table.checked_add(offset));
        at.and_then(|at| usize::try_from(at).ok())
            .and_then(|at| word(at, 4))
            .is_some_and(|kind| kind != u64::from(INTERPRETER))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_folders_are_searched_after_path_and_each_once() {
        let folders = folders();
        assert!(folders.contains(&PathBuf::from("/usr/sbin")));
        let distinct: BTreeSet<_> = folders.iter().collect();
        assert_eq!(distinct.len(), folders.len());
    }

    #[test]
    fn only_files_that_can_be_executed_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, program) = (folder.path().join("plain"), folder.path().join("program"));
        fs::write(&plain, "").unwrap();
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let folders = [folder.path().to_owned()];
        assert_eq!(find_in(&folders, "plain"), None);
        assert_eq!(find_in(&folders, "program"), Some(program));
        assert_eq!(find_in(&folders, "."), None);
    }

    fn elf(kinds: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = u8::try_from(kinds.len()).unwrap();
        for kind in kinds {
            bytes.extend_from_slice(&kind.to_le_bytes());
            bytes.extend_from_slice(&[0; 52]);
        }
        bytes
    }

    #[test]
    fn a_program_that_names_a_loader_is_not_static() {
        assert!(is_static(&elf(&[1, 1, 4])));
        assert!(!is_static(&elf(&[6, 3, 1])));
        assert!(!is_static(b"#!/bin/sh\n"));
        assert!(!is_static(&elf(&[1, 1])[..100]));
    }
}
