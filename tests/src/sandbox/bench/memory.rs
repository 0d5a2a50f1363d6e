//! The most memory that a process had, as GNU `time` reports it: small itself, it adds nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{BenchError, process};

/// GNU `time`.
pub(super) struct Gauge {
    time: PathBuf,
    report: PathBuf,
}

impl Gauge {
    /// The gauge, if this machine has GNU `time`. `scratch` is for what it reports.
    pub(super) fn find(scratch: &Path) -> Option<Self> {
        let time = PathBuf::from("/usr/bin/time");
        let version = Command::new(&time).arg("--version").output().ok()?;
        let text = [version.stdout, version.stderr].concat();
        String::from_utf8_lossy(&text)
            .contains("GNU")
            .then(|| Self {
                time,
                report: scratch.join("peak-memory"),
            })
    }

    /// The most bytes that a run of a command had in memory. It must end with `code`.
    pub(super) fn peak(
        &self,
        what: &str,
        command: &Command,
        input: &[u8],
        code: i32,
    ) -> Result<u64, BenchError> {
        let mut timed = Command::new(&self.time);
        timed
            .args(["--quiet", "-f", "%M", "-o"])
            .arg(&self.report)
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => timed.env(name, value),
                None => timed.env_remove(name),
            };
        }
        process::run(what, &mut timed, input)?.expecting(what, code)?;
        let report =
            fs::read_to_string(&self.report).map_err(BenchError::io("read", &self.report))?;
        let kibibytes: u64 = report.trim().parse().map_err(|_| BenchError::Wrong {
            what: what.to_owned(),
            why: format!("used memory that time calls `{}`", report.trim()),
        })?;
        Ok(kibibytes * 1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_the_command_and_not_of_this_process_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let Some(gauge) = Gauge::find(folder.path()) else {
            eprintln!("skipped: there is no GNU time");
            return;
        };
        let ballast = vec![1_u8; 64 << 20];
        let mut command = Command::new("sh");
        command.args(["-c", "exit 3"]);
        let peak = gauge.peak("sh", &command, b"", 3).unwrap();
        assert!(peak > 100_000 && peak < ballast.len() as u64, "{peak}");
        assert!(gauge.peak("sh", &command, b"", 0).is_err());
    }
}
