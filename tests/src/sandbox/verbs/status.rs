//! `status`: every part, and whether it runs.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::sandbox::processes::ProcessRecord;
use crate::sandbox::supervisor::{Kind, PartState, PartStatus, Supervisor};
use crate::sandbox::{Layout, gate, parts};

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The part's name.
    pub part: String,
    /// Whether it runs.
    pub state: RowState,
    /// Its process id on the host, while it runs.
    pub pid: Option<u32>,
    /// When it was started.
    pub since: Option<Timestamp>,
    /// Its log file.
    pub log: PathBuf,
}

/// Whether a part does what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowState {
    /// It runs.
    Running,
    /// Its work is done.
    Done,
    /// It does not run; the text says what became of it.
    Dead(String),
}

/// The table as text, and whether all is well.
pub fn status(layout: &Layout) -> (String, bool) {
    let rows = rows(layout);
    let ok = rows
        .iter()
        .all(|row| !matches!(row.state, RowState::Dead(_)));
    (table(&rows), ok)
}

/// Whether every part runs: a look at the supervisor, not at the parts themselves.
pub(super) fn all_running(layout: &Layout) -> bool {
    status(layout).1
}

/// All rows: the supervisor, the gate, the parts in their order.
pub fn rows(layout: &Layout) -> Vec<Row> {
    let supervisor = Supervisor::find(layout);
    let mut rows = vec![
        process_row(
            layout,
            "supervisor",
            supervisor.as_ref().map(Supervisor::process),
        ),
        process_row(layout, "gate", gate::find(layout).as_ref()),
    ];
    let statuses: HashMap<String, PartStatus> = supervisor
        .as_ref()
        .and_then(|supervisor| supervisor.status().ok())
        .unwrap_or_default()
        .into_iter()
        .map(|status| (status.name.clone(), status))
        .collect();
    let pids = supervisor
        .map(|found| host_pids(found.process()))
        .unwrap_or_default();
    rows.extend(parts::NAMES.iter().map(|name| match statuses.get(*name) {
        None => dead(layout, name, "not started"),
        Some(status) => part_row(status, &pids),
    }));
    rows
}

fn part_row(status: &PartStatus, pids: &HashMap<u32, u32>) -> Row {
    let state = match (status.kind, status.state) {
        (_, PartState::Running) => RowState::Running,
        (Kind::Task, PartState::Exited(0)) => RowState::Done,
        (_, PartState::Exited(code)) => RowState::Dead(format!("dead (exit {code})")),
        (_, PartState::Killed(signal)) => RowState::Dead(format!("dead (signal {signal})")),
    };
    let running = state == RowState::Running;
    Row {
        part: status.name.clone(),
        state,
        pid: pids.get(&status.pid).copied().filter(|_| running),
        since: Timestamp::from_second(status.since).ok(),
        log: status.log.clone(),
    }
}

fn process_row(layout: &Layout, name: &str, process: Option<&ProcessRecord>) -> Row {
    let Some(process) = process else {
        return dead(layout, name, "dead");
    };
    let since = fs::metadata(format!("/proc/{}", process.pid))
        .and_then(|meta| meta.modified())
        .ok()
        .and_then(|time| Timestamp::try_from(time).ok());
    Row {
        part: name.to_owned(),
        state: RowState::Running,
        pid: Some(process.pid),
        since,
        log: layout.log(name),
    }
}

fn dead(layout: &Layout, name: &str, what: &str) -> Row {
    Row {
        part: name.to_owned(),
        state: RowState::Dead(what.to_owned()),
        pid: None,
        since: None,
        log: layout.log(name),
    }
}

/// Process ids inside to those on the host: what a person can kill.
fn host_pids(supervisor: &ProcessRecord) -> HashMap<u32, u32> {
    let space = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let own = space(&supervisor.pid.to_string());
    let Ok(entries) = fs::read_dir("/proc") else {
        return HashMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let pid = name
                .to_str()
                .filter(|name| name.bytes().all(|b| b.is_ascii_digit()))?;
            if own.is_none() || space(pid) != own {
                return None;
            }
            inner_pid(&fs::read_to_string(entry.path().join("status")).ok()?)
        })
        .collect()
}

/// The innermost and the outermost id of the line `NSpid`.
fn inner_pid(status: &str) -> Option<(u32, u32)> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    let mut ids = line.split_whitespace().filter_map(|id| id.parse().ok());
    let outer = ids.next()?;
    Some((ids.next_back()?, outer))
}

fn table(rows: &[Row]) -> String {
    let cells: Vec<[String; 5]> =
        std::iter::once(["PART", "STATE", "PID", "SINCE", "LOG"].map(str::to_owned))
            .chain(rows.iter().map(|row| {
                [
                    row.part.clone(),
                    match &row.state {
                        RowState::Running => "running".to_owned(),
                        RowState::Done => "done".to_owned(),
                        RowState::Dead(what) => what.clone(),
                    },
                    row.pid
                        .map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
                    row.since.map_or_else(
                        || "-".to_owned(),
                        |since| {
                            since
                                .to_zoned(TimeZone::system())
                                .strftime("%F %T")
                                .to_string()
                        },
                    ),
                    row.log.display().to_string(),
                ]
            }))
            .collect();
    let width = |column: usize| cells.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    let mut text = String::new();
    for [part, state, pid, since, log] in &cells {
        let [a, b, c, d] = widths;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{part:a$}  {state:b$}  {pid:>c$}  {since:d$}  {log}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::supply::Cache;

    #[test]
    fn a_machine_that_was_never_up_has_every_part_dead() {
        let dir = tempfile::tempdir().unwrap();
        let (table, ok) = status(&Layout::at(dir.path(), Cache::at(dir.path())));
        assert!(!ok);
        for name in parts::NAMES.iter().chain(&["supervisor", "gate"]) {
            assert!(table.contains(name), "{name}");
        }
    }

    #[test]
    fn ids_are_told_as_the_host_knows_them() {
        assert_eq!(inner_pid("Name:\tx\nNSpid:\t4711\t12\n"), Some((12, 4711)));
        assert_eq!(inner_pid("NSpid:\t4711\n"), None);
    }

    #[test]
    fn a_dead_part_says_how_it_ended() {
        let status = PartStatus {
            name: "kubelet".to_owned(),
            kind: Kind::Service,
            pid: 12,
            since: 0,
            state: PartState::Killed(9),
            log: "/l".into(),
        };
        let row = part_row(&status, &HashMap::from([(12, 4711)]));
        assert_eq!(row.state, RowState::Dead("dead (signal 9)".to_owned()));
        assert_eq!(row.pid, None);
        let done = PartStatus {
            kind: Kind::Task,
            state: PartState::Exited(0),
            ..status
        };
        assert_eq!(part_row(&done, &HashMap::new()).state, RowState::Done);
    }
}
