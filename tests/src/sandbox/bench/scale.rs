//! Pull secrets in very many namespaces, against the loop of kubectl commands.
//!
//! The loop runs in a sample of the namespaces, and its time is scaled up: it does the same in each.
//! It is given a password, while the product finds out about its own.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::contest::{Contender, Row, contest};
use super::figure::{Figure, Unit};
use super::memory::Gauge;
use super::namespaces::Namespaces;
use super::{BenchError, process, watch};
use crate::sandbox::endpoints::{ACCOUNT, REGION, registry_host};

const OURS: &str = "kubectl hybrid regcred sync";
const PEER: &str = "create | apply loop, scaled up";
const WATCH: &str = "kubectl hybrid regcred watch";
const LOOP: &str = include_str!("secret_loop.sh");
/// The namespaces that the loop does.
const SAMPLE: usize = 20;

/// Both ways, in the same namespaces.
pub(super) struct Scale {
    ours: PathBuf,
    config: PathBuf,
    scratch: PathBuf,
    namespaces: Namespaces,
    password: String,
    /// Makes each secret one that is nowhere yet.
    secrets: Cell<u32>,
}

/// All that was measured.
pub(super) struct Measured {
    pub(super) rows: Vec<Row>,
    pub(super) figures: Vec<Figure>,
    pub(super) notes: Vec<String>,
}

impl Scale {
    /// Makes the namespaces.
    pub(super) fn new(
        binaries: &Path,
        example: &Path,
        scratch: &Path,
        count: u32,
    ) -> Result<Self, BenchError> {
        let mut command = Command::new("aws");
        command.args(["ecr", "get-login-password", "--region", REGION]);
        let what = "The password of the loop";
        let password = process::run(what, &mut command, b"")?.expecting(what, 0)?;
        Ok(Self {
            ours: binaries.join("kubectl-hybrid"),
            config: example.join("hybrid.toml"),
            scratch: scratch.to_owned(),
            namespaces: Namespaces::made(count)?,
            password: String::from_utf8_lossy(&password.stdout).trim().to_owned(),
            secrets: Cell::new(0),
        })
    }

    /// Measures, and removes the namespaces.
    pub(super) fn measured(self, runs: usize) -> Result<Measured, BenchError> {
        let measured = self.measure(runs);
        let left = self.namespaces.remove();
        let (mut measured, left) = (measured?, left?);
        if left > 0 {
            measured
                .notes
                .push(format!("The cluster is still removing {left} namespaces"));
        }
        Ok(measured)
    }

    fn measure(&self, runs: usize) -> Result<Measured, BenchError> {
        let all = self.namespaces.names().len();
        let mut notes = Vec::new();
        let mut figures = Vec::new();
        let gauge = Gauge::find(&self.scratch);
        if gauge.is_none() {
            notes.push("No figures for the memory of a sync: there is no GNU time".to_owned());
        }
        let mut weigh = |what: &str, secret: &str| -> Result<bool, BenchError> {
            let Some(gauge) = &gauge else {
                return Ok(false);
            };
            figures.push(Figure {
                what: format!("regcred sync, {all} namespaces, memory, {what}"),
                unit: Unit::Bytes,
                values: vec![(OURS, gauge.peak(OURS, &self.sync(secret), b"", 0)?)],
            });
            Ok(true)
        };
        // What is fresh is measured while there are no other secrets.
        let secret = self.new_secret();
        if !weigh("no secret yet", &secret)? {
            self.ours(&secret, "created")?;
        }
        self.peer(&secret_of_the_loop(&secret), " created")?;
        let fresh = contest(
            &format!("regcred sync, {all} namespaces, all fresh"),
            runs,
            &mut [
                Contender::new(OURS, || self.ours(&secret, "unchanged")),
                Contender::new(PEER, || self.peer(&secret_of_the_loop(&secret), "")),
            ],
        )?;
        weigh("all fresh", &secret)?;
        figures.extend(self.watched(&secret)?);
        let cold = contest(
            &format!("regcred sync, {all} namespaces, no secret yet"),
            runs,
            &mut [
                Contender::new(OURS, || self.ours(&self.new_secret(), "created")),
                Contender::new(PEER, || {
                    self.peer(&secret_of_the_loop(&self.new_secret()), " created")
                }),
            ],
        )?;
        Ok(Measured {
            rows: vec![cold, fresh],
            figures,
            notes,
        })
    }

    fn watched(&self, secret: &str) -> Result<Vec<Figure>, BenchError> {
        let mut command = self.hybrid(&["regcred", "watch"], secret);
        let idle = watch::idle(&mut command, &self.scratch)?;
        let all = self.namespaces.names().len();
        let seconds = watch::IDLE.as_secs();
        let figure = |what: String, unit, value| Figure {
            what: format!("regcred watch, {all} namespaces, {what}"),
            unit,
            values: vec![(WATCH, value)],
        };
        Ok(vec![
            figure("memory while idle".to_owned(), Unit::Bytes, idle.memory),
            figure("most memory".to_owned(), Unit::Bytes, idle.peak),
            figure(
                format!("bytes sent to the cluster in {seconds} idle s"),
                Unit::Count,
                idle.asked,
            ),
            figure(
                format!("calls of AWS in {seconds} idle s"),
                Unit::Count,
                idle.calls,
            ),
        ])
    }

    fn new_secret(&self) -> String {
        let number = self.secrets.get() + 1;
        self.secrets.set(number);
        format!("bench-{number}")
    }

    fn hybrid(&self, words: &[&str], secret: &str) -> Command {
        let mut command = Command::new(&self.ours);
        command.args(words).arg("--config").arg(&self.config).args([
            "--selector",
            self.namespaces.label(),
            "--secret",
            secret,
        ]);
        command
    }

    fn sync(&self, secret: &str) -> Command {
        let mut command = self.hybrid(&["regcred", "sync"], secret);
        command.arg("--output=json");
        command
    }

    /// A sync that did `change` in every namespace.
    fn ours(&self, secret: &str, change: &str) -> Result<Duration, BenchError> {
        let finished = process::run(OURS, &mut self.sync(secret), b"")?.expecting(OURS, 0)?;
        let reports: Value = serde_json::from_slice(&finished.stdout).unwrap_or_default();
        let done = reports
            .as_array()
            .into_iter()
            .flatten()
            .filter(|report| report["change"] == change)
            .count();
        counted(OURS, change, done, self.namespaces.names().len())?;
        Ok(finished.elapsed)
    }

    /// The time that the loop would take for all of them. It says `configured` even where it has
    /// written nothing new, so that `change` may be empty.
    fn peer(&self, secret: &str, change: &str) -> Result<Duration, BenchError> {
        let all = self.namespaces.names();
        let sample = all.get(..SAMPLE).unwrap_or(all);
        let mut command = Command::new("sh");
        command
            .args(["-c", LOOP])
            .env("NAMESPACES", sample.join(" "))
            .env("SECRET", secret)
            .env("REGISTRY", registry_host(ACCOUNT, REGION))
            .env("PASSWORD", &self.password);
        let finished = process::run(PEER, &mut command, b"")?.expecting(PEER, 0)?;
        let said = String::from_utf8_lossy(&finished.stdout);
        let done = said
            .lines()
            .filter(|line| line.starts_with("secret/") && line.ends_with(change))
            .count();
        counted(PEER, change, done, sample.len())?;
        Ok(scaled(finished.elapsed, sample.len(), all.len()))
    }
}

/// Whether all of them were done.
fn counted(what: &str, change: &str, done: usize, all: usize) -> Result<(), BenchError> {
    if done == all {
        return Ok(());
    }
    Err(BenchError::Wrong {
        what: what.to_owned(),
        why: format!(
            "says `{}` of {done} secrets and not of {all}",
            change.trim()
        ),
    })
}

/// The loop has secrets of its own: it marks what it applies, and the product would leave it alone.
fn secret_of_the_loop(secret: &str) -> String {
    format!("{secret}-loop")
}

fn scaled(elapsed: Duration, sample: usize, all: usize) -> Duration {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    elapsed * number(all) / number(sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_takes_as_much_longer_as_there_are_more_namespaces() {
        assert_eq!(
            scaled(Duration::from_secs(4), 20, 1_000),
            Duration::from_secs(200)
        );
    }

    #[test]
    fn the_loop_makes_a_secret_in_each_namespace() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let kubectl = folder.path().join("kubectl");
        std::fs::write(
            &kubectl,
            "#!/bin/sh\necho kubectl \"$@\" >&2; cat >/dev/null\n",
        )
        .unwrap();
        std::fs::set_permissions(&kubectl, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new("sh");
        let path = std::env::join_paths([folder.path(), Path::new("/usr/bin"), Path::new("/bin")]);
        command
            .args(["-c", LOOP])
            .env("PATH", path.unwrap())
            .env("NAMESPACES", "a b")
            .env("SECRET", "s")
            .env("REGISTRY", "r.example")
            .env("PASSWORD", "p")
            .stdin(std::process::Stdio::null());
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        for namespace in ["a", "b"] {
            let made = format!("kubectl --namespace {namespace} create secret docker-registry s ");
            assert!(said.contains(&made), "{said}");
        }
        assert_eq!(said.matches("kubectl apply -f -").count(), 2, "{said}");
    }
}
