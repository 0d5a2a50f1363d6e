//! Reading the three kinds of workload.

use std::fmt;

use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::Api;
use kube::api::{ListParams, PatchParams};
use serde_json::Value;

use super::state::WorkloadState;
use crate::cluster::{Cluster, ClusterError, FIELD_MANAGER};
use crate::project::contract::WorkloadKind;

/// Which workload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadRef {
    /// The kind.
    pub kind: WorkloadKind,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl WorkloadRef {
    /// The kind as kubectl writes it: `deployment`, `statefulset`, `daemonset`.
    pub fn kind_name(&self) -> &'static str {
        kind_name(self.kind)
    }
}

fn kind_name(kind: WorkloadKind) -> &'static str {
    match kind {
        WorkloadKind::Deployment => "deployment",
        WorkloadKind::StatefulSet => "statefulset",
        WorkloadKind::DaemonSet => "daemonset",
    }
}

/// `deployment/web`, as kubectl takes it.
impl fmt::Display for WorkloadRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind_name(), self.name)
    }
}

/// Reads a workload. `None` when there is none.
pub async fn read(
    cluster: &Cluster,
    workload: &WorkloadRef,
) -> Result<Option<WorkloadState>, ClusterError> {
    let (client, namespace, name) = (
        cluster.client(),
        workload.namespace.as_str(),
        workload.name.as_str(),
    );
    let found = match workload.kind {
        WorkloadKind::Deployment => Api::<Deployment>::namespaced(client, namespace)
            .get_opt(name)
            .await
            .map(|found| found.map(WorkloadState::from)),
        WorkloadKind::StatefulSet => Api::<StatefulSet>::namespaced(client, namespace)
            .get_opt(name)
            .await
            .map(|found| found.map(WorkloadState::from)),
        WorkloadKind::DaemonSet => Api::<DaemonSet>::namespaced(client, namespace)
            .get_opt(name)
            .await
            .map(|found| found.map(WorkloadState::from)),
    };
    found.map_err(|error| {
        cluster.explain(
            format!("read {workload} in namespace `{namespace}`"),
            &error,
        )
    })
}

/// Reads workloads with one request for each kind and namespace. `None` for each that there is not.
///
/// # Errors
/// When the API server refuses one of them.
pub async fn read_all(
    cluster: &Cluster,
    wanted: impl IntoIterator<Item = &WorkloadRef>,
) -> Result<Vec<Option<WorkloadState>>, ClusterError> {
    let wanted: Vec<&WorkloadRef> = wanted.into_iter().collect();
    let mut places: Vec<(WorkloadKind, &str)> = wanted
        .iter()
        .map(|workload| (workload.kind, workload.namespace.as_str()))
        .collect();
    places.sort_unstable();
    places.dedup();
    let lists = try_join_all(places.into_iter().map(|(kind, namespace)| {
        let here: Vec<&WorkloadRef> = wanted
            .iter()
            .copied()
            .filter(|workload| workload.kind == kind && workload.namespace == namespace)
            .collect();
        in_one_place(cluster, kind, namespace, here)
    }))
    .await?;
    let found: Vec<WorkloadState> = lists.into_iter().flatten().collect();
    Ok(wanted
        .into_iter()
        .map(|workload| {
            let is_it = |state: &&WorkloadState| state.workload == *workload;
            found.iter().find(is_it).cloned()
        })
        .collect())
}

async fn in_one_place(
    cluster: &Cluster,
    kind: WorkloadKind,
    namespace: &str,
    wanted: Vec<&WorkloadRef>,
) -> Result<Vec<WorkloadState>, ClusterError> {
    if wanted.len() > 1 {
        match list(cluster, kind, namespace, None).await {
            // Who may not list may still read.
            Err(ClusterError::Forbidden { .. }) => {}
            listed => return listed,
        }
    }
    let read = try_join_all(wanted.into_iter().map(|workload| read(cluster, workload))).await?;
    Ok(read.into_iter().flatten().collect())
}

/// The workloads of a kind in a namespace, or those that a label query selects.
///
/// # Errors
/// When the API server refuses.
pub async fn list(
    cluster: &Cluster,
    kind: WorkloadKind,
    namespace: &str,
    selector: Option<&str>,
) -> Result<Vec<WorkloadState>, ClusterError> {
    let client = cluster.client();
    let params = match selector {
        Some(selector) => ListParams::default().labels(selector),
        None => ListParams::default(),
    };
    let found = match kind {
        WorkloadKind::Deployment => Api::<Deployment>::namespaced(client, namespace)
            .list(&params)
            .await
            .map(|list| list.items.into_iter().map(WorkloadState::from).collect()),
        WorkloadKind::StatefulSet => Api::<StatefulSet>::namespaced(client, namespace)
            .list(&params)
            .await
            .map(|list| list.items.into_iter().map(WorkloadState::from).collect()),
        WorkloadKind::DaemonSet => Api::<DaemonSet>::namespaced(client, namespace)
            .list(&params)
            .await
            .map(|list| list.items.into_iter().map(WorkloadState::from).collect()),
    };
    found.map_err(|error| {
        let kind = kind_name(kind);
        cluster.explain(
            format!("list the {kind}s of namespace `{namespace}`"),
            &error,
        )
    })
}

/// Patches a workload with a strategic merge patch under our field manager.
pub(super) async fn patch(
    cluster: &Cluster,
    workload: &WorkloadRef,
    patch: &Value,
) -> kube::Result<WorkloadState> {
    let (client, namespace, name) = (
        cluster.client(),
        workload.namespace.as_str(),
        workload.name.as_str(),
    );
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patch = kube::api::Patch::Strategic(patch);
    match workload.kind {
        WorkloadKind::Deployment => Api::<Deployment>::namespaced(client, namespace)
            .patch(name, &params, &patch)
            .await
            .map(WorkloadState::from),
        WorkloadKind::StatefulSet => Api::<StatefulSet>::namespaced(client, namespace)
            .patch(name, &params, &patch)
            .await
            .map(WorkloadState::from),
        WorkloadKind::DaemonSet => Api::<DaemonSet>::namespaced(client, namespace)
            .patch(name, &params, &patch)
            .await
            .map(WorkloadState::from),
    }
}
