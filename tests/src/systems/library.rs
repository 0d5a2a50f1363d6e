//! Where the standard library of another system comes from.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use thiserror::Error;

use crate::package::toolchain::{DEBIAN_CARGO, DEBIAN_RUSTC, has_debian_sources, has_library};

/// The standard library of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// The compiler at hand has it.
    Installed,
    /// Debian's compiler builds it from Debian's sources.
    FromSource,
}

/// Why a target cannot be compiled for.
#[derive(Debug, Error)]
pub enum LibraryError {
    /// Neither of the two ways is open.
    #[error(
        "there is no standard library: `rustup target add` says {why}, and Debian's sources are not installed; run `apt-get install cargo-web rust-web-src rustc-web`"
    )]
    Missing {
        /// What rustup said, as a clause.
        why: String,
    },
}

impl Library {
    /// Finds the library of a target, or has rustup fetch it.
    pub fn find(target: &str) -> Result<Self, LibraryError> {
        if has_library(target) {
            return Ok(Self::Installed);
        }
        let why = match fetched(target) {
            Ok(()) if has_library(target) => return Ok(Self::Installed),
            Ok(()) => "it is there, but for another compiler".to_owned(),
            Err(why) => why,
        };
        if has_debian_sources() {
            return Ok(Self::FromSource);
        }
        Err(LibraryError::Missing { why })
    }

    /// A cargo that checks with it, and with clippy where there is one of the same compiler.
    pub(super) fn cargo(self, target: &str) -> Command {
        match self {
            Self::Installed => {
                let own = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
                let mut command = Command::new(own);
                command.args(["clippy", "--target", target]);
                command
            }
            Self::FromSource => {
                let mut command = Command::new(DEBIAN_CARGO);
                // Cargo builds the library by an option that a stable one takes only like this.
                command
                    .env("RUSTC", DEBIAN_RUSTC)
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env_remove("RUSTUP_TOOLCHAIN")
                    .env_remove("RUSTDOC")
                    .args(["check", "-Zbuild-std", "--target", target]);
                command
            }
        }
    }

    /// What comes behind the names of what is checked.
    pub(super) fn lints(self) -> &'static [&'static str] {
        match self {
            Self::Installed => &["--", "-D", "warnings"],
            Self::FromSource => &[],
        }
    }
}

/// Has rustup fetch the library; what it says is given when it cannot.
fn fetched(target: &str) -> Result<(), String> {
    let output = Command::new("rustup")
        .args(["target", "add", target])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("that there is no rustup ({error})"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    Err(format!("`{}`", last.unwrap_or("nothing").trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_built_by_the_compiler_that_its_sources_belong_to() {
        let command = Library::FromSource.cargo("aarch64-apple-darwin");
        assert_eq!(command.get_program(), DEBIAN_CARGO);
        let rustc = command.get_envs().find(|(name, _)| *name == "RUSTC");
        assert_eq!(rustc, Some(("RUSTC".as_ref(), Some(DEBIAN_RUSTC.as_ref()))));
        assert!(command.get_args().any(|word| word == "-Zbuild-std"));
    }

    #[test]
    fn a_target_that_does_not_exist_is_refused_by_whoever_is_asked() {
        assert!(!has_library("x86_64-moon-base"));
        assert!(fetched("x86_64-moon-base").is_err());
    }
}
