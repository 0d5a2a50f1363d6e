//! Starting parts: each as soon as those that it needs are ready, all others at the same time.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::protocol::{Event, Kind, PartSpec, PartState};
use super::stop;
use super::table::Table;

/// How often a part that is coming up is asked whether it is ready.
const PACE: Duration = Duration::from_millis(40);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Ready { fresh: bool },
    Failed,
}

#[derive(Default)]
struct Outcomes {
    known: Mutex<HashMap<String, Outcome>>,
    changed: Condvar,
}

impl Outcomes {
    fn set(&self, name: &str, outcome: Outcome) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(name.to_owned(), outcome);
        drop(known);
        self.changed.notify_all();
    }

    fn wait(&self, name: &str) -> Outcome {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(outcome) = known.get(name) {
                return *outcome;
            }
            known = self
                .changed
                .wait(known)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Brings all of `specs` up. Order matters in one way: a part may need only parts before it.
pub(super) fn start(table: &Table, specs: &[PartSpec], say: &(dyn Fn(Event) + Sync)) {
    let outcomes = Outcomes::default();
    thread::scope(|scope| {
        for (at, spec) in specs.iter().enumerate() {
            let outcomes = &outcomes;
            // A need that is not among the parts before would never be met: it is left out.
            let known: Vec<&str> = specs[..at].iter().map(|spec| spec.name.as_str()).collect();
            scope.spawn(move || {
                let outcome = bring_up(table, spec, &known, outcomes, say);
                outcomes.set(&spec.name, outcome);
            });
        }
    });
}

fn bring_up(
    table: &Table,
    spec: &PartSpec,
    known: &[&str],
    outcomes: &Outcomes,
    say: &(dyn Fn(Event) + Sync),
) -> Outcome {
    let mut anew = table
        .spec(&spec.name)
        .is_none_or(|running| running != *spec);
    for need in spec
        .after
        .iter()
        .filter(|need| known.contains(&need.as_str()))
    {
        match outcomes.wait(need) {
            Outcome::Failed => {
                say(failed(
                    spec,
                    format!("was not started, because {need} did not come up"),
                ));
                return Outcome::Failed;
            }
            Outcome::Ready { fresh: true } if spec.restart_with.contains(need) => anew = true,
            Outcome::Ready { .. } => {}
        }
    }
    let state = table.state(&spec.name);
    if !anew && is_up(spec, state) {
        say(Event::Ready {
            part: spec.name.clone(),
            millis: 0,
            fresh: false,
        });
        return Outcome::Ready { fresh: false };
    }
    if state == Some(PartState::Running) {
        stop::stop_one(table, &spec.name, say);
    }
    say(Event::Starting {
        part: spec.name.clone(),
    });
    let begun = Instant::now();
    if let Err(error) = table.spawn(spec) {
        let program = spec.command.first().map_or("", String::as_str);
        say(failed(
            spec,
            format!("could not be started as `{program}`: {error}"),
        ));
        return Outcome::Failed;
    }
    match wait_ready(table, spec, begun) {
        Ok(()) => {
            let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            say(Event::Ready {
                part: spec.name.clone(),
                millis,
                fresh: true,
            });
            Outcome::Ready { fresh: true }
        }
        Err(why) => {
            say(failed(spec, why));
            Outcome::Failed
        }
    }
}

fn is_up(spec: &PartSpec, state: Option<PartState>) -> bool {
    match (spec.kind, state) {
        (Kind::Service, Some(PartState::Running)) => spec.ready.iter().all(super::Readiness::holds),
        (Kind::Task, Some(PartState::Exited(0))) => true,
        _ => false,
    }
}

fn wait_ready(table: &Table, spec: &PartSpec, begun: Instant) -> Result<(), String> {
    let within = Duration::from_secs(spec.start_within);
    if spec.kind == Kind::Task {
        if !table.wait_end(&spec.name, within) {
            return Err(format!("is not done after {} s", spec.start_within));
        }
        return match table.state(&spec.name) {
            Some(PartState::Exited(0)) => Ok(()),
            Some(state) => Err(state.describe()),
            None => Err("is not known".to_owned()),
        };
    }
    for readiness in &spec.ready {
        while let Err(missing) = readiness.check() {
            // Either it ends, which is the answer, or it is asked again.
            if table.wait_end(&spec.name, PACE) {
                let state = table.state(&spec.name).unwrap_or(PartState::Exited(0));
                return Err(format!("{} before it was ready", state.describe()));
            }
            if begun.elapsed() > within {
                return Err(format!(
                    "is not ready after {} s ({missing})",
                    spec.start_within
                ));
            }
        }
    }
    Ok(())
}

fn failed(spec: &PartSpec, why: String) -> Event {
    Event::Failed {
        part: spec.name.clone(),
        why,
    }
}
