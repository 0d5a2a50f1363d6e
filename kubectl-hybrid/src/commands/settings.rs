//! Settings: a flag comes before its variable, that before `hybrid.toml`, that before the contract,
//! and all before the default.

use crate::cli::{Build, Deploy, Global, Source};
use crate::project::config::{Config, Origin};

use super::session::Session;

/// How the flag of this id was given, when it was.
pub(super) fn given(global: &Global, id: &str) -> Option<Origin> {
    global.given.source(id).map(|source| match source {
        Source::Flag(name) => Origin::Flag(name.clone()),
        Source::Variable(name) => Origin::Variable(name.clone()),
    })
}

/// Fills in where Terraform is.
pub(super) fn terraform(global: &mut Global, config: &Config) {
    let file = &config.file.terraform;
    let dir = file.dir.as_ref().map(|dir| config.root.join(dir));
    global.terraform_dir = global.terraform_dir.take().or(dir);
    global.terraform_binary = global
        .terraform_binary
        .take()
        .or_else(|| file.binary.clone());
    global.terraform_source = global.terraform_source.or(file.source);
}

/// Fills in which cluster is meant.
pub(super) fn cluster(global: &mut Global, config: &Config, workspace: &str) {
    let file = config.file.cluster(workspace);
    global.context = global.context.take().or(file.context);
    global.namespace = global.namespace.take().or(file.namespace);
}

/// The flags of `deploy`, with what the file says where nobody gave one.
pub(super) fn deploy(session: &Session<'_>, flags: &Deploy) -> Deploy {
    let mut flags = flags.clone();
    let workspace = session.workspace.as_str();
    let file = session.config.file.deploy(workspace);
    let build = session.config.file.build(workspace);
    let is_free = |id| given(&session.global, id).is_none();
    if let (true, Some(strategy)) = (is_free("strategy"), file.strategy) {
        flags.strategy = strategy;
    }
    if let (true, Some(timeout)) = (is_free("timeout"), file.timeout) {
        flags.roll_out.timeout = timeout.duration();
    }
    if let (true, Some(jobs)) = (is_free("jobs"), build.jobs) {
        flags.jobs = jobs;
    }
    flags
}

/// How long a roll-out may take, of a command that only waits.
pub(super) fn timeout(session: &Session<'_>, flag: std::time::Duration) -> std::time::Duration {
    let file = session.config.file.deploy(session.workspace.as_str());
    match (given(&session.global, "timeout"), file.timeout) {
        (None, Some(timeout)) => timeout.duration(),
        _ => flag,
    }
}

/// The flags of `build`, with what the file says where nobody gave one.
pub(super) fn build(session: &Session<'_>, flags: &Build) -> Build {
    let mut flags = flags.clone();
    let file = session.config.file.build(session.workspace.as_str());
    if let (None, Some(jobs)) = (given(&session.global, "jobs"), file.jobs) {
        flags.jobs = jobs;
    }
    flags
}
