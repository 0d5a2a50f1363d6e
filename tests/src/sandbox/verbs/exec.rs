//! `exec`: a command inside the machine, with its environment.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

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
    let mut command = environment.command(program);
    command.args(arguments);
    let status = run(command).map_err(SandboxError::system(format!(
        "run `{shown}` in the sandbox"
    )))?;
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Waits for the command as a shell does: a Ctrl-C on the terminal reaches the command as well, and
/// what it makes of it is its own matter. SIGTERM is handed on.
fn run(command: Command) -> io::Result<ExitStatus> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut quit = signal(SignalKind::quit())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut child = tokio::process::Command::from(command).spawn()?;
        let pid = child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw);
        loop {
            tokio::select! {
                status = child.wait() => return status,
                _ = interrupt.recv() => {}
                _ = quit.recv() => {}
                _ = terminate.recv() => {
                    if let Some(pid) = pid {
                        // One that has ended is reported in the next round.
                        let _ = kill_process(pid, Signal::TERM);
                    }
                }
            }
        }
    })
}
