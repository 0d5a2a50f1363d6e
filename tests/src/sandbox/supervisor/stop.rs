//! Stopping parts: each after those that need it, all others at the same time.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::protocol::{Event, PartSpec, PartState};
use super::table::Table;

/// How long a killed process may take to disappear.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// Stops every part, in reverse order of need.
pub(super) fn stop_all(table: &Table, say: &(dyn Fn(Event) + Sync)) {
    let specs = table.specs();
    let gone: Mutex<Vec<String>> = Mutex::default();
    let changed = Condvar::new();
    thread::scope(|scope| {
        for spec in &specs {
            let dependants = dependants(&specs, &spec.name);
            let (gone, changed) = (&gone, &changed);
            scope.spawn(move || {
                let mut seen = gone.lock().unwrap_or_else(PoisonError::into_inner);
                while !dependants.iter().all(|name| seen.contains(name)) {
                    seen = changed.wait(seen).unwrap_or_else(PoisonError::into_inner);
                }
                drop(seen);
                stop_one(table, &spec.name, say);
                gone.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(spec.name.clone());
                changed.notify_all();
            });
        }
    });
}

/// Those that need `name`. Needs cannot form a ring, since a part names only parts before it.
fn dependants(specs: &[PartSpec], name: &str) -> Vec<String> {
    specs
        .iter()
        .filter(|spec| spec.after.iter().any(|need| need == name))
        .map(|spec| spec.name.clone())
        .collect()
}

/// Asks one part to end, and kills it with all that it has started when it does not.
pub(super) fn stop_one(table: &Table, name: &str, say: &(dyn Fn(Event) + Sync)) {
    if table.state(name) != Some(PartState::Running) {
        return;
    }
    let Some(spec) = table.spec(name) else { return };
    let begun = Instant::now();
    let mut killed = spec.stop_within == 0;
    if !killed {
        table.signal(name, Signal::TERM, false);
        killed = !table.wait_end(name, Duration::from_secs(spec.stop_within));
    }
    if killed {
        table.signal(name, Signal::KILL, true);
        table.wait_end(name, KILL_PATIENCE);
    }
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    say(Event::Stopped {
        part: name.to_owned(),
        millis,
        killed,
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::sandbox::supervisor::Kind;

    fn part(name: &str, after: &[&str]) -> PartSpec {
        PartSpec {
            name: name.to_owned(),
            kind: Kind::Service,
            command: Vec::new(),
            environment: BTreeMap::new(),
            after: after.iter().map(ToString::to_string).collect(),
            restart_with: Vec::new(),
            ready: Vec::new(),
            fingerprint: 0,
            log: "/l".into(),
            start_within: 1,
            stop_within: 1,
        }
    }

    #[test]
    fn a_part_is_stopped_after_those_that_need_it() {
        let specs = [
            part("etcd", &[]),
            part("apiserver", &["etcd"]),
            part("kubelet", &["containerd", "apiserver"]),
            part("containerd", &[]),
        ];
        assert_eq!(dependants(&specs, "etcd"), ["apiserver"]);
        assert_eq!(dependants(&specs, "apiserver"), ["kubelet"]);
        assert_eq!(dependants(&specs, "containerd"), ["kubelet"]);
        assert!(dependants(&specs, "kubelet").is_empty());
    }
}
