//! Reading the three kinds of workload.

use std::fmt;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::Api;
use kube::api::PatchParams;
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
        match self.kind {
            WorkloadKind::Deployment => "deployment",
            WorkloadKind::StatefulSet => "statefulset",
            WorkloadKind::DaemonSet => "daemonset",
        }
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
