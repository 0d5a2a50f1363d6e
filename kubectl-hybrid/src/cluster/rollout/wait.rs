//! The loop that waits.

use std::time::Duration;

use tokio::time::Instant;

use super::current_pods::{not_created, relevant};
use super::failure::{Failure, FailureCause};
use super::latest::Latest;
use super::memory::Memory;
use super::news::{News, Word};
use super::progress::{Verdict, verdict};
use crate::cluster::patience::PATIENCE;
use crate::cluster::trouble::{Cause, Trouble, troubles};
use crate::cluster::workload::{self, ContainerPin, Counts, WorkloadRef, WorkloadState};
use crate::cluster::{Cluster, ClusterError, NamespaceState, pods};

/// How long pods may fail to be made before that is a failure: a service account that Terraform
/// makes this moment, a quota that an old pod still uses.
const NOT_CREATED_PATIENCE: Duration = Duration::from_secs(8);
/// How long looks are at their most frequent.
const AT_FIRST: Duration = Duration::from_secs(15);
/// How long a watch is believed that tells nothing: its connection may have died without a word.
const BELIEVED: Duration = Duration::from_secs(5);
const LAST_WORDS: u32 = 10;

/// How to wait.
#[derive(Debug, Clone)]
pub struct WaitOptions {
    /// How long at most.
    pub timeout: Duration,
    /// After how many crashes in a row a container counts as broken. A service may crash once or
    /// twice until the one it depends on is up.
    pub crashes: i32,
    /// The images that were pinned. When one is another meanwhile, somebody else deployed.
    pub expected: Vec<ContainerPin>,
    /// How often to look at least, and half as often later. Each change of the workload is a reason
    /// to look, too, but pods have troubles that their workload does not tell.
    pub look_every: Duration,
    /// The workload as its change left it, right after that. Without it, it is read.
    pub changed: Option<WorkloadState>,
}

impl Default for WaitOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_mins(5),
            crashes: 3,
            expected: Vec::new(),
            look_every: Duration::from_millis(500),
            changed: None,
        }
    }
}

/// How far a roll-out is. Sent once for each state that lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The workload.
    pub workload: WorkloadRef,
    /// Its pods.
    pub counts: Counts,
    /// For what it waits.
    pub waiting_for: String,
    /// What is wrong at the moment and may still pass.
    pub troubles: Vec<Trouble>,
}

/// How waiting ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// The new pods run and are ready.
    Complete(Box<WorkloadState>),
    /// It will not complete.
    Failed(Box<Failure>),
    /// Time ran out.
    TimedOut(Box<TimedOut>),
}

/// What was seen when time ran out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{workload} did not roll out in time: {waiting_for}{}",
    .troubles.first().map(|trouble| format!("; {}", trouble.sentence())).unwrap_or_default()
)]
pub struct TimedOut {
    /// The workload.
    pub workload: WorkloadRef,
    /// Its pods.
    pub counts: Counts,
    /// For what it waited.
    pub waiting_for: String,
    /// What was wrong at the end.
    pub troubles: Vec<Trouble>,
}

/// Waits until the current template of a workload runs.
///
/// # Errors
/// When the API server refuses, or stays away for long.
pub async fn wait(
    cluster: &Cluster,
    workload: &WorkloadRef,
    options: &WaitOptions,
    mut on_update: impl FnMut(&Update),
) -> Result<End, ClusterError> {
    let started = Instant::now();
    let deadline = started + options.timeout;
    let mut memory = Memory::default();
    let mut news = News::Unasked;
    let mut latest = Latest::default();
    let mut away_since: Option<Instant> = None;
    let mut known: Option<Known> = None;
    // Right after a change there are no pods to look at.
    let (mut word, mut pods_from) = match &options.changed {
        Some(state) => (
            Word::Changed(Box::new(state.clone())),
            started + options.look_every,
        ),
        None => (Word::Look, started),
    };
    loop {
        let look_every = if started.elapsed() < AT_FIRST {
            options.look_every
        } else {
            options.look_every * 2
        };
        let pods_are_due = Instant::now() >= pods_from;
        let troubles = latest.get().map_or(&[][..], |update| &update.troubles);
        let earlier = (!pods_are_due).then_some(troubles);
        let looked = match current(cluster, workload, word, known.take()).await {
            Ok(Some(current)) => {
                let looked = look(cluster, &current.state, options, &mut memory, earlier).await;
                known = Some(current);
                looked
            }
            Ok(None) => Ok(failed(workload, Counts::default(), FailureCause::Gone)),
            Err(error) => Err(error),
        };
        match looked {
            Ok(Look::End(End::Failed(failure))) => {
                return Ok(End::Failed(root_cause(cluster, failure).await));
            }
            Ok(Look::End(end)) => return Ok(end),
            Ok(Look::Waiting(update)) => {
                away_since = None;
                latest.saw(update, &mut on_update);
            }
            Err(error) => {
                let is_news = away_since.is_none();
                let since = *away_since.get_or_insert_with(Instant::now);
                // A server that comes back knows its permissions a moment later.
                let may_pass = error.may_pass()
                    || (!is_news && matches!(error, ClusterError::Forbidden { .. }));
                if !may_pass || since.elapsed() >= PATIENCE {
                    return Err(error);
                }
                let update = Update {
                    workload: workload.clone(),
                    counts: latest.get().map_or_else(Counts::default, |it| it.counts),
                    waiting_for: "the API server does not answer at the moment".to_owned(),
                    troubles: Vec::new(),
                };
                latest.saw(update, &mut on_update);
            }
        }
        let now = Instant::now();
        if now >= deadline {
            let seen = timed_out(workload, latest.into_update());
            return Ok(End::TimedOut(Box::new(seen)));
        }
        if pods_are_due {
            pods_from = now + look_every;
        }
        let pause = pods_from.min(deadline).saturating_duration_since(now);
        let version = known.as_ref().map(|it| it.state.resource_version.as_str());
        word = news.within(pause, cluster, workload, version).await;
        // Where each change is told, silence means that there is none.
        let is_current = |it: &Known| news.are_told() && it.since.elapsed() < BELIEVED;
        if matches!(word, Word::Silence) && !known.as_ref().is_some_and(is_current) {
            word = Word::Look;
        }
        if matches!(word, Word::Look) {
            news.begin_anew();
        }
    }
}

/// A workload as it was at a time.
struct Known {
    state: WorkloadState,
    since: Instant,
}

/// The workload as it is now, `None` when it is gone. It is read only where nobody told.
async fn current(
    cluster: &Cluster,
    workload: &WorkloadRef,
    word: Word,
    known: Option<Known>,
) -> Result<Option<Known>, ClusterError> {
    let state = match (word, known) {
        (Word::Changed(state), _) => Some(*state),
        (Word::Silence, Some(known)) => return Ok(Some(known)),
        (Word::Silence | Word::Look, _) => workload::read(cluster, workload).await?,
    };
    let since = Instant::now();
    Ok(state.map(|state| Known { state, since }))
}

enum Look {
    End(End),
    Waiting(Update),
}

/// In a namespace that is being deleted everything fails in its own way.
async fn root_cause(cluster: &Cluster, mut failure: Box<Failure>) -> Box<Failure> {
    let namespace = cluster.namespace_state(&failure.workload.namespace).await;
    if let Ok(NamespaceState::Terminating | NamespaceState::Missing) = namespace {
        failure.cause = FailureCause::NamespaceGone;
        failure.last_words.clear();
    }
    failure
}

/// Judges a workload, and its pods where that says more. `earlier` is what was wrong with them at
/// the last look, when it is too early for another one.
async fn look(
    cluster: &Cluster,
    state: &WorkloadState,
    options: &WaitOptions,
    memory: &mut Memory,
    earlier: Option<&[Trouble]>,
) -> Result<Look, ClusterError> {
    let workload = &state.workload;
    for pin in &options.expected {
        let found = state
            .container(&pin.container)
            .map(|container| container.image.as_str());
        if let Some(found) = found
            && found != pin.image
        {
            let cause = FailureCause::Superseded {
                container: pin.container.clone(),
                found: found.to_owned(),
            };
            return Ok(failed(workload, state.counts, cause));
        }
    }
    let verdict = verdict(state);
    let complete = verdict == Verdict::Complete;
    let (mut waiting_for, gave_up) = match verdict {
        Verdict::Complete => (
            "the new pods are ready, and have to stay up for a moment".to_owned(),
            None,
        ),
        Verdict::Waiting(waiting_for) => match earlier {
            Some(troubles) => {
                return Ok(Look::Waiting(Update {
                    workload: workload.clone(),
                    counts: state.counts,
                    waiting_for,
                    troubles: troubles.to_vec(),
                }));
            }
            None => (waiting_for, None),
        },
        // The pods may know better why the deadline passed.
        Verdict::Failed(cause @ FailureCause::DeadlineExceeded { .. }) => {
            ("its deadline passed".to_owned(), Some(cause))
        }
        Verdict::Failed(cause) => return Ok(failed(workload, state.counts, cause)),
    };

    let mut present = Vec::new();
    let mut settled = true;
    if state.is_observed() {
        let pods = pods::list(cluster, &workload.namespace, Some(&state.selector)).await?;
        for (pod, old_revision) in relevant(cluster, state, &pods, memory).await? {
            for trouble in troubles(pod) {
                // Enough pods run; an evicted one stays behind until it is collected.
                if complete && trouble.cause == Cause::Failed {
                    continue;
                }
                let trouble = memory.explained(cluster, trouble).await;
                if memory.is_final(&trouble, options.crashes, old_revision) {
                    let failure = pod_failure(cluster, state, trouble, old_revision).await;
                    return Ok(Look::End(End::Failed(Box::new(failure))));
                }
                present.push(trouble);
            }
            settled &= old_revision || memory.is_settled(pod);
        }
        if complete && settled && present.is_empty() {
            return Ok(Look::End(End::Complete(Box::new(state.clone()))));
        }
        if let Some(message) = not_created(cluster, state, &pods).await? {
            if message.contains("because it is being terminated") {
                let cause = FailureCause::NamespaceGone;
                return Ok(failed(workload, state.counts, cause));
            }
            if memory.is_over("not created", NOT_CREATED_PATIENCE) {
                let cause = FailureCause::NotCreated { message };
                return Ok(failed(workload, state.counts, cause));
            }
            waiting_for = format!("no pod can be made: {message}");
        }
    }
    if let Some(cause) = gave_up {
        // A deadline is said with the trouble that used it up.
        if let Some(trouble) = present.into_iter().next() {
            let failure = pod_failure(cluster, state, trouble, false).await;
            return Ok(Look::End(End::Failed(Box::new(failure))));
        }
        return Ok(failed(workload, state.counts, cause));
    }
    memory.forget();
    Ok(Look::Waiting(Update {
        workload: workload.clone(),
        counts: state.counts,
        waiting_for,
        troubles: present,
    }))
}

fn failed(workload: &WorkloadRef, counts: Counts, cause: FailureCause) -> Look {
    let failure = Failure {
        workload: workload.clone(),
        counts,
        cause,
        last_words: Vec::new(),
    };
    Look::End(End::Failed(Box::new(failure)))
}

async fn pod_failure(
    cluster: &Cluster,
    state: &WorkloadState,
    trouble: Trouble,
    old_revision: bool,
) -> Failure {
    let crashed = matches!(
        trouble.cause,
        Cause::Crash { .. } | Cause::OutOfMemory { .. } | Cause::Probe { .. }
    );
    let last_words = match &trouble.container {
        Some(container) if crashed => {
            pods::last_words(
                cluster,
                &trouble.namespace,
                &trouble.pod,
                container,
                LAST_WORDS,
            )
            .await
        }
        _ => Vec::new(),
    };
    Failure {
        workload: state.workload.clone(),
        counts: state.counts,
        cause: FailureCause::Pod {
            trouble,
            old_revision,
        },
        last_words,
    }
}

fn timed_out(workload: &WorkloadRef, last: Option<Update>) -> TimedOut {
    let Some(update) = last else {
        return TimedOut {
            workload: workload.clone(),
            counts: Counts::default(),
            waiting_for: "the API server did not answer".to_owned(),
            troubles: Vec::new(),
        };
    };
    TimedOut {
        workload: update.workload,
        counts: update.counts,
        waiting_for: update.waiting_for,
        troubles: update.troubles,
    }
}

#[cfg(test)]
mod tests;
