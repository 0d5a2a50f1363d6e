//! `up`: from whatever there is to a running sandbox.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::Signal;

use super::status;
use crate::sandbox::error::log_tail;
use crate::sandbox::lock::Lock;
use crate::sandbox::processes::ProcessRecord;
use crate::sandbox::report::{Report, Step, duration};
use crate::sandbox::supervisor::{self, Event, PartSpec, Supervisor};
use crate::sandbox::supply::{self, Item, Source, Supplies};
use crate::sandbox::{
    Environment, Layout, SandboxError, certificates, gate, kubeconfig, machine, node, parts, pods,
    prerequisites, processes, terraform,
};

/// How many lines of a log an error shows.
const TAIL: usize = 12;

/// Commands that people and tests call by name.
const TOOLS: [Item; 3] = [Item::DockerCli, Item::Kubectl, Item::Terraform];

/// Brings the sandbox up, or heals it, or says that there is nothing to do.
pub fn up(layout: &Layout, report: &Report) -> Result<(), SandboxError> {
    let begun = Instant::now();
    prerequisites::root()?;
    prerequisites::outside()?;
    let up = format!("The sandbox is up in `{}`", layout.state().display());
    if is_complete(layout) {
        report.say(format!("{up}."));
        return Ok(());
    }
    prerequisites::check(layout, &parts::ITEMS)?;
    let _lock = Lock::take(layout, |holder| {
        report.say(format!(
            "Another command works on the sandbox ({holder}); waiting for it."
        ));
    })?;
    // The other one may have done all there was to do.
    if !is_complete(layout) {
        let supplies = supply::ensure_all(&parts::ITEMS, layout.cache(), report)?;
        bring_up(layout, &supplies, report)?;
        let path = layout.completion();
        fs::write(&path, own_stamp()?).map_err(SandboxError::io("write", path))?;
    }
    report.say(format!("{up} after {}.", duration(begun.elapsed())));
    Ok(())
}

/// Whether an `up` of this very program has come to its end, and every part still runs.
fn is_complete(layout: &Layout) -> bool {
    let finished = fs::read_to_string(layout.completion());
    own_stamp().is_ok_and(|own| finished.is_ok_and(|stamp| stamp == own))
        && status::all_running(layout)
}

/// Tells one build of this program from another: each may start the parts in its own way.
fn own_stamp() -> Result<String, SandboxError> {
    let exe = std::env::current_exe().map_err(|source| SandboxError::OwnPath { source })?;
    let meta = fs::metadata(&exe).map_err(SandboxError::io("read", &exe))?;
    Ok(format!("{} {} {}", exe.display(), meta.len(), meta.mtime()))
}

fn bring_up(layout: &Layout, supplies: &Supplies, report: &Report) -> Result<(), SandboxError> {
    let environment = Environment::new(layout)?;
    let fresh_certificates = certificates::ensure(layout)?;
    let running = Supervisor::find(layout).filter(|_| !fresh_certificates);
    let launched = running.is_none();
    if launched {
        clean_up(layout, report)?;
    } else {
        let known = [layout.supervisor_record(), layout.gate_record()];
        let known: Vec<_> = known
            .iter()
            .filter_map(|it| ProcessRecord::read(it))
            .collect();
        end_all_but(&known, layout)?;
    }
    lay_out(layout, supplies)?;
    let specs = parts::build(layout, supplies)?;
    let supervisor = match running {
        Some(supervisor) => supervisor,
        None => report.step("machine", || supervisor::launch(layout, &environment))?,
    };
    gate::ensure(layout, &environment)?;
    let since = Timestamp::now();
    let fresh = start(&supervisor, specs, report)?;
    let kubelet = fresh.iter().any(|name| name == parts::KUBELET);
    report.step("node is Ready", || {
        node::wait_ready(layout, kubelet.then_some(since))
    })?;
    if launched {
        // Containers have ended with the last machine, and the cluster has not heard of it.
        let away = report.step("pods of the last time are back", || {
            pods::wait_back(layout, since)
        })?;
        if !away.is_empty() {
            report.warn(format!("Not running yet: {}.", away.join(", ")));
        }
    }
    let settings = terraform::Settings::new(layout, &environment, supplies)?;
    terraform::apply(&settings, report)?;
    Ok(())
}

/// Starts the parts, with a line for each; returns those that were not running before.
fn start(
    supervisor: &Supervisor,
    specs: Vec<PartSpec>,
    report: &Report,
) -> Result<Vec<String>, SandboxError> {
    let logs: HashMap<String, _> = specs
        .iter()
        .map(|spec| (spec.name.clone(), spec.log.clone()))
        .collect();
    let mut steps: HashMap<String, Step> = HashMap::new();
    let mut fresh = Vec::new();
    let mut failures = Vec::new();
    supervisor.start(specs, |event| match event {
        Event::Starting { part } => {
            steps.insert(part.clone(), report.begin(part));
        }
        Event::Ready {
            part, fresh: new, ..
        } => {
            if let Some(step) = steps.remove(&part) {
                step.done();
            }
            if new {
                fresh.push(part);
            }
        }
        Event::Failed { part, why } => {
            // One that was never begun failed for another's sake.
            if let Some(step) = steps.remove(&part) {
                step.failed();
            }
            failures.push((part, why));
        }
        _ => {}
    })?;
    // The first one is the cause of those that follow.
    match failures.into_iter().next() {
        None => Ok(fresh),
        Some((part, why)) => {
            let log = logs.get(&part).cloned().unwrap_or_default();
            Err(SandboxError::Part {
                part,
                why,
                tail: log_tail(&log, TAIL),
                log,
            })
        }
    }
}

/// Ends what an earlier run has left, so that the next machine finds nothing in its way.
pub(super) fn clean_up(layout: &Layout, report: &Report) -> Result<(), SandboxError> {
    end_all_but(&[], layout)?;
    for group in machine::remove_cgroups() {
        report.warn(format!(
            "The control group `{}` is still in use.",
            group.display()
        ));
    }
    // Sockets and records of processes that are gone.
    remove_dir(&layout.run())
}

/// Ends the supervisors and gates of this state folder except the known ones.
fn end_all_but(known: &[ProcessRecord], layout: &Layout) -> Result<(), SandboxError> {
    let patience = Duration::from_secs(10);
    for process in processes::of_state(layout.state()) {
        if !known.contains(&process) && !process.end(Signal::KILL, patience) {
            return Err(SandboxError::Supervisor {
                why: format!("(process {}) cannot be killed", process.pid),
                tail: String::new(),
                log: layout.log("supervisor"),
            });
        }
    }
    Ok(())
}

pub(super) fn remove_dir(dir: &Path) -> Result<(), SandboxError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(SandboxError::io("remove", dir)(error))
        }
        _ => Ok(()),
    }
}

/// Folders and files that the parts and their users expect.
fn lay_out(layout: &Layout, supplies: &Supplies) -> Result<(), SandboxError> {
    for dir in [
        layout.run(),
        layout.log_dir(),
        layout.etc(),
        layout.home(),
        layout.aws(),
        layout.docker_config().join("cli-plugins"),
        layout.tokens(),
        layout.tools(),
    ] {
        fs::create_dir_all(&dir).map_err(SandboxError::io("create", &dir))?;
    }
    // Keys, tokens and the cluster's data are root's own.
    fs::set_permissions(layout.state(), fs::Permissions::from_mode(0o700))
        .map_err(SandboxError::io("protect", layout.state()))?;
    kubeconfig::write(layout)?;
    write_once(&layout.docker_config().join("config.json"), "{}\n")?;
    write_once(
        &layout.aws().join("config"),
        "[default]\nregion = eu-central-1\n",
    )?;
    write_once(&layout.aws().join("credentials"), "")?;
    let plugins = layout.docker_config().join("cli-plugins");
    link(supplies.path(Item::Buildx)?, &plugins.join("docker-buildx"))?;
    for item in TOOLS {
        let tool = supplies.get(item)?;
        // Some commands find their own parts by the name that they are called with.
        if tool.source != Source::Machine {
            link(&tool.path, &layout.tools().join(item.name()))?;
        }
    }
    Ok(())
}

/// People and tests may change these; they are not put back.
fn write_once(path: &Path, content: &str) -> Result<(), SandboxError> {
    if path.exists() {
        return Ok(());
    }
    fs::write(path, content).map_err(SandboxError::io("write", path))
}

fn link(target: &Path, name: &Path) -> Result<(), SandboxError> {
    if fs::read_link(name).is_ok_and(|found| found == target) {
        return Ok(());
    }
    match fs::remove_file(name) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(SandboxError::io("remove", name)(error));
        }
        _ => {}
    }
    symlink(target, name).map_err(SandboxError::io("link", name))
}
