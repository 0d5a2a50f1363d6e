//! What it takes to start the plugin at all.

use std::path::Path;
use std::process::Command;

use super::contest::{Contender, Row, contest};
use super::{BenchError, process};

const OURS: &str = "kubectl-hybrid --help";
const PEER: &str = "kubectl version --client";

/// The help of both, which needs neither cluster nor cloud.
pub(super) fn row(binaries: &Path, runs: usize) -> Result<Row, BenchError> {
    let ours = binaries.join("kubectl-hybrid");
    let ended = |what, mut command: Command, says: &str| {
        let finished = process::run(what, &mut command, b"")?.expecting(what, 0)?;
        if String::from_utf8_lossy(&finished.stdout).contains(says) {
            return Ok(finished.elapsed);
        }
        Err(BenchError::Wrong {
            what: what.to_owned(),
            why: format!("says nothing of `{says}`"),
        })
    };
    contest(
        "start",
        runs,
        &mut [
            Contender::new(OURS, || {
                let mut command = Command::new(&ours);
                command.arg("--help");
                ended(OURS, command, "regcred")
            }),
            Contender::new(PEER, || {
                let mut command = Command::new("kubectl");
                command.args(["version", "--client"]);
                ended(PEER, command, "Client Version")
            }),
        ],
    )
}
