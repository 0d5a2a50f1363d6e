//! Whether the cluster's one node can take pods.

use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Deserialize;

use super::endpoints::NODE;
use super::{Layout, SandboxError, cluster};

const PATIENCE: Duration = Duration::from_mins(1);
const PACE: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
struct Node {
    status: NodeStatus,
}

#[derive(Deserialize)]
struct NodeStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    message: String,
    last_heartbeat_time: Option<Timestamp>,
}

/// Waits until the node says that it is Ready, and says so after `since`: what an earlier kubelet
/// has said is still there when the next one starts.
pub fn wait_ready(layout: &Layout, since: Option<Timestamp>) -> Result<(), SandboxError> {
    let begun = Instant::now();
    loop {
        let why = match ask(layout) {
            Ok(node) => match missing(&node, since) {
                None => return Ok(()),
                Some(why) => why,
            },
            Err(why) => why,
        };
        if begun.elapsed() > PATIENCE {
            return Err(SandboxError::NotReady {
                seconds: PATIENCE.as_secs(),
                why,
            });
        }
        thread::sleep(PACE);
    }
}

fn ask(layout: &Layout) -> Result<Node, String> {
    cluster::get(layout, &format!("/api/v1/nodes/{NODE}"))?
        .ok_or_else(|| "the kubelet has not registered it".to_owned())
}

/// Why the node cannot be counted on, or nothing.
fn missing(node: &Node, since: Option<Timestamp>) -> Option<String> {
    let Some(ready) = node
        .status
        .conditions
        .iter()
        .find(|condition| condition.kind == "Ready")
    else {
        return Some("it says nothing about itself".to_owned());
    };
    if ready.status != "True" {
        return Some(ready.message.clone());
    }
    // The node's times have whole seconds.
    let stale = since.is_some_and(|since| {
        ready
            .last_heartbeat_time
            .is_none_or(|at| at.as_second() < since.as_second())
    });
    stale.then(|| "its kubelet has not said anything since it was started".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(status: &str, heartbeat: &str) -> Node {
        serde_json::from_value(serde_json::json!({"status": {"conditions": [
            {"type": "MemoryPressure", "status": "False"},
            {"type": "Ready", "status": status, "message": "no CNI",
             "lastHeartbeatTime": heartbeat}
        ]}}))
        .unwrap()
    }

    #[test]
    fn an_old_ready_does_not_count_for_a_new_kubelet() {
        let since = Some("2026-01-01T00:00:10.9Z".parse().unwrap());
        assert!(missing(&node("True", "2026-01-01T00:00:09Z"), since).is_some());
        assert_eq!(missing(&node("True", "2026-01-01T00:00:10Z"), since), None);
        assert_eq!(missing(&node("True", "2026-01-01T00:00:09Z"), None), None);
    }

    #[test]
    fn a_node_that_is_not_ready_says_why() {
        let why = missing(&node("False", "2026-01-01T00:00:10Z"), None);
        assert_eq!(why.as_deref(), Some("no CNI"));
    }
}
