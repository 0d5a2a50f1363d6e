//! One process from its start to its end.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::process::Command;
use std::time::{Duration, Instant};

use super::BenchError;

/// A process that has ended.
pub(super) struct Finished {
    pub(super) elapsed: Duration,
    pub(super) code: Option<i32>,
    pub(super) stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Runs a process with this input. `what` names it in errors.
///
/// Its streams are files: through pipes the time would hold that of this process, too, which is woken
/// to write and to read.
pub(super) fn run(what: &str, command: &mut Command, input: &[u8]) -> Result<Finished, BenchError> {
    let failed = |source| BenchError::Start {
        what: what.to_owned(),
        source,
    };
    let mut streams = Streams::new(input).map_err(failed)?;
    streams.connect(command).map_err(failed)?;
    let begin = Instant::now();
    let status = command.status().map_err(failed)?;
    let elapsed = begin.elapsed();
    Ok(Finished {
        elapsed,
        code: status.code(),
        stdout: content(&mut streams.stdout).map_err(failed)?,
        stderr: content(&mut streams.stderr).map_err(failed)?,
    })
}

/// Runs a process without input that ends well, and says how long it took.
pub(super) fn finish(what: &str, command: &mut Command) -> Result<Duration, BenchError> {
    run(what, command, b"")?
        .expecting(what, 0)
        .map(|finished| finished.elapsed)
}

struct Streams {
    stdin: File,
    stdout: File,
    stderr: File,
}

impl Streams {
    fn new(input: &[u8]) -> io::Result<Self> {
        let mut stdin = tempfile::tempfile()?;
        stdin.write_all(input)?;
        stdin.rewind()?;
        Ok(Self {
            stdin,
            stdout: tempfile::tempfile()?,
            stderr: tempfile::tempfile()?,
        })
    }

    fn connect(&self, command: &mut Command) -> io::Result<()> {
        command
            .stdin(self.stdin.try_clone()?)
            .stdout(self.stdout.try_clone()?)
            .stderr(self.stderr.try_clone()?);
        Ok(())
    }
}

fn content(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Finished {
    /// The elapsed time of a process that ended as it should.
    pub(super) fn expecting(self, what: &str, code: i32) -> Result<Self, BenchError> {
        if self.code == Some(code) {
            return Ok(self);
        }
        let ended = self.code.map_or_else(
            || "was ended by a signal".to_owned(),
            |found| format!("ended with {found} instead of {code}"),
        );
        // Stdout may hold a token and is not shown.
        let said = String::from_utf8_lossy(&self.stderr);
        let last: Vec<&str> = said.lines().rev().take(8).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        let why = format!("{ended}. It said:\n{}", last.join("\n"));
        Err(BenchError::Wrong {
            what: what.to_owned(),
            why,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_arrives_and_the_whole_process_is_timed() {
        let mut command = Command::new("sh");
        let finished = run("cat", command.args(["-c", "cat; sleep 0.05"]), b"host\n").unwrap();
        assert!(finished.elapsed >= Duration::from_millis(50));
        let finished = finished.expecting("cat", 0).unwrap();
        assert_eq!(finished.stdout, b"host\n");
    }

    #[test]
    fn what_a_failed_process_wrote_to_stdout_is_not_shown() {
        let mut command = Command::new("sh");
        let finished = run(
            "The helper",
            command.args(["-c", "echo secret; echo why >&2; exit 4"]),
            b"",
        )
        .unwrap();
        let text = finished
            .expecting("The helper", 0)
            .err()
            .unwrap()
            .to_string();
        assert_eq!(text, "The helper ended with 4 instead of 0. It said:\nwhy");
    }
}
