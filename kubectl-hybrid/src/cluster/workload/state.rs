//! One plain picture of the three kinds of workload.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::Serialize;

use super::object::WorkloadRef;
use crate::project::contract::WorkloadKind;

/// A workload as it stands in the cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadState {
    /// Which one.
    pub workload: WorkloadRef,
    /// Its UID.
    pub uid: String,
    /// Its version, for conditional writes.
    pub resource_version: String,
    /// The generation of its specification.
    pub generation: i64,
    /// The generation that the controller has seen.
    pub observed_generation: i64,
    /// Whether a Deployment is paused.
    pub paused: bool,
    /// How pods are replaced.
    pub strategy: Strategy,
    /// How many pods there are and shall be.
    pub counts: Counts,
    /// The containers of the pod template, init containers first.
    pub containers: Vec<ContainerImage>,
    /// The pull secrets of the pod template.
    pub pull_secrets: Vec<String>,
    /// The service account of the pod template.
    pub service_account: String,
    /// The selector of its pods, as a query.
    pub selector: String,
    /// The revision that the current template has, where the kind tells.
    pub revision: Revision,
    /// The annotation `kubernetes.io/change-cause`.
    pub change_cause: Option<String>,
    /// When somebody last changed what it asks for. Its controllers and autoscalers do not count.
    pub changed_at: Option<Timestamp>,
    /// Conditions that speak of trouble: type, reason, message.
    pub conditions: Vec<Condition>,
}

/// How a workload marks the pods of its current template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revision {
    /// A Deployment's pods belong to the replica set with this `deployment.kubernetes.io/revision`.
    ReplicaSet(String),
    /// A stateful set's pods carry this `controller-revision-hash`.
    Hash(String),
    /// A daemon set's pods carry this `pod-template-generation`.
    TemplateGeneration(String),
    /// The controller has not said yet.
    Unknown,
}

/// A condition of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Its type, for example `Progressing`.
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Its reason, for example `ProgressDeadlineExceeded`.
    pub reason: String,
    /// Its text.
    pub message: String,
}

/// How pods are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// By and by. `partition` is the number of a stateful set's pods that stay at the old revision.
    Rolling {
        /// See above; zero for the other kinds.
        partition: i32,
    },
    /// All at once.
    Recreate,
    /// Only when somebody deletes them.
    OnDelete,
}

/// How many pods a workload has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// How many there shall be.
    pub desired: i32,
    /// How many there are, of any revision.
    pub total: i32,
    /// How many are of the current revision.
    pub updated: i32,
    /// How many are ready.
    pub ready: i32,
    /// How many have been ready for long enough.
    pub available: i32,
}

impl Counts {
    /// How many pods are of earlier revisions.
    pub fn old(self) -> i32 {
        (self.total - self.updated).max(0)
    }

    /// How many of the current revision are among so many ready or available ones, at least: the
    /// workload does not tell which those are, and old pods that run are among them.
    pub fn new_of(self, of_any: i32) -> i32 {
        (of_any - self.old()).clamp(0, self.updated.max(0))
    }
}

/// A container of the pod template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerImage {
    /// The container.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Whether it is an init container.
    pub init: bool,
    /// `Always`, `IfNotPresent` or `Never`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<String>,
}

impl ContainerImage {
    /// The digest that the image is pinned to.
    pub fn digest(&self) -> Option<&str> {
        self.image.split_once('@').map(|(_, digest)| digest)
    }
}

impl WorkloadState {
    /// The container of that name.
    pub fn container(&self, name: &str) -> Option<&ContainerImage> {
        self.containers
            .iter()
            .find(|container| container.name == name)
    }

    /// Whether the controller has seen the newest specification.
    pub fn is_observed(&self) -> bool {
        self.observed_generation >= self.generation
    }

    /// The condition of that type.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions
            .iter()
            .find(|condition| condition.kind == kind)
    }
}

impl From<Deployment> for WorkloadState {
    fn from(object: Deployment) -> Self {
        let spec = object.spec.unwrap_or_default();
        let status = object.status.unwrap_or_default();
        let strategy = match spec.strategy.and_then(|strategy| strategy.type_).as_deref() {
            Some("Recreate") => Strategy::Recreate,
            _ => Strategy::Rolling { partition: 0 },
        };
        let revision = annotation(&object.metadata, "deployment.kubernetes.io/revision")
            .map_or(Revision::Unknown, Revision::ReplicaSet);
        let counts = Counts {
            desired: spec.replicas.unwrap_or(1),
            total: status.replicas.unwrap_or(0),
            updated: status.updated_replicas.unwrap_or(0),
            ready: status.ready_replicas.unwrap_or(0),
            available: status.available_replicas.unwrap_or(0),
        };
        let conditions = status
            .conditions
            .into_iter()
            .flatten()
            .map(|condition| Condition {
                kind: condition.type_,
                status: condition.status,
                reason: condition.reason.unwrap_or_default(),
                message: condition.message.unwrap_or_default(),
            })
            .collect();
        Self {
            observed_generation: status.observed_generation.unwrap_or(0),
            paused: spec.paused == Some(true),
            strategy,
            counts,
            revision,
            conditions,
            ..common(
                WorkloadKind::Deployment,
                object.metadata,
                &spec.selector,
                spec.template,
            )
        }
    }
}

impl From<StatefulSet> for WorkloadState {
    fn from(object: StatefulSet) -> Self {
        let spec = object.spec.unwrap_or_default();
        let status = object.status.unwrap_or_default();
        let update = spec.update_strategy.unwrap_or_default();
        let strategy = match update.type_.as_deref() {
            Some("OnDelete") => Strategy::OnDelete,
            _ => Strategy::Rolling {
                partition: update
                    .rolling_update
                    .and_then(|rolling| rolling.partition)
                    .unwrap_or(0),
            },
        };
        let revision = status
            .update_revision
            .clone()
            .map_or(Revision::Unknown, Revision::Hash);
        let counts = Counts {
            desired: spec.replicas.unwrap_or(1),
            total: status.replicas,
            updated: status.updated_replicas.unwrap_or(0),
            ready: status.ready_replicas.unwrap_or(0),
            available: status.available_replicas.unwrap_or(0),
        };
        Self {
            observed_generation: status.observed_generation.unwrap_or(0),
            strategy,
            counts,
            revision,
            ..common(
                WorkloadKind::StatefulSet,
                object.metadata,
                &spec.selector,
                spec.template,
            )
        }
    }
}

impl From<DaemonSet> for WorkloadState {
    fn from(object: DaemonSet) -> Self {
        let spec = object.spec.unwrap_or_default();
        let status = object.status.unwrap_or_default();
        let strategy = match spec
            .update_strategy
            .and_then(|update| update.type_)
            .as_deref()
        {
            Some("OnDelete") => Strategy::OnDelete,
            _ => Strategy::Rolling { partition: 0 },
        };
        let revision = annotation(&object.metadata, "deprecated.daemonset.template.generation")
            .map_or(Revision::Unknown, Revision::TemplateGeneration);
        let counts = Counts {
            desired: status.desired_number_scheduled,
            total: status.current_number_scheduled,
            updated: status.updated_number_scheduled.unwrap_or(0),
            ready: status.number_ready,
            available: status.number_available.unwrap_or(0),
        };
        Self {
            observed_generation: status.observed_generation.unwrap_or(0),
            strategy,
            counts,
            revision,
            ..common(
                WorkloadKind::DaemonSet,
                object.metadata,
                &spec.selector,
                spec.template,
            )
        }
    }
}

fn common(
    kind: WorkloadKind,
    metadata: ObjectMeta,
    selector: &LabelSelector,
    template: PodTemplateSpec,
) -> WorkloadState {
    let change_cause = annotation(&metadata, "kubernetes.io/change-cause");
    let changed_at = metadata
        .managed_fields
        .iter()
        .flatten()
        .filter(|fields| fields.subresource.is_none())
        .filter(|fields| fields.manager.as_deref() != Some("kube-controller-manager"))
        .filter_map(|fields| fields.time.as_ref().map(|time| time.0))
        .max()
        .or_else(|| metadata.creation_timestamp.as_ref().map(|time| time.0));
    let pod = template.spec.unwrap_or_default();
    WorkloadState {
        workload: WorkloadRef {
            kind,
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name.unwrap_or_default(),
        },
        uid: metadata.uid.unwrap_or_default(),
        resource_version: metadata.resource_version.unwrap_or_default(),
        generation: metadata.generation.unwrap_or(0),
        observed_generation: 0,
        paused: false,
        strategy: Strategy::Rolling { partition: 0 },
        counts: Counts::default(),
        pull_secrets: pod
            .image_pull_secrets
            .iter()
            .flatten()
            .map(|reference| reference.name.clone())
            .collect(),
        service_account: pod
            .service_account_name
            .clone()
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "default".to_owned()),
        containers: containers(Some(pod)),
        selector: query(selector),
        revision: Revision::Unknown,
        change_cause,
        changed_at,
        conditions: Vec::new(),
    }
}

/// The containers of a pod template, init containers first.
pub(super) fn containers(pod: Option<PodSpec>) -> Vec<ContainerImage> {
    let image = |container: Container, init| ContainerImage {
        name: container.name,
        image: container.image.unwrap_or_default(),
        init,
        pull_policy: container.image_pull_policy,
    };
    let pod = pod.unwrap_or_default();
    let init = pod.init_containers.into_iter().flatten();
    let main = pod.containers.into_iter();
    init.map(|container| image(container, true))
        .chain(main.map(|container| image(container, false)))
        .collect()
}

fn annotation(metadata: &ObjectMeta, name: &str) -> Option<String> {
    metadata.annotations.as_ref()?.get(name).cloned()
}

/// A label selector as the API's query form.
fn query(selector: &LabelSelector) -> String {
    let empty = BTreeMap::new();
    let labels = selector.match_labels.as_ref().unwrap_or(&empty);
    let mut terms: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    for expression in selector.match_expressions.iter().flatten() {
        let values = expression
            .values
            .iter()
            .flatten()
            .cloned()
            .collect::<Vec<_>>()
            .join(",");
        let key = &expression.key;
        match expression.operator.as_str() {
            "In" => terms.push(format!("{key} in ({values})")),
            "NotIn" => terms.push(format!("{key} notin ({values})")),
            "Exists" => terms.push(key.clone()),
            "DoesNotExist" => terms.push(format!("!{key}")),
            _ => {}
        }
    }
    terms.join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deployment_is_read() {
        let object: Deployment = serde_json::from_value(json!({
            "metadata": { "name": "web", "namespace": "shop", "uid": "u", "generation": 3,
                "resourceVersion": "9",
                "annotations": { "deployment.kubernetes.io/revision": "2",
                                 "kubernetes.io/change-cause": "because" } },
            "spec": {
                "replicas": 2, "paused": true,
                "selector": { "matchLabels": { "app": "web" },
                    "matchExpressions": [{ "key": "tier", "operator": "In", "values": ["a", "b"] },
                                         { "key": "old", "operator": "DoesNotExist" }] },
                "template": { "spec": {
                    "imagePullSecrets": [{ "name": "regcred" }],
                    "initContainers": [{ "name": "migrate", "image": "r.example/m:1" }],
                    "containers": [{ "name": "web", "image": "r.example/w@sha256:00",
                                     "imagePullPolicy": "IfNotPresent" }] } } },
            "status": { "observedGeneration": 2, "replicas": 3, "updatedReplicas": 1,
                        "readyReplicas": 2, "availableReplicas": 2 },
        }))
        .unwrap();
        let state = WorkloadState::from(object);
        assert_eq!(state.workload.to_string(), "deployment/web");
        assert!(state.paused && !state.is_observed());
        assert_eq!(state.selector, "app=web,tier in (a,b),!old");
        assert_eq!(
            state.counts,
            Counts {
                desired: 2,
                total: 3,
                updated: 1,
                ready: 2,
                available: 2
            }
        );
        assert_eq!(state.container("web").unwrap().digest(), Some("sha256:00"));
        assert!(state.container("migrate").unwrap().init);
        assert_eq!(state.pull_secrets, ["regcred"]);
        assert_eq!(state.service_account, "default");
        assert_eq!(state.revision, Revision::ReplicaSet("2".to_owned()));
        assert_eq!(state.change_cause.as_deref(), Some("because"));
    }

    #[test]
    fn a_stateful_set_is_read() {
        let object: StatefulSet = serde_json::from_value(json!({
            "metadata": { "name": "db" },
            "spec": { "replicas": 2, "serviceName": "db", "selector": {},
                      "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 1 } },
                      "template": {} },
            "status": { "replicas": 2, "updatedReplicas": 1, "updateRevision": "b" },
        }))
        .unwrap();
        let state = WorkloadState::from(object);
        assert_eq!(state.counts.updated, 1);
        assert_eq!(state.strategy, Strategy::Rolling { partition: 1 });
        assert_eq!(state.revision, Revision::Hash("b".to_owned()));
    }
}
