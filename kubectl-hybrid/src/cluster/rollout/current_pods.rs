//! The pods that a roll-out is about, and what the cluster says about pods that it cannot make.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;

use super::memory::Memory;
use crate::cluster::workload::{Revision, WorkloadState};
use crate::cluster::{Cluster, ClusterError, pods};
use crate::project::contract::WorkloadKind;

/// The pods of the current template. A stateful set waits for pods of the earlier one as well:
/// those are marked.
pub(super) async fn relevant<'a>(
    cluster: &Cluster,
    state: &WorkloadState,
    pods: &'a [Pod],
    memory: &mut Memory,
) -> Result<Vec<(&'a Pod, bool)>, ClusterError> {
    let has_label = |pod: &Pod, key: &str, value: &str| {
        pod.metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(key))
            .is_some_and(|found| found == value)
    };
    let owned_by = |pod: &Pod, uid: &str| {
        pod.metadata
            .owner_references
            .iter()
            .flatten()
            .any(|reference| reference.uid == uid)
    };
    Ok(match &state.revision {
        Revision::ReplicaSet(revision) => {
            let uid = match memory.replica_set(revision) {
                Some(uid) => uid,
                None => match replica_set(cluster, state, revision).await? {
                    Some(uid) => {
                        memory.keep_replica_set(revision, &uid);
                        uid
                    }
                    None => return Ok(Vec::new()),
                },
            };
            pods.iter()
                .filter(|pod| owned_by(pod, &uid))
                .map(|pod| (pod, false))
                .collect()
        }
        Revision::Hash(hash) => pods
            .iter()
            .filter(|pod| owned_by(pod, &state.uid))
            .map(|pod| (pod, !has_label(pod, "controller-revision-hash", hash)))
            .collect(),
        Revision::TemplateGeneration(generation) => pods
            .iter()
            .filter(|pod| {
                owned_by(pod, &state.uid) && has_label(pod, "pod-template-generation", generation)
            })
            .map(|pod| (pod, false))
            .collect(),
        Revision::Unknown => Vec::new(),
    })
}

/// The UID of the replica set that holds the Deployment's current template.
async fn replica_set(
    cluster: &Cluster,
    state: &WorkloadState,
    revision: &str,
) -> Result<Option<String>, ClusterError> {
    let namespace = &state.workload.namespace;
    let api: Api<ReplicaSet> = Api::namespaced(cluster.client(), namespace);
    let sets = api
        .list(&ListParams::default().labels(&state.selector))
        .await
        .map_err(|error| {
            cluster.explain(
                format!("list the replica sets of namespace `{namespace}`"),
                &error,
            )
        })?;
    Ok(sets
        .items
        .into_iter()
        .find(|set| {
            let metadata = &set.metadata;
            let owned = metadata
                .owner_references
                .iter()
                .flatten()
                .any(|owner| owner.uid == state.uid);
            let current = metadata
                .annotations
                .as_ref()
                .and_then(|annotations| annotations.get("deployment.kubernetes.io/revision"))
                .is_some_and(|found| found == revision);
            owned && current
        })
        .and_then(|set| set.metadata.uid))
}

/// What the cluster says about pods that it cannot make.
pub(super) async fn not_created(
    cluster: &Cluster,
    state: &WorkloadState,
    pods: &[Pod],
) -> Result<Option<String>, ClusterError> {
    if state.workload.kind == WorkloadKind::Deployment {
        return Ok(state
            .condition("ReplicaFailure")
            .filter(|condition| condition.status == "True")
            .map(|condition| condition.message.clone()));
    }
    // The other two kinds say so in events only.
    let alive = pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .count();
    if i32::try_from(alive).unwrap_or(i32::MAX) >= state.counts.desired {
        return Ok(None);
    }
    let events = pods::happenings(cluster, &state.workload.namespace, &state.uid).await?;
    Ok(events
        .into_iter()
        .rev()
        .find(|event| event.reason == "FailedCreate")
        .map(|event| event.message))
}
