//! The sandbox after a death: of each of its parts, of the supervisor that all hang on, and of the
//! `up` that starts them. And what is left of it on the host while it runs: nothing.
//!
//! The tests kill what the others use: run them one at a time, and not beside other tests.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hybrid_tests::sandbox::processes::ProcessRecord;
use serde_json::Value;

/// How long the death of a part may take to show.
const PATIENCE: Duration = Duration::from_secs(10);

fn sandbox(verb: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hybrid-sandbox"));
    command.arg(verb);
    command
}

/// What a command said on both streams, and whether it went well.
fn said(command: &mut Command) -> (bool, String) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} could not be started: {error}"));
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let (ok, text) = said(command);
    assert!(ok, "{command:?}: {text}");
    text
}

/// A row of `status`.
#[derive(Debug, Clone)]
struct Part {
    name: String,
    state: String,
    pid: Option<u32>,
}

fn parts() -> Vec<Part> {
    // The state may be of several words, and so is the date: columns are where the titles are.
    let (_, text) = said(&mut sandbox("status"));
    let mut lines = text.lines();
    let title = lines.next().unwrap_or_default();
    let state = title.find("STATE").unwrap_or_else(|| panic!("{text}"));
    lines
        .map(|line| {
            let words: Vec<&str> = line[state..].split_whitespace().collect();
            let pid = words.iter().find_map(|word| word.parse().ok());
            Part {
                name: line[..state].trim().to_owned(),
                state: words.first().copied().unwrap_or_default().to_owned(),
                pid,
            }
        })
        .collect()
}

fn running() -> Vec<Part> {
    let mut parts = parts();
    parts.retain(|part| part.state == "running");
    parts
}

#[track_caller]
fn assert_all_is_well() {
    let (ok, text) = said(&mut sandbox("status"));
    assert!(ok, "{text}");
    let nodes = succeeds(Command::new("kubectl").args(["get", "nodes"]));
    assert!(nodes.contains(" Ready "), "{nodes}");
}

#[track_caller]
fn kill(pid: u32) {
    succeeds(Command::new("kill").args(["-KILL", &pid.to_string()]));
}

#[track_caller]
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "after {PATIENCE:?} not yet: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// The contract that a deploy reads: it must be the same after all that happened.
#[track_caller]
fn contract() -> Value {
    let project = hybrid_tests::source_tree().join("examples/knowledge-repo");
    let output = Command::new("kubectl")
        .args(["hybrid", "deploy", "--dry-run", "--output=json"])
        .current_dir(project)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut services = report["plan"]["services"].clone();
    for service in services.as_array_mut().expect("services") {
        *service = service["name"].clone();
    }
    assert!(!services.as_array().unwrap().is_empty());
    services
}

#[test]
#[ignore = "needs the sandbox"]
fn each_part_that_is_killed_is_named_and_healed() {
    let before = contract();
    let parts: Vec<Part> = running()
        .into_iter()
        .filter(|part| part.name != "supervisor")
        .collect();
    assert!(parts.len() >= 12, "{parts:?}");
    for Part { name, .. } in parts {
        // The part's process is another when it was restarted with one that died before.
        let find = || running().into_iter().find(|part| part.name == name);
        let pid = find().and_then(|part| part.pid);
        kill(pid.unwrap_or_else(|| panic!("{name} does not run")));
        eventually(&format!("{name} is dead"), || find().is_none());
        let (ok, text) = said(&mut sandbox("status"));
        assert!(!ok, "{name} is dead and all is said to be well: {text}");
        let line = text.lines().find(|line| line.starts_with(&name));
        assert!(line.is_some_and(|line| line.contains("dead")), "{text}");
        succeeds(&mut sandbox("up"));
        assert!(find().is_some(), "{name} was not healed");
    }
    assert_all_is_well();
    assert_eq!(contract(), before);
}

#[test]
#[ignore = "needs the sandbox"]
fn a_dead_supervisor_takes_all_with_it_and_up_brings_all_back() {
    let before = contract();
    let all = running();
    let records: Vec<_> = all
        .iter()
        .map(|part| (&part.name, ProcessRecord::of(part.pid.unwrap()).unwrap()))
        .collect();
    let supervisor = all.iter().find(|part| part.name == "supervisor").unwrap();
    kill(supervisor.pid.unwrap());
    for (name, process) in records {
        eventually(&format!("{name} has ended"), || !process.is_alive());
    }
    assert!(!said(&mut sandbox("status")).0);
    succeeds(&mut sandbox("up"));
    assert_all_is_well();
    assert_eq!(contract(), before);
}

#[test]
#[ignore = "needs the sandbox"]
fn an_up_that_is_killed_half_way_is_finished_by_the_next() {
    succeeds(&mut sandbox("down"));
    let mut up = sandbox("up")
        .stderr(Stdio::piped())
        .spawn()
        .expect("the sandbox starts");
    let mut heard = Vec::new();
    let half = BufReader::new(up.stderr.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .inspect(|line| heard.push(line.clone()))
        .any(|line| line.contains("etcd"));
    up.kill().unwrap();
    up.wait().unwrap();
    assert!(half, "`up` says nothing of etcd: {heard:#?}");
    succeeds(&mut sandbox("up"));
    assert_all_is_well();
}

/// What the sandbox could leave on the host.
#[derive(Debug, PartialEq, Eq)]
struct Host {
    interfaces: BTreeSet<String>,
    mounts: BTreeSet<String>,
    hosts: String,
    rules: String,
}

impl Host {
    fn now() -> Self {
        let interfaces = fs::read_dir("/sys/class/net").unwrap();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        // Not every machine has iptables; then there are no rules either.
        let rules = Command::new("iptables-save").output();
        let rules = rules.map_or(String::new(), |output| {
            String::from_utf8_lossy(&output.stdout)
                .lines()
                .filter(|line| line.starts_with("-A"))
                .collect()
        });
        Self {
            interfaces: interfaces
                .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
                .collect(),
            mounts: mounts
                .lines()
                .filter_map(|line| line.split(' ').nth(1))
                .map(str::to_owned)
                .collect(),
            hosts: fs::read_to_string("/etc/hosts").unwrap(),
            rules,
        }
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn the_host_is_the_same_with_and_without_the_sandbox() {
    let state = std::env::var("HYBRID_SANDBOX_DIR").expect("the sandbox's environment");
    let before = contract();
    let up = Host::now();
    assert!(!up.mounts.iter().any(|mount| mount.starts_with(&state)));
    assert!(!up.hosts.contains("dkr.ecr"), "{}", up.hosts);
    // With their start, since a number is soon given to another process.
    let parts: Vec<(String, ProcessRecord)> = running()
        .into_iter()
        .filter_map(|part| Some((part.name, ProcessRecord::of(part.pid?).ok()?)))
        .collect();
    assert!(parts.len() >= 12, "{parts:?}");
    succeeds(&mut sandbox("down"));
    let left: Vec<_> = parts.iter().filter(|(_, it)| it.is_alive()).collect();
    assert!(left.is_empty(), "still there: {left:?}");
    assert_eq!(Host::now(), up);
    succeeds(&mut sandbox("up"));
    assert_all_is_well();
    assert_eq!(contract(), before);
}
