//! What the product reads of the state, beside Terraform: the contract, and a lock that is held.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::contest::{Contender, Row, contest};
use super::{BenchError, process};
use crate::sandbox::endpoints::WORKSPACE;

const CONFIG: &str = "kubectl hybrid config show";
const OUTPUT: &str = "terraform output -json";
const UNLOCK: &str = "kubectl hybrid unlock --list";
const PLAN: &str = "terraform plan, locked out";

/// The applied configuration of the sandbox, seen by both.
pub(super) struct Reads {
    ours: PathBuf,
    example: PathBuf,
    terraform: OsString,
}

impl Reads {
    pub(super) fn new(binaries: &Path, example: &Path) -> Result<Self, BenchError> {
        let terraform = env::var_os("HYBRID_TERRAFORM_DIR").ok_or_else(|| BenchError::Wrong {
            what: "The sandbox's environment".to_owned(),
            why: "has no Terraform folder".to_owned(),
        })?;
        Ok(Self {
            ours: binaries.join("kubectl-hybrid"),
            example: example.to_owned(),
            terraform,
        })
    }

    /// The rows. The lock that was left in the state is released in the end.
    pub(super) fn rows(&self, runs: usize) -> Result<Vec<Row>, BenchError> {
        let contract = contest(
            "read the contract",
            runs,
            &mut [
                Contender::new(CONFIG, || {
                    self.hybrid(CONFIG, &["config", "show"])
                        .map(|it| it.elapsed)
                }),
                Contender::new(OUTPUT, || {
                    self.terraform(OUTPUT, &["output", "-json", "-no-color"], 0)
                }),
            ],
        )?;
        let locks = contest(
            "show who holds the lock",
            runs,
            &mut [
                Contender::new(UNLOCK, || {
                    self.hybrid(UNLOCK, &["unlock", "--list"])
                        .map(|it| it.elapsed)
                }),
                Contender::new(PLAN, || {
                    self.terraform(PLAN, &["plan", "-no-color", "-input=false"], 1)
                }),
            ],
        );
        let released = self.release();
        let locks = locks?;
        released?;
        Ok(vec![contract, locks])
    }

    fn hybrid(&self, what: &str, arguments: &[&str]) -> Result<process::Finished, BenchError> {
        let mut command = Command::new(&self.ours);
        command
            .args(arguments)
            .args(["--workspace", WORKSPACE, "--output=json"])
            .current_dir(&self.example);
        process::run(what, &mut command, b"")?.expecting(what, 0)
    }

    fn terraform(&self, what: &str, arguments: &[&str], code: i32) -> Result<Duration, BenchError> {
        let mut command = Command::new("terraform");
        command
            .args(arguments)
            .current_dir(&self.terraform)
            .env("TF_WORKSPACE", WORKSPACE);
        let finished = process::run(what, &mut command, b"")?;
        finished.expecting(what, code).map(|it| it.elapsed)
    }

    fn release(&self) -> Result<(), BenchError> {
        const WHAT: &str = "The release of the lock";
        let shown = self.hybrid(WHAT, &["unlock", "--list"])?;
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap_or_default();
        let id = shown["locks"][0]["id"]
            .as_str()
            .ok_or_else(|| BenchError::Wrong {
                what: "The lock that was measured".to_owned(),
                why: "is not held".to_owned(),
            })?;
        // Inside, this machine has another name than the one that the lock was left by.
        self.hybrid(WHAT, &["unlock", "--yes", "--force", id])
            .map(drop)
    }
}
