//! The sandbox's own program in the background: with its verb, a log and nothing of the caller's.

use std::fs::File;
use std::process::{Command, Stdio};

use super::{Environment, Layout, SandboxError};

/// A command that runs this program's `verb` and writes what it says to the log of `part`. Only the
/// last life is of interest there.
pub(super) fn command(
    layout: &Layout,
    environment: &Environment,
    part: &str,
    verb: &str,
) -> Result<Command, SandboxError> {
    let exe = std::env::current_exe().map_err(|source| SandboxError::OwnPath { source })?;
    let path = layout.log(part);
    let log = File::create(&path).map_err(SandboxError::io("write", &path))?;
    let errors = log.try_clone().map_err(SandboxError::io("write", &path))?;
    let mut command = environment.command(exe);
    command
        .arg(verb)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors);
    Ok(command)
}
