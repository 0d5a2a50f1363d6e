//! The credential helper against the one of AWS.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::contest::{Contender, Row, contest};
use super::kernel_keys::KernelKeys;
use super::{BenchError, process};
use crate::sandbox::endpoints::{ACCOUNT, REGION};

const OURS: &str = "ecr-hybrid";
const PEER: &str = "ecr-login";
/// Belongs to nobody; every pull from elsewhere asks the helper about such a host.
const FOREIGN: &str = "registry.example.com";

/// Both helpers, each with a cache of its own.
pub(super) struct Helpers {
    ours: PathBuf,
    peer: PathBuf,
    ours_cache: PathBuf,
    peer_cache: PathBuf,
}

impl Helpers {
    pub(super) fn new(ours: &Path, peer: &Path, scratch: &Path) -> Self {
        Self {
            ours: ours.to_owned(),
            peer: peer.to_owned(),
            ours_cache: scratch.join("ecr-hybrid"),
            peer_cache: scratch.join("ecr-login"),
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
        rows.push(contest(
            "helper get, another registry",
            runs,
            &mut [
                Contender::new(OURS, || {
                    let run =
                        process::run(OURS, &mut self.ours_command("file"), FOREIGN.as_bytes());
                    run?.expecting(OURS, 1).map(|finished| finished.elapsed)
                }),
                Contender::new(PEER, || {
                    let run = process::run(PEER, &mut self.peer_command(), FOREIGN.as_bytes());
                    run?.expecting(PEER, 1).map(|finished| finished.elapsed)
                }),
            ],
        )?);
        Ok((rows, notes))
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

/// The time of a `get` that really gave a token.
fn token_of(what: &str, command: &mut Command, host: &str) -> Result<Duration, BenchError> {
    let finished = process::run(what, command, host.as_bytes())?.expecting(what, 0)?;
    let answer: Option<Value> = serde_json::from_slice(&finished.stdout).ok();
    let given = answer
        .as_ref()
        .and_then(|answer| answer.get("Secret")?.as_str())
        .is_some_and(|secret| !secret.is_empty());
    if given {
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
