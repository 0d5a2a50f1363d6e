//! The templates that a workload had: what a rollback can go back to.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, ReplicaSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::ListParams;
use serde::Serialize;

use super::state::{ContainerImage, WorkloadState, containers};
use crate::cluster::{Cluster, ClusterError};
use crate::project::contract::WorkloadKind;

const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

/// A template that a workload had, or has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// Its number, as `kubectl rollout history` shows it.
    pub number: i64,
    /// Whether it is the template of now.
    pub current: bool,
    /// When the template was made first.
    pub made_at: Option<Timestamp>,
    /// Why, in the words of who made it.
    pub change_cause: Option<String>,
    /// Its containers, init containers first.
    pub containers: Vec<ContainerImage>,
}

impl Revision {
    /// The image of a container.
    pub fn image(&self, container: &str) -> Option<&str> {
        self.containers
            .iter()
            .find(|found| found.name == container)
            .map(|found| found.image.as_str())
    }
}

/// The templates that the cluster remembers, newest first. Kubernetes keeps ten unless the workload
/// says otherwise.
///
/// # Errors
/// When the API server refuses.
pub async fn history(
    cluster: &Cluster,
    state: &WorkloadState,
) -> Result<Vec<Revision>, ClusterError> {
    let namespace = &state.workload.namespace;
    let explain = |error: &kube::Error| {
        cluster.explain(
            format!(
                "list the revisions of {} in namespace `{namespace}`",
                state.workload
            ),
            error,
        )
    };
    let params = ListParams::default().labels(&state.selector);
    let mut found: Vec<Revision> = if state.workload.kind == WorkloadKind::Deployment {
        let api: Api<ReplicaSet> = Api::namespaced(cluster.client(), namespace);
        let sets = api.list(&params).await.map_err(|error| explain(&error))?;
        sets.items
            .into_iter()
            .filter(|set| is_owned(&set.metadata, &state.uid))
            .filter_map(of_replica_set)
            .collect()
    } else {
        let api: Api<ControllerRevision> = Api::namespaced(cluster.client(), namespace);
        let revisions = api.list(&params).await.map_err(|error| explain(&error))?;
        revisions
            .items
            .into_iter()
            .filter(|revision| is_owned(&revision.metadata, &state.uid))
            .map(of_controller_revision)
            .collect()
    };
    found.sort_by_key(|revision| std::cmp::Reverse(revision.number));
    // A template that is used again gets the next number, for all three kinds.
    if let Some(first) = found.first_mut() {
        first.current = true;
    }
    Ok(found)
}

fn is_owned(metadata: &ObjectMeta, uid: &str) -> bool {
    metadata
        .owner_references
        .iter()
        .flatten()
        .any(|owner| owner.uid == uid)
}

fn of_replica_set(set: ReplicaSet) -> Option<Revision> {
    let number = annotation(&set.metadata, "deployment.kubernetes.io/revision")?
        .parse()
        .ok()?;
    let template = set.spec.and_then(|spec| spec.template);
    Some(revision(number, &set.metadata, template))
}

fn of_controller_revision(object: ControllerRevision) -> Revision {
    // Its data is the patch that would bring the template back.
    let template = object
        .data
        .and_then(|data| data.0.get("spec")?.get("template").cloned())
        .and_then(|template| serde_json::from_value(template).ok());
    revision(object.revision, &object.metadata, template)
}

fn revision(number: i64, metadata: &ObjectMeta, template: Option<PodTemplateSpec>) -> Revision {
    Revision {
        number,
        current: false,
        made_at: metadata.creation_timestamp.as_ref().map(|time| time.0),
        change_cause: annotation(metadata, CHANGE_CAUSE),
        containers: containers(template.and_then(|template| template.spec)),
    }
}

fn annotation(metadata: &ObjectMeta, name: &str) -> Option<String> {
    metadata.annotations.as_ref()?.get(name).cloned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::WorkloadRef;
    use crate::cluster::fake;

    fn owned(name: &str, annotations: &Value) -> Value {
        json!({ "name": name, "creationTimestamp": "2026-11-23T10:00:00Z", "annotations": annotations,
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "x", "name": "web", "uid": "u" }] })
    }

    fn state(kind: WorkloadKind) -> WorkloadState {
        let object: k8s_openapi::api::apps::v1::Deployment = serde_json::from_value(json!({
            "metadata": { "name": "web", "namespace": "shop", "uid": "u" },
            "spec": { "selector": { "matchLabels": { "app": "web" } }, "template": {} },
        }))
        .unwrap();
        let mut state = WorkloadState::from(object);
        state.workload = WorkloadRef {
            kind,
            ..state.workload
        };
        state
    }

    #[tokio::test]
    async fn the_replica_sets_of_a_deployment_are_its_revisions() {
        let set = |number: &str, image: &str| {
            json!({ "metadata": owned("web", &json!({ "deployment.kubernetes.io/revision": number,
                    "kubernetes.io/change-cause": format!("deploy {number}") })),
                "spec": { "selector": {}, "template": { "spec": { "containers": [{ "name": "web", "image": image }] } } } })
        };
        let mut foreign = set("9", "r/other:1");
        foreign["metadata"]["ownerReferences"][0]["uid"] = json!("other");
        let items = json!([set("2", "r/web:2"), set("10", "r/web:10"), foreign]);
        let cluster = fake::cluster(move |_| {
            fake::ok(
                json!({ "kind": "ReplicaSetList", "apiVersion": "apps/v1", "metadata": {}, "items": items }),
            )
        });
        let found = history(&cluster, &state(WorkloadKind::Deployment))
            .await
            .unwrap();
        let seen: Vec<_> = found
            .iter()
            .map(|it| (it.number, it.current, it.image("web")))
            .collect();
        assert_eq!(
            seen,
            [(10, true, Some("r/web:10")), (2, false, Some("r/web:2"))]
        );
        assert_eq!(found[1].change_cause.as_deref(), Some("deploy 2"));
    }

    #[tokio::test]
    async fn the_other_kinds_keep_controller_revisions() {
        let items = json!([{ "metadata": owned("db-1", &json!({})), "revision": 1, "data": { "spec": { "template": {
            "spec": { "initContainers": [{ "name": "setup", "image": "r/s:1" }],
                      "containers": [{ "name": "db", "image": "r/db:1" }] } } } } }]);
        let cluster = fake::cluster(move |_| {
            fake::ok(
                json!({ "kind": "ControllerRevisionList", "apiVersion": "apps/v1", "metadata": {}, "items": items }),
            )
        });
        let found = history(&cluster, &state(WorkloadKind::StatefulSet))
            .await
            .unwrap();
        assert_eq!(found[0].image("db"), Some("r/db:1"));
        assert!(found[0].containers[0].init);
        assert_eq!(found[0].change_cause, None);
    }
}
