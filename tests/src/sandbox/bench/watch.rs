//! What `regcred watch` takes while it has nothing to do.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use super::BenchError;
use super::relay::Relay;
use crate::front::Admin;
use crate::sandbox::endpoints::API_SERVER_PORT;

const WHAT: &str = "kubectl hybrid regcred watch";
/// Longer than any pause after which the watch looks at its clock.
pub(super) const IDLE: Duration = Duration::from_secs(20);
/// How long it may take until nothing moves any more.
const PATIENCE: Duration = Duration::from_mins(1);
/// Nothing has moved for so long: it is at rest.
const REST: Duration = Duration::from_secs(2);

/// What was seen.
pub(super) struct Idle {
    /// Bytes in memory at the end of the idle time.
    pub(super) memory: u64,
    /// The most bytes that were in memory since the start.
    pub(super) peak: u64,
    /// Bytes that were sent to the API server in the idle time.
    pub(super) asked: u64,
    /// Calls of AWS in the idle time.
    pub(super) calls: u64,
}

/// The watch. It ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Lets the watch come to rest, and then looks at it for [`IDLE`]. `scratch` is for a kubeconfig that
/// leads through a counter.
pub(super) fn idle(command: &mut Command, scratch: &Path) -> Result<Idle, BenchError> {
    let wrong = |why: String| BenchError::Wrong {
        what: WHAT.to_owned(),
        why,
    };
    let relay = Relay::to(API_SERVER_PORT)
        .map_err(|error| wrong(format!("has no way to the API server: {error}")))?;
    let real = env::var_os("KUBECONFIG").unwrap_or_default();
    let real = Path::new(&real);
    let text = fs::read_to_string(real).map_err(BenchError::io("read", real))?;
    let through = scratch.join("counted.kubeconfig");
    let text = text.replace(
        &format!(":{API_SERVER_PORT}"),
        &format!(":{}", relay.port()),
    );
    fs::write(&through, text).map_err(BenchError::io("write", &through))?;

    command
        .env("KUBECONFIG", &through)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let child = command.spawn().map_err(|source| BenchError::Start {
        what: WHAT.to_owned(),
        source,
    })?;
    let mut running = Running(child);
    if let Some(stderr) = running.0.stderr.take() {
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let mut said = Vec::new();
        loop {
            match lines.next() {
                Some(line) if line.contains("namespaces are kept") => break,
                Some(line) => said.push(line),
                None => return Err(wrong(format!("ended. It said:\n{}", said.join("\n")))),
            }
        }
        // Nobody reads on, but it must not wait for that.
        thread::spawn(move || lines.for_each(drop));
    }
    rest(&relay).map_err(wrong)?;

    let admin = Admin::new(env::var("AWS_ENDPOINT_URL").unwrap_or_default());
    let uncounted = |error: crate::front::AdminError| wrong(format!("cannot be counted: {error}"));
    admin.reset_calls().map_err(uncounted)?;
    let before = relay.asked();
    thread::sleep(IDLE);
    let asked = relay.asked() - before;
    let calls = admin.calls().map_err(uncounted)?.values().sum();
    let status = format!("/proc/{}/status", running.0.id());
    let status = fs::read_to_string(&status)
        .map_err(|error| wrong(format!("is not there any more: {error}")))?;
    let of = |field: &str| {
        kibibytes(&status, field)
            .map(|kibibytes| kibibytes * 1024)
            .ok_or_else(|| wrong(format!("has no {field}")))
    };
    Ok(Idle {
        memory: of("VmRSS")?,
        peak: of("VmHWM")?,
        asked,
        calls,
    })
}

/// Waits until nothing comes or goes.
fn rest(relay: &Relay) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let before = (relay.asked(), relay.answered());
        thread::sleep(REST);
        if before == (relay.asked(), relay.answered()) {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            return Err("does not come to rest".to_owned());
        }
    }
}

fn kibibytes(status: &str, field: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        let status = "Name:\twatch\nVmHWM:\t   15872 kB\nVmRSS:\t    9216 kB\n";
        assert_eq!(kibibytes(status, "VmHWM"), Some(15872));
        assert_eq!(kibibytes(status, "VmRSS"), Some(9216));
        assert_eq!(kibibytes(status, "Vm"), None);
        assert_eq!(kibibytes(status, "VmSwap"), None);
    }
}
