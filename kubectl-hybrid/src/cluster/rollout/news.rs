//! Word of a workload's changes, so that waiting ends when it is over and not at the next look.

use std::time::Duration;

use futures::stream::{BoxStream, StreamExt as _};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::api::{WatchEvent, WatchParams};
use kube::{Api, Client};
use tokio::time::timeout;

use crate::cluster::Cluster;
use crate::cluster::workload::{WorkloadRef, WorkloadState};
use crate::project::contract::WorkloadKind;

/// The answer when the changes since a version are not kept any more.
const GONE: u16 = 410;

/// Changes of one workload. It is a help only: whoever may not watch still looks from time to time.
pub(super) enum News {
    /// Nobody has asked yet, or what was told has ended.
    Unasked,
    /// What is told.
    Told(BoxStream<'static, Item>),
    /// The server does not tell.
    None,
}

/// What a watch brings.
pub(super) enum Item {
    Change(Box<WorkloadState>),
    /// The workload is gone.
    Deleted,
    /// The connection is gone, or the changes since the known version are.
    Broken,
    /// The server cannot tell, and says so in place of a change.
    Refused,
}

/// What came within some time.
#[derive(Debug)]
pub(super) enum Word {
    /// The workload as it is now: nobody has to read it.
    Changed(Box<WorkloadState>),
    /// Something that has to be looked at.
    Look,
    /// Nothing.
    Silence,
}

impl News {
    /// Whether changes are told, so that silence means that there is none.
    pub(super) fn are_told(&self) -> bool {
        matches!(self, Self::Told(_))
    }

    /// The workload is read anew: what is still on its way is older.
    pub(super) fn begin_anew(&mut self) {
        if self.are_told() {
            *self = Self::Unasked;
        }
    }

    /// Waits for a change since the known version, but not longer than `pause`. Without a known
    /// version there is nothing to begin from.
    pub(super) async fn within(
        &mut self,
        pause: Duration,
        cluster: &Cluster,
        workload: &WorkloadRef,
        known: Option<&str>,
    ) -> Word {
        let change = async {
            if let (Self::Unasked, Some(known)) = (&self, known) {
                match told(cluster.client(), workload, known).await {
                    Ok(items) => *self = Self::Told(items),
                    Err(kube::Error::Api(status)) if status.code != GONE => *self = Self::None,
                    // It is asked again.
                    Err(_) => {}
                }
            }
            if let Self::Told(items) = self {
                match items.next().await {
                    Some(Item::Change(state)) => return Word::Changed(state),
                    Some(Item::Deleted) => return Word::Look,
                    Some(Item::Broken) | None => *self = Self::Unasked,
                    Some(Item::Refused) => *self = Self::None,
                }
            }
            std::future::pending().await
        };
        // Without a change the time is simply over.
        timeout(pause, change).await.unwrap_or(Word::Silence)
    }
}

/// Each change after a version.
async fn told(
    client: Client,
    workload: &WorkloadRef,
    known: &str,
) -> Result<BoxStream<'static, Item>, kube::Error> {
    let WorkloadRef {
        kind,
        namespace,
        name,
    } = workload;
    // With an etcd before 3.4.31 or 3.5.13 the API server refuses them for a watch from the cache.
    let params = WatchParams::default()
        .fields(&format!("metadata.name={name}"))
        .disable_bookmarks();
    /// A watch is the same for each kind, and its type is another.
    macro_rules! changes_of {
        ($kind:ty) => {
            Api::<$kind>::namespaced(client, namespace)
                .watch(&params, known)
                .await?
                .map(|event| match event {
                    Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                        Item::Change(Box::new(object.into()))
                    }
                    Ok(WatchEvent::Deleted(_)) => Item::Deleted,
                    Ok(WatchEvent::Error(status)) if status.code != GONE => Item::Refused,
                    Ok(WatchEvent::Error(_) | WatchEvent::Bookmark(_)) | Err(_) => Item::Broken,
                })
                .boxed()
        };
    }
    Ok(match kind {
        WorkloadKind::Deployment => changes_of!(Deployment),
        WorkloadKind::StatefulSet => changes_of!(StatefulSet),
        WorkloadKind::DaemonSet => changes_of!(DaemonSet),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use serde_json::json;
    use tokio::time::Instant;

    use super::*;
    use crate::cluster::fake;

    const PAUSE: Duration = Duration::from_secs(1);

    fn web() -> WorkloadRef {
        WorkloadRef {
            kind: WorkloadKind::Deployment,
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
        }
    }

    fn event(what: &str, object: &serde_json::Value) -> fake::Answer {
        fake::text(&format!("{}\n", json!({ "type": what, "object": object })))
    }

    fn changed(version: &str) -> fake::Answer {
        let object = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web", "namespace": "shop", "resourceVersion": version },
            "spec": { "selector": {}, "template": {} } });
        event("MODIFIED", &object)
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_ends_the_wait_and_an_ended_watch_is_asked_for_again() {
        let cluster = fake::cluster(|request| {
            assert!(request.query.contains("watch=true"), "{}", request.query);
            assert!(
                request.query.contains("resourceVersion=4"),
                "{}",
                request.query
            );
            changed("5")
        });
        let mut news = News::Unasked;
        for _ in 0..3 {
            let begun = Instant::now();
            match news.within(PAUSE, &cluster, &web(), Some("4")).await {
                Word::Changed(state) => assert_eq!(state.resource_version, "5"),
                other => unreachable!("{other:?}"),
            }
            assert!(begun.elapsed() < PAUSE && news.are_told());
            // The answer has one change and ends.
            let word = news.within(PAUSE, &cluster, &web(), Some("5")).await;
            assert!(matches!(word, Word::Silence), "{word:?}");
            assert!(begun.elapsed() >= PAUSE && !news.are_told());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_workload_that_is_deleted_is_looked_for_at_once() {
        let cluster = fake::cluster(|_| {
            let object = json!({ "metadata": { "name": "web" },
                "spec": { "selector": {}, "template": {} } });
            event("DELETED", &object)
        });
        let (mut news, begun) = (News::Unasked, Instant::now());
        let word = news.within(PAUSE, &cluster, &web(), Some("4")).await;
        assert!(matches!(word, Word::Look) && begun.elapsed() < PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn changes_that_are_not_kept_any_more_are_asked_for_from_a_later_version() {
        let expired = || {
            json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "too old resource version: 4 (9)", "reason": "Expired", "code": 410 })
        };
        for in_the_stream in [false, true] {
            let cluster = fake::cluster(move |request| {
                if request.query.contains("resourceVersion=9") {
                    changed("10")
                } else if in_the_stream {
                    event("ERROR", &expired())
                } else {
                    fake::status(410, "Expired", "too old resource version: 4 (9)")
                }
            });
            let mut news = News::Unasked;
            let word = news.within(PAUSE, &cluster, &web(), Some("4")).await;
            assert!(matches!(word, Word::Silence), "{word:?}");
            assert!(!news.are_told());
            let word = news.within(PAUSE, &cluster, &web(), Some("9")).await;
            assert!(matches!(word, Word::Changed(_)), "{word:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_in_place_of_a_change_is_none_and_not_asked_for_again() {
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let cluster = fake::cluster(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            let why = "a watch stream was requested by the client but the required storage feature RequestWatchProgress is disabled";
            let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {},
                "status": "Failure", "message": why, "reason": "InternalError", "code": 500 });
            event("ERROR", &status)
        });
        let (mut news, begun) = (News::Unasked, Instant::now());
        for pauses in 1..=3 {
            news.within(PAUSE, &cluster, &web(), Some("4")).await;
            assert!(begun.elapsed() >= PAUSE * pauses);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_may_not_watch_waits_the_whole_time() {
        let cluster = fake::cluster(|_| fake::status(403, "Forbidden", "no watch"));
        let (mut news, begun) = (News::Unasked, Instant::now());
        news.within(PAUSE, &cluster, &web(), Some("4")).await;
        assert!(begun.elapsed() >= PAUSE);
    }
}
