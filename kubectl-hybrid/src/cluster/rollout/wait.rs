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
mod tests {
    use std::sync::{Arc, Mutex};

    use http::Method;
    use serde_json::{Value, json};

    use super::super::memory::SETTLE_AFTER_CRASH;
    use super::*;
    use crate::cluster::fake::{self, Answer};
    use crate::project::contract::WorkloadKind;

    fn workload() -> WorkloadRef {
        WorkloadRef {
            kind: WorkloadKind::Deployment,
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
        }
    }

    fn deployment(ready: i32) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web", "namespace": "shop", "uid": "d", "generation": 2,
                "annotations": { "deployment.kubernetes.io/revision": "2" } },
            "spec": { "replicas": 1, "selector": { "matchLabels": { "app": "web" } },
                "template": { "spec": { "containers": [{ "name": "web", "image": "r/web@sha256:00" }] } } },
            "status": { "observedGeneration": 2, "replicas": 1, "updatedReplicas": 1,
                "readyReplicas": ready, "availableReplicas": ready },
        })
    }

    fn list(kind: &str, items: Value) -> Value {
        json!({ "apiVersion": "v1", "kind": format!("{kind}List"), "metadata": {}, "items": items })
    }

    fn replica_sets() -> Value {
        list(
            "ReplicaSet",
            json!([{ "metadata": { "name": "web-b", "uid": "rs",
            "annotations": { "deployment.kubernetes.io/revision": "2" },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d" }] } }]),
        )
    }

    fn pod(reason: &str, message: &str, last: &Value, restarts: i32) -> Value {
        json!({
            "metadata": { "name": "web-b-1", "namespace": "shop", "uid": "p", "ownerReferences": [
                { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-b", "uid": "rs" }] },
            "spec": { "containers": [{ "name": "web", "image": "r/web@sha256:00" }] },
            "status": { "phase": "Pending", "containerStatuses": [{ "name": "web", "image": "",
                "imageID": "", "ready": false, "restartCount": restarts,
                "state": { "waiting": { "reason": reason, "message": message } }, "lastState": last }] },
        })
    }

    fn up(restarts: i32) -> Value {
        let mut up = pod("", "", &json!({}), restarts);
        up["status"]["containerStatuses"][0]["state"] = json!({ "running": {} });
        up["status"]["containerStatuses"][0]["ready"] = json!(true);
        up
    }

    /// Answers with one Deployment and one pod, each the value of the moment.
    fn server(deployment: impl Fn() -> Answer + Send + 'static, pod: Value) -> Cluster {
        fake::cluster(
            move |request| match (request.method.clone(), request.path.as_str()) {
                (Method::GET, "/apis/apps/v1/namespaces/shop/deployments/web") => deployment(),
                (Method::GET, "/api/v1/namespaces/shop") => {
                    fake::ok(json!({ "metadata": { "name": "shop" } }))
                }
                (Method::GET, "/apis/apps/v1/namespaces/shop/replicasets") => {
                    fake::ok(replica_sets())
                }
                (Method::GET, "/api/v1/namespaces/shop/pods") => {
                    fake::ok(list("Pod", json!([pod])))
                }
                (Method::GET, "/api/v1/namespaces/shop/events") => {
                    fake::ok(list("Event", json!([])))
                }
                (Method::GET, "/api/v1/namespaces/shop/pods/web-b-1/log") => {
                    fake::text("connecting\nno database\n")
                }
                _ => fake::not_found(request),
            },
        )
    }

    async fn wait_for(cluster: &Cluster, options: &WaitOptions) -> (End, Duration, Vec<String>) {
        let mut said = Vec::new();
        let started = Instant::now();
        let end = wait(cluster, &workload(), options, |update| {
            said.push(update.waiting_for.clone());
        })
        .await
        .unwrap();
        (end, started.elapsed(), said)
    }

    fn cause(end: End) -> (FailureCause, Vec<String>) {
        match end {
            End::Failed(failure) => (failure.cause, failure.last_words),
            other => unreachable!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn refused_credentials_end_the_waiting_at_the_first_look() {
        let pod = pod(
            "ErrImagePull",
            "unexpected status: 403 Forbidden",
            &json!({}),
            0,
        );
        let cluster = server(|| fake::ok(deployment(0)), pod);
        let (end, took, _) = wait_for(&cluster, &WaitOptions::default()).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert!(matches!(
            cause(end).0,
            FailureCause::Pod {
                old_revision: false,
                ..
            }
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_fault_gets_time_for_a_second_try() {
        let pod = pod(
            "ErrImagePull",
            "dial tcp: lookup r: no such host",
            &json!({}),
            0,
        );
        let cluster = server(|| fake::ok(deployment(0)), pod);
        let (end, took, said) = wait_for(&cluster, &WaitOptions::default()).await;
        assert!(
            took >= Duration::from_secs(20) && took < Duration::from_secs(23),
            "{took:?}"
        );
        assert_eq!(said, ["0 of 1 pods are ready"]);
        assert!(matches!(end, End::Failed(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_crash_loop_ends_with_the_last_words() {
        let last = json!({ "terminated": { "exitCode": 3, "reason": "Error" } });
        let cluster = server(
            || fake::ok(deployment(0)),
            pod("CrashLoopBackOff", "", &last, 2),
        );
        let (end, _, _) = wait_for(&cluster, &WaitOptions::default()).await;
        let (cause, last_words) = cause(end);
        assert_eq!(
            cause.to_string(),
            "pod `web-b-1`, container `web`: the container ends with exit code 3, 3 times so far"
        );
        assert_eq!(last_words, ["connecting", "no database"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_crash_is_waited_out_until_the_time_is_up() {
        let last = json!({ "terminated": { "exitCode": 3, "reason": "Error" } });
        let cluster = server(
            || fake::ok(deployment(0)),
            pod("CrashLoopBackOff", "", &last, 0),
        );
        let options = WaitOptions {
            timeout: Duration::from_secs(9),
            ..WaitOptions::default()
        };
        let (end, took, _) = wait_for(&cluster, &options).await;
        assert!(
            took >= Duration::from_secs(9) && took < Duration::from_secs(10),
            "{took:?}"
        );
        match end {
            End::TimedOut(seen) => assert_eq!(
                seen.to_string(),
                "deployment/web did not roll out in time: 0 of 1 pods are ready; pod `web-b-1`, \
                 container `web`: the container ends with exit code 3"
            ),
            other => unreachable!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_container_that_is_up_for_a_moment_only_does_not_count() {
        let mut up = up(2);
        let settles = server(|| fake::ok(deployment(1)), up.clone());
        let (end, took, _) = wait_for(&settles, &WaitOptions::default()).await;
        assert!(matches!(end, End::Complete(_)), "{end:?}");
        assert!(took >= SETTLE_AFTER_CRASH, "{took:?}");
        // With a readiness probe the cluster has looked already.
        up["spec"]["containers"][0]["readinessProbe"] = json!({ "httpGet": { "port": 80 } });
        let probed = server(|| fake::ok(deployment(1)), up);
        let (end, took, _) = wait_for(&probed, &WaitOptions::default()).await;
        assert!(
            matches!(end, End::Complete(_)) && took < Duration::from_secs(1),
            "{took:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_change_left_and_a_watch_tells_is_not_read() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let mut ready = up(0);
        ready["spec"]["containers"][0]["readinessProbe"] = json!({ "httpGet": { "port": 80 } });
        let version = |number: &str, ready: i32| {
            let mut object = deployment(ready);
            object["metadata"]["resourceVersion"] = json!(number);
            object
        };
        let told = json!({ "type": "MODIFIED", "object": version("8", 1) });
        let cluster = fake::cluster(move |request| {
            let (_, what) = request.path.rsplit_once('/').unwrap();
            seen.lock().unwrap().push(what.to_owned());
            match what {
                "deployments" => {
                    assert!(
                        request.query.contains("resourceVersion=7"),
                        "{}",
                        request.query
                    );
                    fake::text(&format!("{told}\n"))
                }
                "replicasets" => fake::ok(replica_sets()),
                "pods" => fake::ok(list("Pod", json!([ready]))),
                _ => fake::not_found(request),
            }
        });
        let left: k8s_openapi::api::apps::v1::Deployment =
            serde_json::from_value(version("7", 0)).unwrap();
        let options = WaitOptions {
            changed: Some(left.into()),
            ..WaitOptions::default()
        };
        let (end, _, _) = wait_for(&cluster, &options).await;
        assert!(matches!(end, End::Complete(_)), "{end:?}");
        assert_eq!(
            *asked.lock().unwrap(),
            ["deployments", "pods", "replicasets"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn another_deploy_in_between_is_noticed() {
        let cluster = server(
            || fake::ok(deployment(0)),
            pod("ContainerCreating", "", &json!({}), 0),
        );
        let expected = vec![ContainerPin {
            container: "web".into(),
            image: "r/web@sha256:11".into(),
        }];
        let options = WaitOptions {
            expected,
            ..WaitOptions::default()
        };
        let (end, _, _) = wait_for(&cluster, &options).await;
        assert!(matches!(cause(end).0, FailureCause::Superseded { .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_restarts_is_waited_for_and_one_that_stays_away_is_not() {
        let looks = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&looks);
        let cluster = server(
            move || {
                let mut looks = counted.lock().unwrap();
                *looks += 1;
                match *looks {
                    1 => fake::ok(deployment(0)),
                    2..=5 => fake::status(500, "InternalError", "etcd leader changed"),
                    _ => fake::ok(deployment(1)),
                }
            },
            up(0),
        );
        let (end, _, _) = wait_for(&cluster, &WaitOptions::default()).await;
        assert!(matches!(end, End::Complete(_)), "{end:?}");

        let cluster = server(|| fake::status(500, "InternalError", "no"), json!({}));
        let started = Instant::now();
        let error = wait(&cluster, &workload(), &WaitOptions::default(), |_| {})
            .await
            .unwrap_err();
        assert!(
            matches!(error, ClusterError::Api { code: 500, .. }),
            "{error}"
        );
        assert!(started.elapsed() >= PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_workload_that_is_deleted_meanwhile_is_gone_and_so_is_its_namespace() {
        let namespace = |deleted: Option<&str>| json!({ "metadata": { "name": "shop", "deletionTimestamp": deleted } });
        let table = [
            (None, FailureCause::NamespaceGone),
            (
                Some(namespace(Some("2026-11-23T10:00:00Z"))),
                FailureCause::NamespaceGone,
            ),
            (Some(namespace(None)), FailureCause::Gone),
        ];
        for (namespace, expected) in table {
            let cluster = fake::cluster(move |request| match (request.path.as_str(), &namespace) {
                ("/api/v1/namespaces/shop", Some(namespace)) => fake::ok(namespace.clone()),
                _ => fake::not_found(request),
            });
            let (end, _, _) = wait_for(&cluster, &WaitOptions::default()).await;
            assert_eq!(cause(end).0, expected);
        }
    }
}
