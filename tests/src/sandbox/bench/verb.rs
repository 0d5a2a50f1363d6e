//! The verb: builds what is compared, and lets a process inside the sandbox measure.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, ValueEnum};

use super::deploy::Deploys;
use super::helper::Helpers;
use super::many::Many;
use super::scale::Scale;
use super::terraform::Reads;
use super::{BenchError, figure, start, table};
use crate::package::{self, Toolchain};
use crate::sandbox::report::Report;
use crate::sandbox::supply::{self, Item};
use crate::sandbox::{Layout, SandboxError, verbs};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Subject {
    /// The credential helper
    Helper,
    /// The start of the plugin
    Start,
    /// The deploy of the example
    Deploy,
    /// The deploy of many services of which a few have changed
    Many,
    /// Pull secrets in very many namespaces
    Scale,
    /// What is read of the Terraform state
    Terraform,
}

/// Options of `bench`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Measure only this (can be repeated)
    #[arg(long, value_enum)]
    only: Vec<Subject>,
    /// Runs of the helper per contender
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    helper_runs: u32,
    /// Starts of the plugin per contender
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    start_runs: u32,
    /// Deploys per contender
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    deploy_runs: u32,
    /// Deploys of many services per contender
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    many_runs: u32,
    /// Runs in very many namespaces per contender
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    scale_runs: u32,
    /// How many namespaces those are
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    namespaces: u32,
    /// Reads of the Terraform state per contender
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    terraform_runs: u32,
    /// Folder with release binaries; without it they are built
    #[arg(long, value_name = "FOLDER")]
    binaries: Option<PathBuf>,
}

/// Options of the process inside.
#[derive(Clone, Debug, Args)]
pub struct Measure {
    #[command(flatten)]
    options: Options,
    /// The helper of AWS.
    #[arg(long)]
    peer: PathBuf,
    /// The example's folder.
    #[arg(long)]
    example: PathBuf,
}

/// Builds both sides and measures inside the running sandbox; the table goes to stdout.
pub fn run(layout: &Layout, options: &Options, report: &Report) -> Result<u8, BenchError> {
    // Before anything is built: a build may put another program in this one's place.
    let program = env::current_exe().map_err(|source| SandboxError::OwnPath { source })?;
    verbs::up(layout, report)?;
    let peer =
        supply::ensure(Item::EcrLogin, layout.cache(), report).map_err(SandboxError::from)?;
    let keyctl =
        supply::ensure(Item::Keyctl, layout.cache(), report).map_err(SandboxError::from)?;
    let binaries = match &options.binaries {
        Some(folder) => absolute(folder)?,
        None => released(layout, report)?,
    };
    let inside = |subjects: &[Subject]| -> Result<u8, BenchError> {
        let mut command = Command::new(&program);
        command.arg("exec").arg("--");
        // Outside a session of its own a process may have no keyring that it can search.
        command
            .arg(&keyctl.path)
            .args(["session", "-"])
            .arg(&program)
            .arg("measure");
        for subject in subjects {
            let name = subject
                .to_possible_value()
                .map(|value| value.get_name().to_owned());
            command.arg("--only").args(name);
        }
        command
            .arg(format!("--helper-runs={}", options.helper_runs))
            .arg(format!("--start-runs={}", options.start_runs))
            .arg(format!("--deploy-runs={}", options.deploy_runs))
            .arg(format!("--many-runs={}", options.many_runs))
            .arg(format!("--scale-runs={}", options.scale_runs))
            .arg(format!("--namespaces={}", options.namespaces))
            .arg(format!("--terraform-runs={}", options.terraform_runs))
            .arg("--binaries")
            .arg(&binaries)
            .arg("--peer")
            .arg(&peer.path)
            .arg("--example")
            .arg(crate::source_tree().join("examples/knowledge-repo"));
        let status = command.status().map_err(|source| BenchError::Start {
            what: "the measurement".to_owned(),
            source,
        })?;
        Ok(status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(1))
    };
    let wanted: Vec<Subject> = Subject::value_variants()
        .iter()
        .copied()
        .filter(|subject| options.only.is_empty() || options.only.contains(subject))
        .collect();
    // A lock can only be left from outside, and a deploy would mention it: those reads come last.
    let (locked, free): (Vec<_>, Vec<_>) = wanted
        .into_iter()
        .partition(|subject| *subject == Subject::Terraform);
    let mut code = 0;
    if !free.is_empty() {
        code = inside(&free)?;
    }
    if !locked.is_empty() {
        verbs::leave(layout, report)?;
        code = code.max(inside(&locked)?);
    }
    Ok(code)
}

/// The programs as they are shipped.
fn released(layout: &Layout, report: &Report) -> Result<PathBuf, BenchError> {
    let mut toolchain = Toolchain::find();
    if toolchain.could_be_static() {
        match supply::packages(&package::PACKAGES, layout.cache(), report) {
            Ok(()) => toolchain = Toolchain::find(),
            Err(error) => report.warn(format!("Not what is shipped is measured: {error}")),
        }
    }
    let built = report.step("release binaries built", || {
        package::build(&toolchain, &package::target_folder()?)
    })?;
    Ok(built)
}

/// Measures. Runs inside the sandbox, in its environment.
pub fn measure(options: &Measure, report: &Report) -> Result<String, BenchError> {
    let wants =
        |subject| options.options.only.is_empty() || options.options.only.contains(&subject);
    let binaries = options
        .options
        .binaries
        .clone()
        .ok_or_else(|| BenchError::Wrong {
            what: "The measurement".to_owned(),
            why: "was given no binaries".to_owned(),
        })?;
    let scratch =
        tempfile::tempdir().map_err(BenchError::io("make a folder in", &env::temp_dir()))?;
    let mut rows = Vec::new();
    let mut figures = Vec::new();
    if wants(Subject::Helper) {
        let ours = binaries.join("docker-credential-ecr-hybrid");
        let helpers = Helpers::new(&ours, &options.peer, scratch.path());
        let runs = options.options.helper_runs as usize;
        let (measured, notes) = report.step("helper measured", || helpers.rows(runs))?;
        rows.extend(measured);
        let (counted, more) = report.step("helper counted", || helpers.figures())?;
        figures.extend(counted);
        for note in notes.into_iter().chain(more) {
            report.warn(note);
        }
    }
    if wants(Subject::Start) {
        let runs = options.options.start_runs as usize;
        rows.push(report.step("start measured", || start::row(&binaries, runs))?);
    }
    if wants(Subject::Deploy) {
        let deploys = Deploys::new(&binaries, &options.example, scratch.path())?;
        let runs = options.options.deploy_runs as usize;
        rows.extend(report.step("deploy measured", || deploys.rows(runs))?);
        // It is short: many runs cost little.
        rows.push(report.step("status measured", || deploys.status_row(4 * runs))?);
    }
    if wants(Subject::Many) {
        let many = report.step("many services deployed", || {
            Many::new(&binaries, scratch.path())
        })?;
        let runs = options.options.many_runs as usize;
        rows.extend(report.step("many services measured", || many.rows(runs))?);
    }
    if wants(Subject::Scale) {
        let count = options.options.namespaces;
        let scale = report.step("namespaces made", || {
            Scale::new(&binaries, &options.example, scratch.path(), count)
        })?;
        let runs = options.options.scale_runs as usize;
        let measured = report.step("many namespaces measured", || scale.measured(runs))?;
        rows.extend(measured.rows);
        figures.extend(measured.figures);
        for note in measured.notes {
            report.warn(note);
        }
    }
    if wants(Subject::Terraform) {
        let reads = Reads::new(&binaries, &options.example)?;
        let runs = options.options.terraform_runs as usize;
        rows.extend(report.step("reads of the state measured", || reads.rows(runs))?);
    }
    let mut text = table::render(&rows);
    if !figures.is_empty() {
        text.push('\n');
        text.push_str(&figure::render(&figures));
    }
    Ok(text)
}

fn absolute(folder: &Path) -> Result<PathBuf, BenchError> {
    std::path::absolute(folder).map_err(BenchError::io("resolve", folder))
}
