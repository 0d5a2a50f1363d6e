//! Runs Terraform before the eyes of the person who asked for it.

use std::io::{self, IsTerminal as _};
use std::process::Stdio;

use crate::error::CommandError;
use crate::exit::Exit;
use crate::terraform::invocation::Invocation;

/// Runs it to its end. What it says goes to stderr: stdout is for data.
///
/// This waits without giving way: Ctrl-C reaches Terraform itself, which has to release its lock
/// before this process ends.
pub(super) fn run_terraform(invocation: &Invocation) -> Result<(), CommandError> {
    let mut command = invocation.command();
    if !io::stdin().is_terminal() {
        command.stdin(Stdio::null());
    }
    let status = command
        .stdout(Stdio::from(io::stderr()))
        .status()
        .map_err(|error| {
            CommandError::new(
                Exit::Unexpected,
                format!("could not start `{invocation}`: {error}"),
            )
        })?;
    if status.success() {
        return Ok(());
    }
    Err(CommandError::new(
        Exit::Unexpected,
        format!("`{invocation}` failed ({status})"),
    ))
}
