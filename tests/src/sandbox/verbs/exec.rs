//! `exec`: a command inside the machine, with its environment.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;

use crate::sandbox::supervisor::Supervisor;
use crate::sandbox::{Environment, Layout, SandboxError, machine, prerequisites};

/// Runs the command where the parts run, and returns its exit code; 128 and the signal's number
/// when a signal ended it, as shells do.
///
/// The calling process is inside afterwards. It must have one thread.
pub fn exec(layout: &Layout, command: &[OsString]) -> Result<u8, SandboxError> {
    prerequisites::root()?;
    let supervisor = Supervisor::find(layout).ok_or_else(|| SandboxError::NotRunning {
        state: layout.state().to_owned(),
    })?;
    let Some((program, arguments)) = command.split_first() else {
        return Ok(0);
    };
    let environment = Environment::new(layout)?;
    machine::enter(supervisor.process())?;
    let shown = program.to_string_lossy();
    let status = environment
        .command(program)
        .args(arguments)
        .status()
        .map_err(SandboxError::system(format!(
            "run `{shown}` in the sandbox"
        )))?;
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
