//! Whether the pods of an earlier machine run again.

use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Deserialize;

use super::{Layout, SandboxError, cluster};

/// Long enough for images that are here; a pod that takes longer has a reason of its own.
const PATIENCE: Duration = Duration::from_secs(10);
const PACE: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
struct PodList {
    #[serde(default)]
    items: Vec<Pod>,
}

#[derive(Deserialize)]
struct Pod {
    metadata: Metadata,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    namespace: String,
    deletion_timestamp: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodStatus {
    #[serde(default)]
    phase: String,
    #[serde(default)]
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Deserialize)]
struct ContainerStatus {
    #[serde(default)]
    ready: bool,
    #[serde(default)]
    state: ContainerState,
}

#[derive(Default, Deserialize)]
struct ContainerState {
    running: Option<Running>,
    waiting: Option<Waiting>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Running {
    started_at: Timestamp,
}

#[derive(Deserialize)]
struct Waiting {
    #[serde(default)]
    reason: String,
}

/// Waits until every pod that was running has been started after `since`; returns those that were
/// not, as `namespace/name`.
pub fn wait_back(layout: &Layout, since: Timestamp) -> Result<Vec<String>, SandboxError> {
    let begun = Instant::now();
    loop {
        let pods: Result<Option<PodList>, String> = cluster::get(layout, "/api/v1/pods");
        let late = begun.elapsed() > PATIENCE;
        match pods {
            Ok(list) => {
                let pods = list.map(|list| list.items).unwrap_or_default();
                let away: Vec<&Pod> = pods.iter().filter(|pod| is_away(pod, since)).collect();
                if away.is_empty() || late {
                    return Ok(away.into_iter().map(name).collect());
                }
            }
            Err(why) if late => {
                return Err(SandboxError::NotReady {
                    seconds: PATIENCE.as_secs(),
                    why,
                });
            }
            Err(_) => {}
        }
        thread::sleep(PACE);
    }
}

fn name(pod: &Pod) -> String {
    format!("{}/{}", pod.metadata.namespace, pod.metadata.name)
}

/// A pod whose containers are those of the last machine. One that waits for an image or after a
/// crash has told its own state anew, and is not waited for.
fn is_away(pod: &Pod, since: Timestamp) -> bool {
    if pod.status.phase != "Running" || pod.metadata.deletion_timestamp.is_some() {
        return false;
    }
    pod.status.container_statuses.iter().any(|container| {
        if let Some(running) = &container.state.running {
            // The cluster's times have whole seconds.
            return running.started_at.as_second() < since.as_second() || !container.ready;
        }
        container.state.waiting.as_ref().is_none_or(|waiting| {
            !["BackOff", "ErrImage"]
                .iter()
                .any(|sign| waiting.reason.contains(sign))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(phase: &str, ready: bool, state: &serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": "web-1", "namespace": "dev"},
            "status": {"phase": phase, "containerStatuses": [{"ready": ready, "state": state}]}
        }))
        .unwrap()
    }

    #[test]
    fn a_pod_is_back_when_its_containers_are_new_and_ready() {
        let since = "2026-01-01T00:00:10Z".parse().unwrap();
        let running = |at: &str| serde_json::json!({"running": {"startedAt": at}});
        let waiting = |reason: &str| serde_json::json!({"waiting": {"reason": reason}});
        let cases = [
            (
                pod("Running", true, &running("2026-01-01T00:00:11Z")),
                false,
            ),
            (
                pod("Running", false, &running("2026-01-01T00:00:11Z")),
                true,
            ),
            (pod("Running", true, &running("2026-01-01T00:00:09Z")), true),
            (pod("Running", false, &waiting("ContainerCreating")), true),
            (pod("Running", false, &waiting("CrashLoopBackOff")), false),
            (pod("Running", false, &waiting("ErrImagePull")), false),
            (pod("Pending", false, &waiting("ContainerCreating")), false),
            (
                pod("Succeeded", false, &serde_json::json!({"terminated": {}})),
                false,
            ),
        ];
        for (at, (pod, away)) in cases.into_iter().enumerate() {
            assert_eq!(is_away(&pod, since), away, "case {at}");
        }
    }
}
