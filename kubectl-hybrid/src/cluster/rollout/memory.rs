//! What earlier looks saw: how long a trouble lasts, how long a container stays up.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use crate::cluster::trouble::{Patience, Trouble};

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

/// When each trouble was seen first, and last.
#[derive(Default)]
pub(super) struct Memory(HashMap<String, (Instant, Instant)>);

impl Memory {
    pub(super) fn is_final(&mut self, trouble: &Trouble, crashes: i32, old_revision: bool) -> bool {
        let patience = match trouble.cause.patience(crashes) {
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

    /// Whether every container of a pod that counts as ready stays up, too.
    ///
    /// Without a readiness probe a container is ready from the moment it starts, so that one that
    /// crashes at once is ready as well, until the kubelet looks again.
    pub(super) fn is_settled(&mut self, pod: &Pod) -> bool {
        let probed = |name: &str| {
            pod.spec
                .iter()
                .flat_map(|spec| &spec.containers)
                .any(|container| container.name == name && container.readiness_probe.is_some())
        };
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let statuses = pod
            .status
            .iter()
            .flat_map(|status| status.container_statuses.iter().flatten());
        let mut settled = true;
        for status in statuses.filter(|status| !probed(&status.name)) {
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
        let (first, last) = self.0.entry(key.to_owned()).or_insert((now, now));
        *last = now;
        now - *first >= patience
    }

    pub(super) fn forget(&mut self) {
        let now = Instant::now();
        self.0.retain(|_, (_, last)| now - *last < FORGET_AFTER);
    }
}
