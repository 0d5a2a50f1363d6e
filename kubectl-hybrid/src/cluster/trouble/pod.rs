//! From a pod's status to what keeps it from running.

use std::fmt;

use k8s_openapi::api::core::v1::{
    ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod,
};
use serde::Serialize;

use super::cause::{Cause, Patience};
use super::pull_fault::PullFault;

/// One thing that keeps a pod from running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// The namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The pod's UID.
    pub pod_uid: String,
    /// The container, when it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The container's image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What it is.
    pub cause: Cause,
    /// What the cluster says about it, word for word.
    pub message: String,
}

impl Trouble {
    /// How long to wait, when a crash counts as final after `crashes` crashes.
    pub fn patience(&self, crashes: i32) -> Patience {
        self.cause.patience(crashes, &self.message)
    }

    /// What it is, with the cluster's words where they say more.
    pub fn sentence(&self) -> String {
        let link = if self.container.is_some() { ", " } else { ": " };
        format!("pod `{}`{link}{}", self.pod, self.without_pod())
    }

    /// The same without the pod's name, for what holds for each of several pods.
    pub fn without_pod(&self) -> String {
        let mut text = match &self.container {
            Some(container) => format!("container `{container}`: {}", self.cause),
            None => self.cause.to_string(),
        };
        // For a pull the cause says it.
        if self.cause.pull_fault().is_none() && !self.message.is_empty() {
            text.push_str(": ");
            text.push_str(&self.message);
        }
        text
    }

    /// Whether it is more than a pod that takes its time.
    pub fn is_news(&self) -> bool {
        match self.cause {
            Cause::Starting => false,
            Cause::NotReady { .. } => !self.message.is_empty(),
            _ => true,
        }
    }

    /// The command that shows all that the container wrote before it ended.
    pub fn logs_command(&self) -> String {
        let container = self
            .container
            .as_ref()
            .map(|name| format!(" -c {name}"))
            .unwrap_or_default();
        format!(
            "kubectl -n {} logs {}{container} --previous",
            self.namespace, self.pod
        )
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pod `{}`", self.pod)?;
        if let Some(container) = &self.container {
            write!(f, ", container `{container}`")?;
        }
        write!(f, ": {}", self.cause)
    }
}

/// What keeps a pod from running. Empty when nothing does, or it is only slow.
///
/// A pod that is being deleted has no troubles: it is on its way out.
pub fn troubles(pod: &Pod) -> Vec<Trouble> {
    let Some(status) = &pod.status else {
        return Vec::new();
    };
    if pod.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let trouble = |container: Option<&ContainerStatus>, cause: Cause, message: String| Trouble {
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        pod: pod.metadata.name.clone().unwrap_or_default(),
        pod_uid: pod.metadata.uid.clone().unwrap_or_default(),
        image: container.and_then(|container| image_of(pod, container)),
        container: container.map(|container| container.name.clone()),
        cause,
        message,
    };

    let mut found: Vec<Trouble> = status
        .init_container_statuses
        .iter()
        .flatten()
        .chain(status.container_statuses.iter().flatten())
        .filter_map(|container| {
            container_trouble(container).map(|(cause, text)| trouble(Some(container), cause, text))
        })
        .collect();
    if !found.is_empty() {
        return found;
    }

    if status.phase.as_deref() == Some("Failed") {
        let reason = status.reason.clone().unwrap_or_default();
        let message = status.message.clone().unwrap_or_default();
        let text = [reason, message]
            .iter()
            .filter(|part| !part.is_empty())
            .cloned()
            .collect::<Vec<_>>();
        found.push(trouble(None, Cause::Failed, text.join(": ")));
        return found;
    }
    let condition = |kind: &str| {
        status
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.type_ == kind)
    };
    if let Some(scheduled) = condition("PodScheduled")
        && scheduled.status == "False"
        && matches!(
            scheduled.reason.as_deref(),
            Some("Unschedulable" | "SchedulingGated")
        )
    {
        let message = scheduled.message.clone().unwrap_or_default();
        found.push(trouble(None, Cause::Unschedulable, message));
        return found;
    }
    for container in lasting(pod) {
        let running = container
            .state
            .as_ref()
            .is_some_and(|state| state.running.is_some());
        if running && !container.ready {
            let restarts = container.restart_count;
            found.push(trouble(
                Some(container),
                Cause::NotReady { restarts },
                String::new(),
            ));
        }
    }
    // On a node, and no container has come to anything yet.
    if found.is_empty() && is_scheduled(pod) && lasting(pod).all(is_being_made) {
        found.push(trouble(None, Cause::Starting, String::new()));
    }
    found
}

/// The containers that run as long as the pod does: init containers that are sidecars, too.
pub fn lasting(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let is_sidecar = |name: &str| {
        pod.spec
            .iter()
            .flat_map(|spec| spec.init_containers.iter().flatten())
            .any(|container| {
                container.name == name && container.restart_policy.as_deref() == Some("Always")
            })
    };
    let status = pod.status.as_ref();
    let sidecars = status
        .into_iter()
        .flat_map(|status| status.init_container_statuses.iter().flatten())
        .filter(move |container| is_sidecar(&container.name));
    sidecars.chain(
        status
            .into_iter()
            .flat_map(|status| status.container_statuses.iter().flatten()),
    )
}

fn is_scheduled(pod: &Pod) -> bool {
    pod.spec
        .as_ref()
        .is_some_and(|spec| spec.node_name.is_some())
}

fn is_being_made(container: &ContainerStatus) -> bool {
    container
        .state
        .as_ref()
        .is_none_or(|state| state.running.is_none() && state.terminated.is_none())
}

fn container_trouble(status: &ContainerStatus) -> Option<(Cause, String)> {
    let state = status.state.as_ref()?;
    let last = status
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref());
    if let Some(waiting) = &state.waiting {
        return waiting_trouble(waiting, last, status.restart_count);
    }
    let ended = state.terminated.as_ref()?;
    let reason = ended.reason.as_deref().unwrap_or_default();
    if ended.exit_code == 0 && reason != "OOMKilled" {
        return None;
    }
    Some(ended_trouble(ended, status.restart_count))
}

fn waiting_trouble(
    waiting: &ContainerStateWaiting,
    last: Option<&ContainerStateTerminated>,
    restarts: i32,
) -> Option<(Cause, String)> {
    let reason = waiting.reason.as_deref().unwrap_or_default();
    let message = waiting.message.clone().unwrap_or_default();
    match reason {
        "" | "ContainerCreating" | "PodInitializing" => None,
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => {
            let fault = PullFault::read(reason, &message);
            let text = if message.is_empty() {
                reason.to_owned()
            } else {
                message
            };
            Some((Cause::Pull { fault }, text))
        }
        "CreateContainerConfigError" => Some((Cause::MissingConfig, message)),
        "CreateContainerError"
        | "RunContainerError"
        | "PreCreateHookError"
        | "PreStartHookError"
        | "PostStartHookError" => {
            if PullFault::of_message(&message) == PullFault::Platform {
                return Some((
                    Cause::Pull {
                        fault: PullFault::Platform,
                    },
                    message,
                ));
            }
            Some((Cause::CannotStart, message))
        }
        "CrashLoopBackOff" => match last {
            // The back-off hides how the last run ended.
            Some(last) => Some(ended_trouble(last, restarts)),
            None => Some((
                Cause::Crash {
                    exit_code: 1,
                    restarts,
                },
                message,
            )),
        },
        // The kubelet puts the raw error here when a pull secret cannot be read.
        text if text.contains(' ') => match PullFault::of_message(text) {
            PullFault::Unknown => Some((Cause::CannotStart, text.to_owned())),
            fault => Some((Cause::Pull { fault }, text.to_owned())),
        },
        _ => None,
    }
}

fn ended_trouble(ended: &ContainerStateTerminated, restarts: i32) -> (Cause, String) {
    let reason = ended.reason.as_deref().unwrap_or_default();
    let message = ended.message.clone().unwrap_or_default();
    match reason {
        "OOMKilled" => (Cause::OutOfMemory { restarts }, message),
        "StartError" | "ContainerCannotRun" => {
            if PullFault::of_message(&message) == PullFault::Platform {
                return (
                    Cause::Pull {
                        fault: PullFault::Platform,
                    },
                    message,
                );
            }
            (Cause::CannotStart, message)
        }
        _ => (
            Cause::Crash {
                exit_code: ended.exit_code,
                restarts,
            },
            message,
        ),
    }
}

/// The image as the specification has it: the status may name it by its id.
fn image_of(pod: &Pod, status: &ContainerStatus) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    spec.init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
        .find(|container| container.name == status.name)
        .and_then(|container| container.image.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": "web-1", "namespace": "shop", "uid": "u" },
            "spec": { "containers": [{ "name": "web", "image": "r.example/web:1" }] },
            "status": status,
        }))
        .unwrap()
    }

    fn container(state: Value, last: Value, restarts: i32) -> Value {
        json!({ "phase": "Running", "containerStatuses": [{
            "name": "web", "image": "", "imageID": "", "ready": false, "restartCount": restarts,
            "state": state, "lastState": last,
        }] })
    }

    fn waiting(reason: &str, message: &str) -> Value {
        json!({ "waiting": { "reason": reason, "message": message } })
    }

    #[test]
    fn a_status_leads_to_its_cause() {
        let none = || json!({});
        let ended = |reason: &str, code: i32| json!({ "terminated": { "reason": reason, "exitCode": code } });
        let table = [
            (container(waiting("ContainerCreating", ""), none(), 0), None),
            (
                container(json!({ "running": {} }), none(), 0),
                Some(Cause::NotReady { restarts: 0 }),
            ),
            (
                container(waiting("ErrImagePull", "403 Forbidden"), none(), 0),
                Some(Cause::Pull {
                    fault: PullFault::Forbidden,
                }),
            ),
            (
                container(
                    waiting(
                        "ImagePullBackOff",
                        "Back-off pulling image \"r\": ErrImagePull: no basic auth credentials",
                    ),
                    none(),
                    0,
                ),
                Some(Cause::Pull {
                    fault: PullFault::NoCredentials,
                }),
            ),
            (
                container(waiting("InvalidImageName", "x"), none(), 0),
                Some(Cause::Pull {
                    fault: PullFault::InvalidName,
                }),
            ),
            (
                container(
                    waiting("illegal base64 data at input byte 0", ""),
                    none(),
                    0,
                ),
                Some(Cause::Pull {
                    fault: PullFault::BadSecret,
                }),
            ),
            (
                container(
                    waiting("CreateContainerConfigError", "secret \"x\" not found"),
                    none(),
                    0,
                ),
                Some(Cause::MissingConfig),
            ),
            (
                container(
                    waiting("CrashLoopBackOff", "back-off"),
                    ended("Error", 3),
                    2,
                ),
                Some(Cause::Crash {
                    exit_code: 3,
                    restarts: 2,
                }),
            ),
            (
                container(
                    waiting("CrashLoopBackOff", "back-off"),
                    ended("OOMKilled", 137),
                    1,
                ),
                Some(Cause::OutOfMemory { restarts: 1 }),
            ),
            (
                container(
                    waiting("CrashLoopBackOff", "back-off"),
                    ended("StartError", 128),
                    1,
                ),
                Some(Cause::CannotStart),
            ),
            (
                container(ended("Error", 1), none(), 0),
                Some(Cause::Crash {
                    exit_code: 1,
                    restarts: 0,
                }),
            ),
            (container(ended("Completed", 0), none(), 0), None),
            (
                container(
                    waiting("RunContainerError", "exec /app: exec format error"),
                    none(),
                    0,
                ),
                Some(Cause::Pull {
                    fault: PullFault::Platform,
                }),
            ),
            (
                json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False",
                    "reason": "Unschedulable", "message": "0/1 nodes are available" }] }),
                Some(Cause::Unschedulable),
            ),
            (
                json!({ "phase": "Failed", "reason": "Evicted", "message": "disk" }),
                Some(Cause::Failed),
            ),
            (json!({ "phase": "Pending" }), None),
        ];
        for (status, expected) in table {
            let found = troubles(&pod(status.clone()));
            assert_eq!(
                found.first().map(|trouble| trouble.cause.clone()),
                expected,
                "{status}"
            );
        }
    }

    #[test]
    fn a_trouble_names_pod_container_and_image() {
        let found = troubles(&pod(container(
            waiting("ErrImagePull", "403 Forbidden"),
            json!({}),
            0,
        )));
        assert_eq!(found[0].image.as_deref(), Some("r.example/web:1"));
        assert_eq!(
            found[0].to_string(),
            "pod `web-1`, container `web`: the image cannot be pulled: the registry answers 403: \
             the token has expired, or its identity may not pull"
        );
    }

    #[test]
    fn a_pod_on_its_way_out_has_no_troubles() {
        let mut leaving = pod(container(waiting("ErrImagePull", "403"), json!({}), 0));
        leaving.metadata.deletion_timestamp =
            serde_json::from_value(json!("2026-11-23T10:00:00Z")).unwrap();
        assert!(troubles(&leaving).is_empty());
    }
}
