//! What makes the release for this machine.
//!
//! On Linux the programs are linked statically with musl: they run on every distribution and in
//! empty images, and they start in half the time, because nothing has to be found and bound. For
//! that the standard library for the musl target is needed. rustup installs it; Debian has its
//! sources instead, with a compiler of the same version that builds it.

use std::env::consts;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Debian packages that make a static release.
pub const PACKAGES: [&str; 5] = [
    "cargo-web",
    "libunwind-14-dev",
    "musl-tools",
    "rust-web-src",
    "rustc-web",
];
pub(crate) const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
pub(crate) const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_SOURCES: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";
/// What the standard library unwinds with; the one of GCC wants glibc.
const UNWIND: &str = "/usr/lib/llvm-14/lib";
const LINKER: &str = "musl-gcc";
/// The library of rustup's is not compiled for the least size either.
const LIBRARY: [&str; 6] = [
    "--config",
    "profile.release.package.core.opt-level='s'",
    "--config",
    "profile.release.package.alloc.opt-level='s'",
    "--config",
    "profile.release.package.std.opt-level='s'",
];

/// A compiler, and how its programs are linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The one at hand, for the target that it is made for.
    Ordinary,
    /// The one at hand, with the standard library for a musl target.
    Static {
        /// The target.
        target: String,
    },
    /// Debian's, which builds the standard library for a musl target, too.
    StaticFromSource {
        /// The target.
        target: String,
    },
}

impl Toolchain {
    /// The best that this machine has.
    pub fn find() -> Self {
        let Some(target) = musl_target() else {
            return Self::Ordinary;
        };
        if has_library(&target) {
            Self::Static { target }
        } else if has_sources() {
            Self::StaticFromSource { target }
        } else {
            Self::Ordinary
        }
    }

    /// Whether a better one could be had, from [`PACKAGES`].
    pub fn could_be_static(&self) -> bool {
        *self == Self::Ordinary && musl_target().is_some()
    }

    /// A cargo that builds with it. The caller adds the verb and what is built.
    pub(super) fn cargo(&self) -> Command {
        let ordinary = || std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        match self {
            Self::Ordinary | Self::Static { .. } => Command::new(ordinary()),
            Self::StaticFromSource { target } => {
                let mut command = Command::new(DEBIAN_CARGO);
                // Cargo builds the library by an option that a stable one takes only like this.
                command
                    .env("RUSTC", DEBIAN_RUSTC)
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env_remove("RUSTUP_TOOLCHAIN")
                    .env_remove("RUSTDOC");
                let target = target.replace('-', "_");
                command.env(format!("CC_{target}"), LINKER);
                let linker = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase());
                command.env(linker, LINKER);
                // In place of those in the project's own configuration.
                command.env(
                    "RUSTFLAGS",
                    format!(
                        "-C relocation-model=static -C target-feature=+crt-static \
                         -C link-self-contained=no -L {UNWIND}"
                    ),
                );
                command
            }
        }
    }

    /// The options of `cargo build` for it.
    pub(super) fn options(&self) -> Vec<&str> {
        match self {
            Self::Ordinary => Vec::new(),
            Self::Static { target } => vec!["--target", target],
            Self::StaticFromSource { target } => {
                let mut options = vec!["--target", target, "-Zbuild-std=std,panic_abort"];
                options.extend(LIBRARY);
                options
            }
        }
    }

    /// Where a release build puts its programs, below the target folder.
    pub(super) fn folder(&self, target_folder: &Path) -> PathBuf {
        match self {
            Self::Ordinary => target_folder.join("release"),
            Self::Static { target } | Self::StaticFromSource { target } => {
                target_folder.join(target).join("release")
            }
        }
    }
}

fn musl_target() -> Option<String> {
    (consts::OS == "linux").then(|| format!("{}-unknown-linux-musl", consts::ARCH))
}

/// Whether the compiler at hand has the standard library for a target.
pub(crate) fn has_library(target: &str) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", target])
        .output();
    output.is_ok_and(|output| {
        let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success() && Path::new(&folder).is_dir()
    })
}

fn has_sources() -> bool {
    let unwind = Path::new(UNWIND).join("libunwind.a");
    let linker = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(LINKER).is_file()));
    linker && unwind.is_file() && has_debian_sources()
}

/// Whether Debian's compiler can build the standard library for another target.
pub(crate) fn has_debian_sources() -> bool {
    [DEBIAN_RUSTC, DEBIAN_CARGO, DEBIAN_SOURCES]
        .iter()
        .all(|path| Path::new(path).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_source() -> Toolchain {
        Toolchain::StaticFromSource {
            target: "x86_64-unknown-linux-musl".to_owned(),
        }
    }

    #[test]
    fn a_static_release_is_in_the_folder_of_its_target() {
        let folder = |toolchain: &Toolchain| toolchain.folder(Path::new("/t"));
        assert_eq!(folder(&Toolchain::Ordinary), Path::new("/t/release"));
        assert_eq!(
            folder(&from_source()),
            Path::new("/t/x86_64-unknown-linux-musl/release")
        );
    }

    #[test]
    fn the_library_is_built_by_the_compiler_that_its_sources_belong_to() {
        let command = from_source().cargo();
        assert_eq!(command.get_program(), DEBIAN_CARGO);
        let variable = |name: &str| {
            let found = command.get_envs().find(|(key, _)| *key == name);
            found.and_then(|(_, value)| value).map(OsString::from)
        };
        assert_eq!(variable("RUSTC"), Some(DEBIAN_RUSTC.into()));
        assert_eq!(
            variable("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER"),
            Some(LINKER.into())
        );
        assert_eq!(
            variable("CC_x86_64_unknown_linux_musl"),
            Some(LINKER.into())
        );
        assert!(
            from_source()
                .options()
                .contains(&"-Zbuild-std=std,panic_abort")
        );
    }
}
