//! The other side of the supervisor's socket, and its launch.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::protocol::{Event, PROTOCOL, PartSpec, PartStatus, Request};
use crate::sandbox::error::log_tail;
use crate::sandbox::processes::ProcessRecord;
use crate::sandbox::{Environment, Layout, SandboxError, background};

/// How long the machine may take until its supervisor answers.
const LAUNCH_PATIENCE: Duration = Duration::from_secs(10);
/// How long the supervisor may take to say hello.
const HELLO_PATIENCE: Duration = Duration::from_secs(5);
const PACE: Duration = Duration::from_millis(10);

/// A supervisor that is running.
#[derive(Clone, Debug)]
pub struct Supervisor {
    layout: Layout,
    record: ProcessRecord,
}

impl Supervisor {
    /// The running supervisor of this state folder, if there is one that this program can talk to.
    pub fn find(layout: &Layout) -> Option<Self> {
        let record = ProcessRecord::read(&layout.supervisor_record())?;
        if !record.is_alive() {
            return None;
        }
        let supervisor = Self {
            layout: layout.clone(),
            record,
        };
        supervisor.status().ok()?;
        Some(supervisor)
    }

    /// Its process, as the host sees it.
    pub fn process(&self) -> &ProcessRecord {
        &self.record
    }

    /// How the parts are.
    pub fn status(&self) -> Result<Vec<PartStatus>, SandboxError> {
        let mut statuses = None;
        self.ask(&Request::Status, |event| {
            if let Event::Status(found) = event {
                statuses = Some(found);
            }
        })?;
        statuses.ok_or_else(|| self.broken("said nothing about the parts"))
    }

    /// Starts the parts that do not run; `heard` gets each event.
    pub fn start(
        &self,
        specs: Vec<PartSpec>,
        heard: impl FnMut(Event),
    ) -> Result<(), SandboxError> {
        self.ask(&Request::Start(specs), heard)
    }

    /// Stops parts by name.
    pub fn stop(&self, names: Vec<String>, heard: impl FnMut(Event)) -> Result<(), SandboxError> {
        self.ask(&Request::Stop(names), heard)
    }

    /// Stops everything and ends the machine.
    pub fn shutdown(&self, heard: impl FnMut(Event)) -> Result<(), SandboxError> {
        self.ask(&Request::Shutdown, heard)
    }

    fn ask(&self, request: &Request, mut heard: impl FnMut(Event)) -> Result<(), SandboxError> {
        let lost = |error: io::Error| self.broken(&format!("does not answer: {error}"));
        let mut stream = UnixStream::connect(self.layout.control_socket()).map_err(lost)?;
        stream
            .set_read_timeout(Some(HELLO_PATIENCE))
            .map_err(lost)?;
        let mut line = serde_json::to_vec(request).map_err(|error| lost(error.into()))?;
        line.push(b'\n');
        stream.write_all(&line).map_err(lost)?;
        let patience = stream.try_clone().map_err(lost)?;
        for line in BufReader::new(stream).lines() {
            let line = line.map_err(lost)?;
            match serde_json::from_str(&line).map_err(|error| lost(error.into()))? {
                Event::Hello { protocol: PROTOCOL } => {
                    // From here on each part has its own bound.
                    patience.set_read_timeout(None).map_err(lost)?;
                }
                Event::Hello { protocol } => {
                    return Err(self.broken(&format!("speaks another protocol ({protocol})")));
                }
                Event::Done => return Ok(()),
                event => heard(event),
            }
        }
        Err(self.broken("ended in the middle of an answer"))
    }

    fn broken(&self, why: &str) -> SandboxError {
        broken(&self.layout, why)
    }
}

fn broken(layout: &Layout, why: &str) -> SandboxError {
    let log = layout.log("supervisor");
    SandboxError::Supervisor {
        why: why.to_owned(),
        tail: log_tail(&log, 5),
        log,
    }
}

/// Launches the supervisor as PID 1 of new namespaces and waits until it answers.
pub fn launch(layout: &Layout, environment: &Environment) -> Result<Supervisor, SandboxError> {
    let status = background::command(layout, environment, "supervisor", "launch-supervisor")?
        .status()
        .map_err(SandboxError::system("launch the supervisor"))?;
    if !status.success() {
        return Err(broken(layout, "could not be launched"));
    }
    let record = ProcessRecord::read(&layout.supervisor_record())
        .ok_or_else(|| broken(layout, "ended at once"))?;
    let supervisor = Supervisor {
        layout: layout.clone(),
        record,
    };
    let begun = Instant::now();
    loop {
        match supervisor.status() {
            Ok(_) => return Ok(supervisor),
            Err(_) if !supervisor.record.is_alive() => {
                return Err(broken(layout, "ended while it made the machine"));
            }
            Err(error) if begun.elapsed() > LAUNCH_PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(PACE),
        }
    }
}

/// The command that PID 1 is started with.
pub(super) fn init_command() -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("supervise").stdin(Stdio::null());
    Ok(command)
}
