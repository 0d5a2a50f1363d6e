//! What earlier looks saw: how long a trouble lasts, how long a container stays up.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use crate::cluster::trouble::{Cause, Happening, Patience, Trouble, explain, is_open, lasting};
use crate::cluster::{Cluster, pods};

/// How long a stateful set may leave a broken pod of the earlier revision in place.
const OLD_REVISION_PATIENCE: Duration = Duration::from_secs(10);
/// A trouble that was not seen for so long begins anew.
const FORGET_AFTER: Duration = Duration::from_secs(15);
/// The same for one that crashed before.
pub(super) const SETTLE_AFTER_CRASH: Duration = Duration::from_secs(12);
/// How long a container without a readiness probe must stay up. The kubelet looks every second.
const SETTLE: Duration = Duration::from_secs(2);
/// A container that has been up for so long is past all that, even if the clocks differ a little.
const OLD: SignedDuration = SignedDuration::from_mins(2);

/// How long a pod may be in the making before its events are asked why.
const ASK_AFTER: Duration = Duration::from_millis(1500);
/// How long the events of a pod count as told.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// When each trouble was seen first, and last; and what need not be asked at each look.
#[derive(Default)]
pub(super) struct Memory {
    seen: HashMap<String, (Instant, Instant)>,
    told: HashMap<String, (Instant, Vec<Happening>)>,
    replica_set: Option<(String, String)>,
}

impl Memory {
    pub(super) fn is_final(&mut self, trouble: &Trouble, crashes: i32, old_revision: bool) -> bool {
        let patience = match trouble.patience(crashes) {
            // The controller may be about to replace it.
            Patience::None if old_revision => OLD_REVISION_PATIENCE,
            Patience::None => return true,
            Patience::UntilTimeout => return false,
            Patience::For(patience) => patience,
        };
        let kind = std::mem::discriminant(&trouble.cause);
        let key = format!("{} {:?} {kind:?}", trouble.pod_uid, trouble.container);
        self.is_over(&key, patience)
    }

    /// The trouble with the cause that the pod's events tell. They are not asked at each look.
    pub(super) async fn explained(&mut self, cluster: &Cluster, trouble: Trouble) -> Trouble {
        if !is_open(&trouble) {
            return trouble;
        }
        let uid = trouble.pod_uid.clone();
        let slow = matches!(trouble.cause, Cause::Starting | Cause::NotReady { .. });
        if slow && !self.is_over(&format!("{uid} {:?}", trouble.cause), ASK_AFTER) {
            return trouble;
        }
        let fresh = self
            .told
            .get(&uid)
            .is_some_and(|(asked, _)| asked.elapsed() < ASK_AGAIN);
        if !fresh && let Ok(told) = pods::happenings(cluster, &trouble.namespace, &uid).await {
            self.told.insert(uid.clone(), (Instant::now(), told));
        }
        match self.told.get(&uid) {
            Some((_, told)) => explain(trouble, told),
            None => trouble,
        }
    }

    /// The replica set that was found for this revision.
    pub(super) fn replica_set(&self, revision: &str) -> Option<String> {
        self.replica_set
            .as_ref()
            .filter(|(of, _)| of == revision)
            .map(|(_, uid)| uid.clone())
    }

    pub(super) fn keep_replica_set(&mut self, revision: &str, uid: &str) {
        self.replica_set = Some((revision.to_owned(), uid.to_owned()));
    }

    /// Whether every container of a pod that counts as ready stays up, too.
    ///
    /// Without a readiness probe a container is ready from the moment it starts, so that one that
    /// crashes at once is ready as well, until the kubelet looks again.
    pub(super) fn is_settled(&mut self, pod: &Pod) -> bool {
        let probed = |name: &str| {
            pod.spec
                .iter()
                .flat_map(|spec| {
                    spec.init_containers
                        .iter()
                        .flatten()
                        .chain(&spec.containers)
                })
                .any(|container| container.name == name && container.readiness_probe.is_some())
        };
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let mut settled = true;
        for status in lasting(pod).filter(|status| !probed(&status.name)) {
            let Some(running) = status
                .state
                .as_ref()
                .and_then(|state| state.running.as_ref())
            else {
                settled = false;
                continue;
            };
            let started = running.started_at.as_ref().map(|time| time.0);
            let old = started.is_some_and(|started| Timestamp::now().duration_since(started) > OLD);
            let patience = if status.restart_count > 0 {
                SETTLE_AFTER_CRASH
            } else {
                SETTLE
            };
            let key = format!("{uid} {} {} {started:?}", status.name, status.restart_count);
            settled &= old || self.is_over(&key, patience);
        }
        settled
    }

    pub(super) fn is_over(&mut self, key: &str, patience: Duration) -> bool {
        let now = Instant::now();
        let (first, last) = self.seen.entry(key.to_owned()).or_insert((now, now));
        *last = now;
        now - *first >= patience
    }

    pub(super) fn forget(&mut self) {
        let now = Instant::now();
        self.seen.retain(|_, (_, last)| now - *last < FORGET_AFTER);
    }
}
