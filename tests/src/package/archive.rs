//! The archive: both programs and the licence in one folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};
use thiserror::Error;

use super::Platform;
use crate::digest;

/// What the archive holds beside the licence, without the ending of Windows.
const PROGRAMS: [&str; 2] = ["kubectl-hybrid", "docker-credential-ecr-hybrid"];
/// Must be named exactly so, or the checks of the public index refuse the plugin.
const LICENCE_NAME: &str = "LICENSE";
const LICENCE: &[u8] = include_bytes!("../../../LICENSE");

/// Why the archive could not be made.
#[derive(Debug, Error)]
pub enum PackageError {
    /// A program has not been built.
    #[error("There is no `{path}` to pack: build it with `cargo build --release`", path = path.display())]
    NotBuilt {
        /// Where the program should be.
        path: PathBuf,
    },
    /// The programs could not be built.
    #[error("The release build with cargo failed: {why}")]
    Cargo {
        /// What cargo or the system said, as a clause.
        why: String,
    },
    /// A file could not be read or written.
    #[error("Could not {action} `{path}`: {source}", path = path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A finished archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The file.
    pub path: PathBuf,
    /// The one folder in it.
    pub folder: String,
    /// What its programs run on.
    pub platform: Platform,
    /// Of the file, in lower case, as krew asks for it.
    pub sha256: String,
}

impl Archive {
    /// The last part of its path.
    pub fn file_name(&self) -> String {
        self.path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }
}

/// Packs the programs in `binaries`, built for `platform`, into a file in `out`. The same programs
/// give the same bytes.
pub fn pack(
    version: &str,
    platform: Platform,
    binaries: &Path,
    out: &Path,
) -> Result<Archive, PackageError> {
    let folder = format!("kubectl-hybrid-{version}-{}-{}", platform.os, platform.arch);
    let mut files = vec![(LICENCE_NAME.to_owned(), LICENCE.to_vec(), 0o644)];
    for program in PROGRAMS {
        let name = format!("{program}{}", platform.exe());
        let path = binaries.join(&name);
        let content = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(PackageError::NotBuilt { path });
            }
            other => other.map_err(at("read", &path))?,
        };
        files.push((name, content, 0o755));
    }
    let path = out.join(format!("{folder}.tar.gz"));
    let bytes = compress(&folder, &files).map_err(at("pack", &path))?;
    fs::create_dir_all(out).map_err(at("make the folder", out))?;
    fs::write(&path, &bytes).map_err(at("write", &path))?;
    let sha256 = digest::sha256(&bytes);
    Ok(Archive {
        path,
        folder,
        platform,
        sha256,
    })
}

fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PackageError {
    let path = path.to_owned();
    move |source| PackageError::Io {
        action,
        path,
        source,
    }
}

fn compress(folder: &str, files: &[(String, Vec<u8>, u32)]) -> io::Result<Vec<u8>> {
    let gzip = GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), Compression::best());
    let mut archive = tar::Builder::new(gzip);
    for (name, content, mode) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        header.set_mtime(0);
        archive.append_data(&mut header, format!("{folder}/{name}"), content.as_slice())?;
    }
    archive.into_inner()?.finish()
}

#[cfg(test)]
mod tests {
    use flate2::read::GzDecoder;

    use super::*;

    const LINUX: Platform = Platform {
        os: "linux",
        arch: "amd64",
    };

    fn binaries() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for program in PROGRAMS {
            fs::write(folder.path().join(program), program).unwrap();
        }
        folder
    }

    #[test]
    fn both_programs_and_the_licence_are_in_one_folder() {
        let (binaries, out) = (binaries(), tempfile::tempdir().unwrap());
        let archive = pack("1.2.3", LINUX, binaries.path(), out.path()).unwrap();
        assert_eq!(
            archive.file_name(),
            "kubectl-hybrid-1.2.3-linux-amd64.tar.gz"
        );
        let bytes = fs::read(&archive.path).unwrap();
        let mut tar = tar::Archive::new(GzDecoder::new(bytes.as_slice()));
        let names: Vec<(String, u32)> = tar
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let path = entry.path().unwrap().to_string_lossy().into_owned();
                (path, entry.header().mode().unwrap())
            })
            .collect();
        let folder = "kubectl-hybrid-1.2.3-linux-amd64";
        assert_eq!(
            names,
            [
                (format!("{folder}/LICENSE"), 0o644),
                (format!("{folder}/kubectl-hybrid"), 0o755),
                (format!("{folder}/docker-credential-ecr-hybrid"), 0o755),
            ]
        );
        assert_eq!(archive.sha256.len(), 64);
        assert_eq!(archive.sha256, archive.sha256.to_lowercase());
    }

    #[test]
    fn the_same_programs_give_the_same_bytes() {
        let (binaries, one, two) = (
            binaries(),
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
        );
        let first = pack("1.2.3", LINUX, binaries.path(), one.path()).unwrap();
        let second = pack("1.2.3", LINUX, binaries.path(), two.path()).unwrap();
        assert_eq!(first.sha256, second.sha256);
    }

    #[test]
    fn a_program_that_is_not_built_is_named() {
        let empty = tempfile::tempdir().unwrap();
        let error = pack("1.2.3", LINUX, empty.path(), empty.path()).unwrap_err();
        assert!(matches!(error, PackageError::NotBuilt { .. }), "{error}");
        assert!(error.to_string().contains("kubectl-hybrid`"), "{error}");
    }
}
