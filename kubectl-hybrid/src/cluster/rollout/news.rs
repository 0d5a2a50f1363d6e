//! Word of a workload's changes, so that waiting ends when it is over and not at the next look.

use std::time::Duration;

use futures::stream::{BoxStream, StreamExt as _};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::api::{WatchEvent, WatchParams};
use kube::{Api, Client};
use tokio::time::timeout;

use crate::cluster::Cluster;
use crate::cluster::workload::WorkloadRef;
use crate::project::contract::WorkloadKind;

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
    Change,
    /// The connection is gone.
    Broken,
    /// The server cannot tell, and says so in place of a change.
    Refused,
}

impl News {
    /// Waits for a change, but not longer than `pause`.
    pub(super) async fn within(
        &mut self,
        pause: Duration,
        cluster: &Cluster,
        workload: &WorkloadRef,
    ) {
        let change = async {
            if let Self::Unasked = self {
                *self = told(cluster.client(), workload)
                    .await
                    .map_or(Self::None, Self::Told);
            }
            if let Self::Told(items) = self {
                match items.next().await {
                    Some(Item::Change) => return,
                    Some(Item::Broken) | None => *self = Self::Unasked,
                    Some(Item::Refused) => *self = Self::None,
                }
            }
            std::future::pending::<()>().await;
        };
        // Without a change the time is simply over.
        let _ = timeout(pause, change).await;
    }
}

/// One change for each, and one for the workload as it is.
async fn told(
    client: Client,
    workload: &WorkloadRef,
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
                .watch_metadata(&params, "0")
                .await?
                .map(|event| match event {
                    Ok(WatchEvent::Error(_)) => Item::Refused,
                    Ok(_) => Item::Change,
                    Err(_) => Item::Broken,
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

    #[tokio::test(start_paused = true)]
    async fn a_change_ends_the_wait_and_an_ended_watch_is_asked_for_again() {
        let cluster = fake::cluster(|request| {
            assert!(request.query.contains("watch=true"), "{}", request.query);
            let object = json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
                "metadata": { "name": "web", "resourceVersion": "5" } });
            event("MODIFIED", &object)
        });
        let mut news = News::Unasked;
        for _ in 0..3 {
            let begun = Instant::now();
            news.within(PAUSE, &cluster, &web()).await;
            assert!(begun.elapsed() < PAUSE);
            // The answer has one change and ends.
            news.within(PAUSE, &cluster, &web()).await;
            assert!(begun.elapsed() >= PAUSE);
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
            news.within(PAUSE, &cluster, &web()).await;
            assert!(begun.elapsed() >= PAUSE * pauses);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_may_not_watch_waits_the_whole_time() {
        let cluster = fake::cluster(|_| fake::status(403, "Forbidden", "no watch"));
        let (mut news, begun) = (News::Unasked, Instant::now());
        news.within(PAUSE, &cluster, &web()).await;
        assert!(begun.elapsed() >= PAUSE);
    }
}
