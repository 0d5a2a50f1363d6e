//! The two short processes before the supervisor, and the supervisor itself.

use std::fs;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use super::server;
use super::table::{self, Table};
use crate::sandbox::machine;
use crate::sandbox::processes::ProcessRecord;
use crate::sandbox::{Layout, SandboxError};

/// Makes the namespaces, starts PID 1 in them, records it and ends.
///
/// It must be the only thread of its process, and is a process of its own for that reason: a
/// namespace of process ids holds for children alone.
pub fn launcher(layout: &Layout) -> Result<(), SandboxError> {
    // Neither the terminal nor its Ctrl-C belong to the machine.
    rustix::process::setsid().map_err(SandboxError::system("leave the terminal"))?;
    machine::unshare()?;
    let child = super::client::init_command()
        .and_then(|mut command| command.spawn())
        .map_err(SandboxError::system("start the supervisor"))?;
    let record =
        ProcessRecord::of(child.id()).map_err(SandboxError::system("watch the supervisor"))?;
    record.write(&layout.supervisor_record())
}

/// PID 1: makes the machine, then answers until it is told to end.
pub fn run(layout: &Layout) -> Result<(), SandboxError> {
    // `/proc` is still the host's. Whatever becomes of the launcher, the next `up` finds this.
    ProcessRecord::of_self()
        .map_err(SandboxError::system("watch the supervisor"))?
        .write(&layout.supervisor_record())?;
    machine::make(layout)?;
    let socket = layout.control_socket();
    match fs::remove_file(&socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(SandboxError::io("remove", &socket)(error));
        }
        _ => {}
    }
    let table = Arc::new(Table::default());
    table::start_reaper(&table).map_err(SandboxError::system("start a thread"))?;
    let listener = UnixListener::bind(&socket).map_err(SandboxError::io("listen on", &socket))?;
    server::serve(&listener, &table);
    Ok(())
}
