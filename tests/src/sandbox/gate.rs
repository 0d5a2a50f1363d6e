//! The gate: the sandbox's few ports on the host's own 127.0.0.1.
//!
//! It listens in the host's network first and then moves into the sandbox's; what it has opened
//! stays where it was opened. It ends with the machine, since it would keep its network alive.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

use super::endpoints::host_ports;
use super::error::log_tail;
use super::machine;
use super::processes::{ProcessRecord, gone_within};
use super::{Environment, Layout, SandboxError, background};

const LAUNCH_PATIENCE: Duration = Duration::from_secs(5);
const PACE: Duration = Duration::from_millis(10);

/// The gate's process when it is running.
pub fn find(layout: &Layout) -> Option<ProcessRecord> {
    ProcessRecord::read(&layout.gate_record()).filter(ProcessRecord::is_alive)
}

/// Opens the gate unless it is open; true when it was opened now.
pub fn ensure(layout: &Layout, environment: &Environment) -> Result<bool, SandboxError> {
    if find(layout).is_some() {
        return Ok(false);
    }
    let mut child = background::command(layout, environment, "gate", "gate")?
        .spawn()
        .map_err(SandboxError::system("start the gate"))?;
    let begun = Instant::now();
    loop {
        // The gate writes its record when it is open, so the record alone is the sign.
        if find(layout).is_some_and(|record| record.pid == child.id()) {
            return Ok(true);
        }
        let ended = child
            .try_wait()
            .map_err(SandboxError::system("watch the gate"))?;
        let why = match ended {
            Some(status) => format!("ended with {status}"),
            None if begun.elapsed() > LAUNCH_PATIENCE => "did not open in time".to_owned(),
            None => {
                std::thread::sleep(PACE);
                continue;
            }
        };
        let log = layout.log("gate");
        return Err(SandboxError::Part {
            part: "gate".to_owned(),
            why,
            tail: log_tail(&log, 5),
            log,
        });
    }
}

/// Closes the gate. True when it is closed.
pub fn close(layout: &Layout) -> bool {
    find(layout).is_none_or(|record| record.end(Signal::KILL, Duration::from_secs(5)))
}

/// The gate's own process: opens the ports, enters the sandbox's network and forwards until the
/// machine ends.
pub fn run(layout: &Layout) -> Result<(), SandboxError> {
    // A Ctrl-C on the terminal that `up` was typed in is not meant for the gate.
    rustix::process::setsid().map_err(SandboxError::system("leave the terminal"))?;
    let supervisor = ProcessRecord::read(&layout.supervisor_record())
        .filter(ProcessRecord::is_alive)
        .ok_or_else(|| SandboxError::NotRunning {
            state: layout.state().to_owned(),
        })?;
    let mut listeners = Vec::new();
    for port in host_ports() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .map_err(SandboxError::system(format!("listen on 127.0.0.1:{port}")))?;
        listener
            .set_nonblocking(true)
            .map_err(SandboxError::system(format!("listen on 127.0.0.1:{port}")))?;
        listeners.push((listener, port));
    }
    machine::enter_network(&supervisor)?;
    end_with(&supervisor)?;
    ProcessRecord::of_self()
        .map_err(SandboxError::system("watch the gate"))?
        .write(&layout.gate_record())?;
    // One thread: the network belongs to the thread that entered it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(SandboxError::system("start the gate's runtime"))?;
    runtime.block_on(async {
        let mut doors = tokio::task::JoinSet::new();
        for (listener, port) in listeners {
            doors.spawn(forward(listener, port));
        }
        while doors.join_next().await.is_some() {}
    });
    Ok(())
}

async fn forward(listener: TcpListener, port: u16) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    loop {
        let Ok((mut outside, _)) = listener.accept().await else {
            // Out of descriptors: the ones in use are given back in time.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        tokio::spawn(async move {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            // Nobody at home inside: closing is the answer.
            let Ok(mut inside) = TcpStream::connect(address).await else {
                return;
            };
            let _ = outside.set_nodelay(true);
            let _ = inside.set_nodelay(true);
            let _ = copy_bidirectional(&mut outside, &mut inside).await;
        });
    }
}

/// Ends this process when PID 1 of the machine is gone.
fn end_with(supervisor: &ProcessRecord) -> Result<(), SandboxError> {
    let pid = i32::try_from(supervisor.pid).ok().and_then(Pid::from_raw);
    let process = pid
        .ok_or(rustix::io::Errno::SRCH)
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()))
        .map_err(SandboxError::system("watch the supervisor"))?;
    std::thread::Builder::new()
        .name("supervisor".to_owned())
        .spawn(move || {
            while !gone_within(&process, Duration::from_hours(1)) {}
            std::process::exit(0);
        })
        .map_err(SandboxError::system("start a thread"))?;
    Ok(())
}
