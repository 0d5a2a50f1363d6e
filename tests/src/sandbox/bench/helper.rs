//! The credential helper against the one of AWS.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use serde_json::Value;

use super::contest::{Contender, Row, contest};
use super::desktop_keyring::DesktopKeyring;
use super::figure::{Figure, Unit};
use super::kernel_keys::KernelKeys;
use super::memory::Gauge;
use super::{BenchError, process};
use crate::front::Admin;
use crate::sandbox::endpoints::{ACCOUNT, REGION};

const OURS: &str = "ecr-hybrid";
const PEER: &str = "ecr-login";
/// Belongs to nobody; every pull from elsewhere asks the helper about such a host.
const FOREIGN: &str = "registry.example.com";
/// Processes at once, as a `compose pull` of many images makes them.
const CROWD: usize = 50;
/// Runs for a figure that hardly differs between them.
const FEW: usize = 5;
/// What a process costs that does nothing at all: nobody can be below it.
const NOTHING: &str = "an empty program";

/// Both helpers, each with a cache of its own.
pub(super) struct Helpers {
    ours: PathBuf,
    peer: PathBuf,
    ours_cache: PathBuf,
    peer_cache: PathBuf,
    scratch: PathBuf,
}

impl Helpers {
    pub(super) fn new(ours: &Path, peer: &Path, scratch: &Path) -> Self {
        Self {
            ours: ours.to_owned(),
            peer: peer.to_owned(),
            ours_cache: scratch.join("ecr-hybrid"),
            peer_cache: scratch.join("ecr-login"),
            scratch: scratch.to_owned(),
        }
    }

    /// The rows, and why a row is not there.
    pub(super) fn rows(&self, runs: usize) -> Result<(Vec<Row>, Vec<String>), BenchError> {
        let host = format!("{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com");
        let mut rows = vec![contest(
            "helper get, token kept in a file",
            runs,
            &mut [
                Contender::new(OURS, || self.ours("file", &host)),
                Contender::new(PEER, || self.peer(&host)),
            ],
        )?];
        let mut notes = Vec::new();
        rows.extend(self.kernel_row(runs, &host, &mut notes)?);
        rows.extend(self.desktop_row(runs, &host, &mut notes)?);
        rows.push(contest(
            "helper get, no token kept yet",
            runs,
            &mut [
                Contender::new(OURS, || {
                    forget(&self.ours_cache)?;
                    self.ours("file", &host)
                }),
                Contender::new(PEER, || {
                    forget(&self.peer_cache)?;
                    self.peer(&host)
                }),
            ],
        )?);
        let ended = |what, mut command: Command, code| {
            let run = process::run(what, &mut command, FOREIGN.as_bytes())?;
            run.expecting(what, code).map(|finished| finished.elapsed)
        };
        rows.push(contest(
            "helper get, another registry",
            runs,
            &mut [
                Contender::new(OURS, || ended(OURS, self.ours_command("file"), 1)),
                Contender::new(PEER, || ended(PEER, self.peer_command(), 1)),
                Contender::new(NOTHING, || ended(NOTHING, Command::new("true"), 0)),
            ],
        )?);
        rows.push(contest(
            &format!("{CROWD} helpers at once, no token kept yet"),
            runs,
            &mut [
                Contender::new(OURS, || self.ours_crowd(&host)),
                Contender::new(PEER, || self.peer_crowd(&host)),
            ],
        )?);
        Ok((rows, notes))
    }

    /// Sizes and counts, and why one is not there.
    pub(super) fn figures(&self) -> Result<(Vec<Figure>, Vec<String>), BenchError> {
        let host = format!("{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com");
        let size = |path: &Path| {
            fs::metadata(path)
                .map(|metadata| metadata.len())
                .map_err(BenchError::io("measure", path))
        };
        let mut figures = vec![Figure {
            what: "helper, size of the program".to_owned(),
            unit: Unit::Bytes,
            values: vec![(OURS, size(&self.ours)?), (PEER, size(&self.peer)?)],
        }];
        let mut notes = Vec::new();
        match Gauge::find(&self.scratch) {
            Some(gauge) => figures.extend(self.memory(&gauge, &host)?),
            None => notes.push("No figures for memory: there is no GNU time".to_owned()),
        }
        let admin = Admin::new(env::var("AWS_ENDPOINT_URL").unwrap_or_default());
        let calls = |crowd: &dyn Fn() -> Result<Duration, BenchError>| {
            let failed = |error: crate::front::AdminError| BenchError::Wrong {
                what: "The count of calls".to_owned(),
                why: format!("cannot be had: {error}"),
            };
            admin.reset_calls().map_err(failed)?;
            crowd()?;
            admin.count("GetAuthorizationToken").map_err(failed)
        };
        figures.push(Figure {
            what: format!("{CROWD} helpers at once, calls of AWS"),
            unit: Unit::Count,
            values: vec![
                (OURS, calls(&|| self.ours_crowd(&host))?),
                (PEER, calls(&|| self.peer_crowd(&host))?),
            ],
        });
        Ok((figures, notes))
    }

    fn memory(&self, gauge: &Gauge, host: &str) -> Result<Vec<Figure>, BenchError> {
        let peaks = |host: &str, code, is_cold: bool| {
            let median = |what, cache: &Path, command: &dyn Fn() -> Command| {
                let mut peaks = Vec::new();
                for _ in 0..FEW {
                    if is_cold {
                        forget(cache)?;
                    }
                    peaks.push(gauge.peak(what, &command(), host.as_bytes(), code)?);
                }
                peaks.sort_unstable();
                Ok::<u64, BenchError>(peaks[FEW / 2])
            };
            let ours = median(OURS, &self.ours_cache, &|| self.ours_command("file"))?;
            let peer = median(PEER, &self.peer_cache, &|| self.peer_command())?;
            Ok::<_, BenchError>(vec![(OURS, ours), (PEER, peer)])
        };
        let figure = |what: &str, values| Figure {
            what: what.to_owned(),
            unit: Unit::Bytes,
            values,
        };
        Ok(vec![
            figure("helper, memory, no token kept yet", peaks(host, 0, true)?),
            figure("helper, memory, token kept", peaks(host, 0, false)?),
            figure(
                "helper, memory, another registry",
                peaks(FOREIGN, 1, false)?,
            ),
        ])
    }

    fn ours_crowd(&self, host: &str) -> Result<Duration, BenchError> {
        forget(&self.ours_cache)?;
        crowd(OURS, || self.ours_command("file"), host)
    }

    fn peer_crowd(&self, host: &str) -> Result<Duration, BenchError> {
        forget(&self.peer_cache)?;
        crowd(PEER, || self.peer_command(), host)
    }

    /// The row for the desktop's keyring, for which a machine may lack the programs.
    fn desktop_row(
        &self,
        runs: usize,
        host: &str,
        notes: &mut Vec<String>,
    ) -> Result<Option<Row>, BenchError> {
        let home = self.scratch.join("desktop");
        fs::create_dir_all(&home).map_err(BenchError::io("make the folder", &home))?;
        let Some(keyring) = DesktopKeyring::start(&home) else {
            let why = "No row for the desktop's keyring: it needs dbus-run-session and gnome-keyring-daemon";
            notes.push(why.to_owned());
            return Ok(None);
        };
        let ours = || {
            let mut command = self.ours_command("secret-service");
            command.env("DBUS_SESSION_BUS_ADDRESS", keyring.address());
            token_of(OURS, &mut command, host)
        };
        contest(
            "helper get, token kept by the desktop",
            runs,
            &mut [
                Contender::new(OURS, ours),
                Contender::new(PEER, || self.peer(host)),
            ],
        )
        .map(Some)
    }

    /// The row for the kernel's keyring, which a kernel or a container may refuse.
    fn kernel_row(
        &self,
        runs: usize,
        host: &str,
        notes: &mut Vec<String>,
    ) -> Result<Option<Row>, BenchError> {
        let before = KernelKeys::now();
        if let Err(error) = self.ours("keyutils", host) {
            notes.push(format!("No row for the kernel's keyring: {error}"));
            return Ok(None);
        }
        let row = contest(
            "helper get, token kept in the kernel",
            runs,
            &mut [
                Contender::new(OURS, || self.ours("keyutils", host)),
                Contender::new(PEER, || self.peer(host)),
            ],
        );
        let stayed = before.remove_newer();
        if stayed > 0 {
            notes.push(format!(
                "{stayed} keys of this measurement stay in the kernel until they expire"
            ));
        }
        row.map(Some)
    }

    fn ours_command(&self, store: &str) -> Command {
        let mut command = Command::new(&self.ours);
        command
            .arg("get")
            .env("HYBRID_STORE", store)
            .env("HYBRID_CACHE_DIR", &self.ours_cache);
        command
    }

    fn peer_command(&self) -> Command {
        let mut command = Command::new(&self.peer);
        // It writes its log below HOME.
        command
            .arg("get")
            .env("HOME", &self.peer_cache)
            .env("AWS_ECR_CACHE_DIR", self.peer_cache.join("cache"));
        command
    }

    fn ours(&self, store: &str, host: &str) -> Result<Duration, BenchError> {
        token_of(OURS, &mut self.ours_command(store), host)
    }

    fn peer(&self, host: &str) -> Result<Duration, BenchError> {
        token_of(PEER, &mut self.peer_command(), host)
    }
}

/// The time until the last of many has its token.
fn crowd(what: &str, command: impl Fn() -> Command, host: &str) -> Result<Duration, BenchError> {
    let failed = |source| BenchError::Start {
        what: what.to_owned(),
        source,
    };
    let begin = Instant::now();
    let mut children: Vec<Child> = Vec::with_capacity(CROWD);
    for _ in 0..CROWD {
        let mut command = command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            let _ = stdin.write_all(host.as_bytes());
        }
        children.push(child);
    }
    let mut answers = 0;
    for child in children {
        let output = child.wait_with_output().map_err(failed)?;
        answers += usize::from(has_token(&output.stdout));
    }
    let elapsed = begin.elapsed();
    if answers == CROWD {
        return Ok(elapsed);
    }
    Err(BenchError::Wrong {
        what: what.to_owned(),
        why: format!("gave {answers} tokens to {CROWD} processes"),
    })
}

fn has_token(stdout: &[u8]) -> bool {
    let answer: Option<Value> = serde_json::from_slice(stdout).ok();
    answer
        .as_ref()
        .and_then(|answer| answer.get("Secret")?.as_str())
        .is_some_and(|secret| !secret.is_empty())
}

/// The time of a `get` that really gave a token.
fn token_of(what: &str, command: &mut Command, host: &str) -> Result<Duration, BenchError> {
    let finished = process::run(what, command, host.as_bytes())?.expecting(what, 0)?;
    if has_token(&finished.stdout) {
        return Ok(finished.elapsed);
    }
    let why = format!("gave no token for {host}");
    Err(BenchError::Wrong {
        what: what.to_owned(),
        why,
    })
}

fn forget(folder: &Path) -> Result<(), BenchError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(BenchError::io("remove", folder)(error))
        }
        _ => fs::create_dir_all(folder).map_err(BenchError::io("make the folder", folder)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_get_without_a_token_does_not_count() {
        let answer = |text: &str| {
            let mut command = Command::new("echo");
            command.arg(text);
            token_of("helper", &mut command, "host")
        };
        assert!(answer(r#"{"ServerURL":"h","Username":"AWS","Secret":"t"}"#).is_ok());
        assert!(answer(r#"{"ServerURL":"h","Username":"AWS","Secret":""}"#).is_err());
        assert!(answer("credentials not found in native keychain").is_err());
    }

    #[test]
    fn forgetting_leaves_an_empty_folder() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        forget(&cache).unwrap();
        fs::write(cache.join("token"), "").unwrap();
        forget(&cache).unwrap();
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 0);
    }
}
