//! Word of a workload's changes, so that waiting ends when it is over and not at the next look.

use std::time::Duration;

use futures::stream::{BoxStream, StreamExt as _};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::api::WatchParams;
use kube::{Api, Client};
use tokio::time::timeout;

use crate::cluster::Cluster;
use crate::cluster::workload::WorkloadRef;
use crate::project::contract::WorkloadKind;

/// Changes of one workload. It is a help only: whoever may not watch still looks from time to time.
pub(super) enum News {
    /// Nobody has asked yet.
    Unasked,
    /// One item for each change. An error ends it.
    Stream(BoxStream<'static, Result<(), kube::Error>>),
    /// The server does not tell, or no longer.
    None,
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
                *self = stream(cluster.client(), workload)
                    .await
                    .map_or(Self::None, Self::Stream);
            }
            if let Self::Stream(changes) = self {
                match changes.next().await {
                    Some(Ok(())) => return,
                    Some(Err(_)) | None => *self = Self::None,
                }
            }
            std::future::pending::<()>().await;
        };
        // Without a change the time is simply over.
        let _ = timeout(pause, change).await;
    }
}

/// One item for each change, and one for the workload as it is.
async fn stream(
    client: Client,
    workload: &WorkloadRef,
) -> Result<BoxStream<'static, Result<(), kube::Error>>, kube::Error> {
    let WorkloadRef {
        kind,
        namespace,
        name,
    } = workload;
    let params = WatchParams::default().fields(&format!("metadata.name={name}"));
    /// A watch is the same for each kind, and its type is another.
    macro_rules! changes_of {
        ($kind:ty) => {
            Api::<$kind>::namespaced(client, namespace)
                .watch_metadata(&params, "0")
                .await?
                .map(|event| event.map(drop))
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

    #[tokio::test(start_paused = true)]
    async fn a_change_ends_the_wait_and_an_ended_watch_does_not() {
        let cluster = fake::cluster(|request| {
            assert!(request.query.contains("watch=true"), "{}", request.query);
            let event = json!({ "type": "MODIFIED", "object": {
                "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
                "metadata": { "name": "web", "resourceVersion": "5" } } });
            fake::text(&format!("{event}\n"))
        });
        let (mut news, begun) = (News::Unasked, Instant::now());
        news.within(PAUSE, &cluster, &web()).await;
        assert!(begun.elapsed() < PAUSE);
        news.within(PAUSE, &cluster, &web()).await;
        assert!(begun.elapsed() >= PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_may_not_watch_waits_the_whole_time() {
        let cluster = fake::cluster(|_| fake::status(403, "Forbidden", "no watch"));
        let (mut news, begun) = (News::Unasked, Instant::now());
        news.within(PAUSE, &cluster, &web()).await;
        assert!(begun.elapsed() >= PAUSE);
    }
}
