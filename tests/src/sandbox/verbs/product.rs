//! The product, built by cargo where the sandbox's own program was built.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::sandbox::{Environment, Layout, SandboxError};
use crate::source_tree;

/// What a build depends on beside cargo's own variables: another value means to build all anew.
const OF_A_BUILD: [&str; 7] = [
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "RUSTC_WRAPPER",
    "CC",
    "CFLAGS",
    "AR",
    "ARFLAGS",
];
/// What cargo tells a running crate about itself.
const ABOUT_THIS_CRATE: [&str; 4] = [
    "CARGO_PKG_",
    "CARGO_BIN_",
    "CARGO_CRATE_",
    "CARGO_MANIFEST_",
];

/// cargo, with the target folder and the profile of the running program.
pub(super) struct Cargo {
    program: OsString,
    target: PathBuf,
    /// The profile's folder, where the binaries are.
    pub(super) binaries: PathBuf,
}

impl Cargo {
    pub(super) fn new(layout: &Layout) -> Result<Self, SandboxError> {
        let binaries = layout.binaries()?;
        Ok(Self {
            program: env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
            target: binaries.parent().unwrap_or(&binaries).to_owned(),
            binaries,
        })
    }

    /// A build, with the caller's environment: it may have to go through the caller's proxy.
    pub(super) fn build(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        let about = env::vars_os().map(|(name, _)| name).filter(|name| {
            name.to_str()
                .is_some_and(|name| ABOUT_THIS_CRATE.iter().any(|it| name.starts_with(it)))
        });
        for name in about {
            command.env_remove(name);
        }
        self.finish(command, "build", arguments)
    }

    /// A test run, with `environment` and what a build depends on: nothing must be built anew.
    pub(super) fn test(&self, environment: &Environment, arguments: &[&str]) -> Command {
        let mut command = environment.command(&self.program);
        for name in OF_A_BUILD {
            if let Some(value) = env::var_os(name) {
                command.env(name, value);
            }
        }
        self.finish(command, "test", arguments)
    }

    fn finish(&self, mut command: Command, verb: &str, arguments: &[&str]) -> Command {
        command.arg(verb);
        if self.binaries.file_name() == Some(OsStr::new("release")) {
            command.arg("--release");
        }
        command
            .args(arguments)
            .env("CARGO_TARGET_DIR", &self.target)
            .current_dir(source_tree())
            .stdin(Stdio::null());
        command
    }
}

/// The folder of the example.
pub(super) fn example() -> PathBuf {
    source_tree().join("examples/knowledge-repo")
}

/// For `map_err`: the command could not be started.
pub(super) fn not_started(command: &str) -> impl FnOnce(std::io::Error) -> SandboxError {
    let command = command.to_owned();
    move |source| SandboxError::Command {
        command,
        why: format!("it could not be started: {source}"),
    }
}

/// A path relative to the source tree, for people.
pub(super) fn shown(path: &Path) -> String {
    path.strip_prefix(source_tree())
        .unwrap_or(path)
        .display()
        .to_string()
}
