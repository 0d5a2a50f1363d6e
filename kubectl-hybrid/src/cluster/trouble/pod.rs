//! From a pod's status to what keeps it from running.

use std::fmt;
use std::time::Duration;

use k8s_openapi::api::core::v1::{
    ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod,
};
use serde::Serialize;

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

/// What keeps a pod from running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Cause {
    /// Its image cannot be pulled.
    Pull {
        /// Why.
        fault: PullFault,
    },
    /// Its process ends.
    Crash {
        /// The exit code of the last run.
        exit_code: i32,
        /// How often it was started again.
        restarts: i32,
    },
    /// Its process was killed because it used more memory than it may.
    OutOfMemory {
        /// How often it was started again.
        restarts: i32,
    },
    /// Its process cannot be started: no such command, a mount that fails.
    CannotStart,
    /// A `Secret` or `ConfigMap` that it needs is missing.
    MissingConfig,
    /// No node can take it.
    Unschedulable,
    /// It was evicted or failed as a whole.
    Failed,
    /// It runs, and its readiness probe does not pass.
    NotReady,
}

/// How long to wait for a trouble to pass by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// It does not pass.
    None,
    /// It may pass within this time.
    For(Duration),
    /// It is no failure yet, only slow.
    UntilTimeout,
}

impl Cause {
    /// How long to wait, when a crash counts as final after `crashes` crashes.
    pub fn patience(&self, crashes: i32) -> Patience {
        match self {
            Self::Pull { fault } if fault.may_heal() => Patience::For(Duration::from_secs(20)),
            Self::Pull { .. } | Self::OutOfMemory { .. } | Self::CannotStart | Self::Failed => {
                Patience::None
            }
            Self::Crash { restarts, .. } if restarts + 1 >= crashes => Patience::None,
            Self::Crash { .. } | Self::NotReady => Patience::UntilTimeout,
            // Whoever makes the missing object may be at it this moment.
            Self::MissingConfig => Patience::For(Duration::from_secs(5)),
            // Old pods that end make room.
            Self::Unschedulable => Patience::For(Duration::from_secs(30)),
        }
    }

    /// The pull fault, when it is one.
    pub fn pull_fault(&self) -> Option<PullFault> {
        match self {
            Self::Pull { fault } => Some(*fault),
            _ => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pull { fault } => write!(f, "the image cannot be pulled: {}", fault.sentence()),
            Self::Crash {
                exit_code,
                restarts,
            } => {
                let times = restarts + 1;
                write!(f, "the container ends with exit code {exit_code}")?;
                if times > 1 {
                    write!(f, ", {times} times so far")
                } else {
                    Ok(())
                }
            }
            Self::OutOfMemory { .. } => {
                f.write_str("the container was killed because it used more memory than its limit")
            }
            Self::CannotStart => f.write_str("the container cannot be started"),
            Self::MissingConfig => {
                f.write_str("a secret or config map that the container needs is missing")
            }
            Self::Unschedulable => f.write_str("no node can take the pod"),
            Self::Failed => f.write_str("the pod failed"),
            Self::NotReady => f.write_str("the container runs but is not ready"),
        }
    }
}

impl Trouble {
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
        && scheduled.reason.as_deref() == Some("Unschedulable")
    {
        let message = scheduled.message.clone().unwrap_or_default();
        found.push(trouble(None, Cause::Unschedulable, message));
        return found;
    }
    for container in status.container_statuses.iter().flatten() {
        let running = container
            .state
            .as_ref()
            .is_some_and(|state| state.running.is_some());
        if running && !container.ready {
            found.push(trouble(Some(container), Cause::NotReady, String::new()));
        }
    }
    found
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
                Some(Cause::NotReady),
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

    #[test]
    fn a_crash_is_final_after_the_number_that_was_asked_for() {
        let crash = |restarts| {
            Cause::Crash {
                exit_code: 1,
                restarts,
            }
            .patience(3)
        };
        assert_eq!(crash(0), Patience::UntilTimeout);
        assert_eq!(crash(1), Patience::UntilTimeout);
        assert_eq!(crash(2), Patience::None);
    }
}
