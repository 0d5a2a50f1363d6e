//! Pinning an image and restarting, each as one precise patch.
//!
//! A strategic merge patch names the container and its image and nothing else, so that Terraform,
//! an autoscaler and people keep the fields that are theirs. The version that was read makes it
//! conditional.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::object::{self, WorkloadRef};
use super::state::WorkloadState;
use crate::cluster::patience::{Passing, patiently};
use crate::cluster::{Cluster, ClusterError, keyring};

const MAX_ATTEMPTS: u32 = 5;
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// An image for a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerPin {
    /// The container's name; init containers count as well.
    pub container: String,
    /// The image, mostly `REPOSITORY@DIGEST`.
    pub image: String,
}

/// What pinning would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PinPlan {
    /// The containers that change. Empty when all are pinned already.
    pub changes: Vec<PinChange>,
}

/// One container that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PinChange {
    /// The container.
    pub container: String,
    /// Its image before.
    pub from: String,
    /// Its image after.
    pub to: String,
}

/// What came of pinning.
#[derive(Debug, Clone, PartialEq)]
pub struct Pinned {
    /// What was changed; nothing was written when it is empty.
    pub changes: Vec<PinChange>,
    /// The workload afterwards.
    pub state: WorkloadState,
}

impl Pinned {
    /// The workload as the change left it, when there was one.
    pub fn changed(self) -> Option<WorkloadState> {
        (!self.changes.is_empty()).then_some(self.state)
    }
}

/// Why a workload cannot be pinned or restarted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinRefusal {
    /// There is no container of that name.
    #[error("{workload} has no container `{container}`; it has {}", quoted(.available))]
    NoContainer {
        /// The workload.
        workload: WorkloadRef,
        /// The container that was asked for.
        container: String,
        /// The containers that exist.
        available: Vec<String>,
    },
    /// A paused Deployment does not roll out.
    #[error("{workload} is paused, so nothing would roll out")]
    Paused {
        /// The workload.
        workload: WorkloadRef,
    },
}

/// Why a change of a workload failed.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// There is no such workload.
    #[error("there is no {workload} in namespace `{}`", .workload.namespace)]
    Missing {
        /// The workload.
        workload: WorkloadRef,
    },
    /// It cannot be changed as asked.
    #[error(transparent)]
    Refused(#[from] PinRefusal),
    /// The API server.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl WorkloadError {
    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { workload } => Some(format!(
                "make it with `terraform apply`, or see what there is: `kubectl -n {} get {}s`",
                workload.namespace,
                workload.kind_name()
            )),
            Self::Refused(PinRefusal::Paused { workload }) => Some(format!(
                "resume it first: `kubectl -n {} rollout resume {workload}`",
                workload.namespace
            )),
            Self::Refused(PinRefusal::NoContainer { .. }) => {
                Some("correct the container's name in the Terraform output `hybrid`".to_owned())
            }
            Self::Cluster(error) => error.hint(),
        }
    }
}

impl Passing for WorkloadError {
    fn is_passing(&self) -> bool {
        matches!(self, Self::Cluster(error) if error.is_passing())
    }

    fn follows_a_restart(&self) -> bool {
        matches!(self, Self::Cluster(error) if error.follows_a_restart())
    }
}

/// Which containers would change.
///
/// # Errors
/// When a container does not exist, or the workload is paused and something would change.
pub fn plan_pin(state: &WorkloadState, pins: &[ContainerPin]) -> Result<PinPlan, PinRefusal> {
    let mut changes = Vec::new();
    for pin in pins {
        let Some(container) = state.container(&pin.container) else {
            return Err(PinRefusal::NoContainer {
                workload: state.workload.clone(),
                container: pin.container.clone(),
                available: state
                    .containers
                    .iter()
                    .map(|found| found.name.clone())
                    .collect(),
            });
        };
        if container.image != pin.image {
            changes.push(PinChange {
                container: pin.container.clone(),
                from: container.image.clone(),
                to: pin.image.clone(),
            });
        }
    }
    if state.paused && !changes.is_empty() {
        return Err(PinRefusal::Paused {
            workload: state.workload.clone(),
        });
    }
    Ok(PinPlan { changes })
}

/// Pins containers to images, unless they are pinned to them already.
///
/// `known` is the workload as it was read some time ago: where nobody has changed it, it need not be
/// read again. `change_cause` is kept in the annotation that `kubectl rollout history` shows.
///
/// # Errors
/// When the workload or a container does not exist, it is paused, or the API server refuses.
pub async fn pin(
    cluster: &Cluster,
    workload: &WorkloadRef,
    known: Option<&WorkloadState>,
    pins: &[ContainerPin],
    change_cause: &str,
) -> Result<Pinned, WorkloadError> {
    // The version makes it safe to try again, whether or not the patch got through.
    patiently(|| pin_once(cluster, workload, known, pins, change_cause)).await
}

async fn pin_once(
    cluster: &Cluster,
    workload: &WorkloadRef,
    known: Option<&WorkloadState>,
    pins: &[ContainerPin],
    change_cause: &str,
) -> Result<Pinned, WorkloadError> {
    let action = || {
        format!(
            "pin the image of {workload} in namespace `{}`",
            workload.namespace
        )
    };
    // Only a write shows that what is known still holds.
    let is_changed =
        |state: &&WorkloadState| plan_pin(state, pins).is_ok_and(|plan| !plan.changes.is_empty());
    let mut known = known.filter(is_changed);
    for _ in 0..MAX_ATTEMPTS {
        let state = match known.take() {
            Some(state) => state.clone(),
            None => existing(cluster, workload).await?,
        };
        let plan = plan_pin(&state, pins)?;
        if plan.changes.is_empty() {
            return Ok(Pinned {
                changes: plan.changes,
                state,
            });
        }
        let patch = pin_patch(&state, &plan, change_cause);
        match object::patch(cluster, workload, &patch).await {
            Ok(state) => {
                return Ok(Pinned {
                    changes: plan.changes,
                    state,
                });
            }
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(cluster.explain(action(), &error).into()),
        }
    }
    Err(ClusterError::Conflict {
        action: action(),
        attempts: MAX_ATTEMPTS,
    }
    .into())
}

/// Restarts a workload the way `kubectl rollout restart` does.
///
/// # Errors
/// When the workload does not exist, it is paused, or the API server refuses.
pub async fn restart(
    cluster: &Cluster,
    workload: &WorkloadRef,
    now: Timestamp,
    change_cause: Option<&str>,
) -> Result<WorkloadState, WorkloadError> {
    let state = patiently(|| existing(cluster, workload)).await?;
    if state.paused {
        return Err(PinRefusal::Paused {
            workload: workload.clone(),
        }
        .into());
    }
    let patch = restart_patch(now, change_cause);
    // The same patch twice is one restart: it carries its time.
    patiently(|| async {
        object::patch(cluster, workload, &patch)
            .await
            .map_err(|error| {
                let action = format!("restart {workload} in namespace `{}`", workload.namespace);
                cluster.explain(action, &error).into()
            })
    })
    .await
}

async fn existing(
    cluster: &Cluster,
    workload: &WorkloadRef,
) -> Result<WorkloadState, WorkloadError> {
    object::read(cluster, workload)
        .await?
        .ok_or_else(|| WorkloadError::Missing {
            workload: workload.clone(),
        })
}

/// The containers that get a service's image: the one that the contract names, and each other one
/// of the template that runs an image of the same repository, init containers and sidecars
/// included. `claimed` are those that another service of the contract fills.
pub fn containers_of(
    state: &WorkloadState,
    named: &str,
    repository: &str,
    claimed: &[String],
) -> Vec<String> {
    let others = state
        .containers
        .iter()
        .filter(|container| container.name != named && !claimed.contains(&container.name))
        .filter(|container| keyring::repository_of(&container.image) == repository)
        .map(|container| container.name.clone());
    std::iter::once(named.to_owned()).chain(others).collect()
}

fn pin_patch(state: &WorkloadState, plan: &PinPlan, change_cause: &str) -> Value {
    let images = |init: bool| -> Vec<Value> {
        plan.changes
            .iter()
            .filter(|change| {
                state
                    .container(&change.container)
                    .is_some_and(|container| container.init == init)
            })
            .map(|change| json!({ "name": change.container, "image": change.to }))
            .collect()
    };
    let mut pod = serde_json::Map::new();
    for (field, images) in [
        ("containers", images(false)),
        ("initContainers", images(true)),
    ] {
        if !images.is_empty() {
            pod.insert(field.to_owned(), Value::Array(images));
        }
    }
    json!({
        "metadata": {
            "resourceVersion": state.resource_version,
            "annotations": { "kubernetes.io/change-cause": change_cause },
        },
        "spec": { "template": { "spec": pod } },
    })
}

fn restart_patch(now: Timestamp, change_cause: Option<&str>) -> Value {
    let mut patch = json!({
        "spec": { "template": { "metadata": { "annotations": { RESTARTED_AT: format!("{now:.0}") } } } },
    });
    if let Some(cause) = change_cause {
        patch["metadata"] = json!({ "annotations": { "kubernetes.io/change-cause": cause } });
    }
    patch
}

fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use k8s_openapi::api::apps::v1::Deployment;

    use super::*;
    use crate::cluster::fake;

    fn state(paused: bool) -> WorkloadState {
        let object: Deployment = serde_json::from_value(json!({
            "metadata": { "name": "web", "namespace": "shop", "resourceVersion": "9" },
            "spec": { "paused": paused, "selector": {}, "template": { "spec": {
                "initContainers": [{ "name": "migrate", "image": "r/a:1" }],
                "containers": [{ "name": "web", "image": "r/a:1" }, { "name": "side", "image": "r/b:1" }],
            } } },
        }))
        .unwrap();
        object.into()
    }

    fn pin_to(container: &str, image: &str) -> ContainerPin {
        ContainerPin {
            container: container.to_owned(),
            image: image.to_owned(),
        }
    }

    #[test]
    fn the_patch_names_the_container_and_its_image_only() {
        let state = state(false);
        let pins = [pin_to("web", "r/a@sha256:00"), pin_to("side", "r/b:1")];
        let plan = plan_pin(&state, &pins).unwrap();
        assert_eq!(
            pin_patch(&state, &plan, "deploy of abc"),
            json!({
                "metadata": { "resourceVersion": "9",
                    "annotations": { "kubernetes.io/change-cause": "deploy of abc" } },
                "spec": { "template": { "spec": {
                    "containers": [{ "name": "web", "image": "r/a@sha256:00" }] } } },
            })
        );
    }

    #[test]
    fn every_container_of_the_same_repository_gets_the_image() {
        let state = state(false);
        let of = |named: &str, claimed: &[&str]| {
            let claimed: Vec<String> = claimed.iter().map(|&name| name.to_owned()).collect();
            containers_of(&state, named, "docker.io/r/a", &claimed)
        };
        assert_eq!(of("web", &[]), ["web", "migrate"]);
        assert_eq!(of("web", &["migrate"]), ["web"]);
        // What the contract names counts even while it runs another image.
        assert_eq!(of("side", &["web", "migrate"]), ["side"]);
    }

    #[test]
    fn an_init_container_is_pinned_in_its_own_list() {
        let state = state(false);
        let plan = plan_pin(&state, &[pin_to("migrate", "r/a:2")]).unwrap();
        let patch = pin_patch(&state, &plan, "x");
        let pod = &patch["spec"]["template"]["spec"];
        assert_eq!(
            pod,
            &json!({ "initContainers": [{ "name": "migrate", "image": "r/a:2" }] })
        );
    }

    #[test]
    fn what_is_pinned_already_changes_nothing_even_when_paused() {
        assert!(
            plan_pin(&state(true), &[pin_to("web", "r/a:1")])
                .unwrap()
                .changes
                .is_empty()
        );
        let refusal = plan_pin(&state(true), &[pin_to("web", "r/a:2")]).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "deployment/web is paused, so nothing would roll out"
        );
    }

    #[test]
    fn a_container_that_does_not_exist_is_answered_with_those_that_do() {
        let refusal = plan_pin(&state(false), &[pin_to("app", "r/a:2")]).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "deployment/web has no container `app`; it has `migrate`, `web`, `side`"
        );
    }

    /// Pins a Deployment that is at `version`, and says which requests that took.
    async fn requests_of_a_pin(known: &WorkloadState, version: &str) -> String {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, version) = (Arc::clone(&asked), version.to_owned());
        let object = json!({
            "metadata": { "name": "web", "namespace": "shop", "resourceVersion": version },
            "spec": { "selector": {}, "template": { "spec": {
                "containers": [{ "name": "web", "image": "r/a:1" }] } } },
        });
        let cluster = fake::cluster(move |request| {
            seen.lock().unwrap().push(request.method.to_string());
            let of = &request.body["metadata"]["resourceVersion"];
            if request.method == "PATCH" && *of != *version {
                return fake::status(409, "Conflict", "the object has been modified");
            }
            fake::ok(object.clone())
        });
        let pins = [pin_to("web", "r/a:2")];
        let pinned = pin(&cluster, &known.workload, Some(known), &pins, "x").await;
        assert_eq!(pinned.unwrap().changes.len(), 1);
        asked.lock().unwrap().join(" ")
    }

    #[tokio::test]
    async fn what_is_known_is_read_again_only_where_somebody_changed_it() {
        let known = state(false);
        assert_eq!(requests_of_a_pin(&known, "9").await, "PATCH");
        assert_eq!(requests_of_a_pin(&known, "10").await, "PATCH GET PATCH");
        // What is known says that nothing has to be done, or nothing can: that may be over.
        let mut done = state(false);
        done.containers[1].image = "r/a:2".to_owned();
        for known in [done, state(true)] {
            assert_eq!(requests_of_a_pin(&known, "10").await, "GET PATCH");
        }
    }

    #[test]
    fn a_restart_is_the_one_that_kubectl_makes() {
        let now = "2026-11-23T10:00:00.123Z".parse().unwrap();
        assert_eq!(
            restart_patch(now, None),
            json!({ "spec": { "template": { "metadata": { "annotations": {
                "kubectl.kubernetes.io/restartedAt": "2026-11-23T10:00:00Z" } } } } })
        );
    }
}
