//! Whether a roll-out is complete: kubectl's rules.
//!
//! Source: kubectl `pkg/polymorphichelpers/rollout_status.go`.

use crate::cluster::workload::{Strategy, WorkloadState};
use crate::project::contract::WorkloadKind;

use super::failure::FailureCause;

/// Where a roll-out stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every pod is of the current revision and available.
    Complete,
    /// Not yet, and for what it waits.
    Waiting(String),
    /// It will not complete.
    Failed(FailureCause),
}

/// Judges a workload by its own status alone.
pub fn verdict(state: &WorkloadState) -> Verdict {
    if !state.is_observed() {
        return waiting("the controller has not seen the change yet");
    }
    let counts = state.counts;
    // Nobody replaces an old pod. One that is missing is made, and of the current revision.
    if state.strategy == Strategy::OnDelete && counts.total > counts.updated {
        return Verdict::Failed(FailureCause::OnDelete);
    }
    match state.workload.kind {
        WorkloadKind::Deployment => {
            if let Some(progressing) = state.condition("Progressing")
                && progressing.reason == "ProgressDeadlineExceeded"
            {
                return Verdict::Failed(FailureCause::DeadlineExceeded {
                    message: progressing.message.clone(),
                });
            }
            if counts.updated < counts.desired {
                paused_or(
                    state,
                    format!("{} of {} new pods are made", counts.updated, counts.desired),
                )
            } else if counts.old() > 0 && counts.new_of(counts.available) < counts.desired {
                waiting(&format!(
                    "{} of {} new pods are ready",
                    counts.new_of(counts.available),
                    counts.desired
                ))
            } else if counts.old() > 0 {
                waiting(&match counts.old() {
                    1 => "1 old pod is still there".to_owned(),
                    old => format!("{old} old pods are still there"),
                })
            } else if counts.available < counts.updated {
                waiting(&format!(
                    "{} of {} pods are ready",
                    counts.available, counts.updated
                ))
            } else {
                Verdict::Complete
            }
        }
        WorkloadKind::DaemonSet => {
            if counts.updated < counts.desired {
                waiting(&format!(
                    "{} of {} new pods are made",
                    counts.updated, counts.desired
                ))
            } else if counts.available < counts.desired {
                waiting(&format!(
                    "{} of {} pods are ready",
                    counts.available, counts.desired
                ))
            } else {
                Verdict::Complete
            }
        }
        WorkloadKind::StatefulSet => {
            let partition = match state.strategy {
                Strategy::Rolling { partition } => partition,
                Strategy::Recreate | Strategy::OnDelete => 0,
            };
            let wanted = counts.desired - partition;
            if counts.ready < counts.desired {
                waiting(&format!(
                    "{} of {} pods are ready",
                    counts.ready, counts.desired
                ))
            } else if counts.updated < wanted {
                waiting(&format!("{} of {wanted} pods are new", counts.updated))
            } else {
                Verdict::Complete
            }
        }
    }
}

fn paused_or(state: &WorkloadState, message: String) -> Verdict {
    if state.paused {
        return Verdict::Failed(FailureCause::Paused);
    }
    Verdict::Waiting(message)
}

fn waiting(message: &str) -> Verdict {
    Verdict::Waiting(message.to_owned())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
    use serde_json::{Value, json};

    use super::*;

    fn deployment(generation: i64, status: &Value) -> WorkloadState {
        let object: Deployment = serde_json::from_value(json!({
            "metadata": { "name": "web", "generation": generation },
            "spec": { "replicas": 3, "selector": {}, "template": {} },
            "status": status,
        }))
        .unwrap();
        object.into()
    }

    fn status(observed: i64, total: i32, updated: i32, available: i32) -> Value {
        json!({ "observedGeneration": observed, "replicas": total, "updatedReplicas": updated,
                "readyReplicas": available, "availableReplicas": available })
    }

    #[test]
    fn a_deployment_is_complete_as_kubectl_says() {
        let table = [
            (
                2,
                status(1, 3, 3, 3),
                Verdict::Waiting("the controller has not seen the change yet".into()),
            ),
            (
                2,
                json!({}),
                Verdict::Waiting("the controller has not seen the change yet".into()),
            ),
            (
                1,
                status(1, 3, 1, 3),
                Verdict::Waiting("1 of 3 new pods are made".into()),
            ),
            (
                1,
                status(1, 4, 3, 3),
                Verdict::Waiting("2 of 3 new pods are ready".into()),
            ),
            (
                1,
                status(1, 4, 3, 4),
                Verdict::Waiting("1 old pod is still there".into()),
            ),
            (
                1,
                status(1, 3, 3, 2),
                Verdict::Waiting("2 of 3 pods are ready".into()),
            ),
            (1, status(1, 3, 3, 3), Verdict::Complete),
        ];
        for (generation, status, expected) in table {
            assert_eq!(
                verdict(&deployment(generation, &status)),
                expected,
                "{status}"
            );
        }
    }

    #[test]
    fn a_deadline_and_a_pause_end_the_waiting() {
        let mut late = status(1, 3, 1, 2);
        late["conditions"] = json!([{ "type": "Progressing", "status": "False",
            "reason": "ProgressDeadlineExceeded", "message": "timed out" }]);
        assert_eq!(
            verdict(&deployment(1, &late)),
            Verdict::Failed(FailureCause::DeadlineExceeded {
                message: "timed out".into()
            })
        );
        let mut paused = deployment(1, &status(1, 3, 1, 3));
        paused.paused = true;
        assert_eq!(verdict(&paused), Verdict::Failed(FailureCause::Paused));
        // Nothing is left to roll, so the pause does not matter.
        let mut complete = deployment(1, &status(1, 3, 3, 3));
        complete.paused = true;
        assert_eq!(verdict(&complete), Verdict::Complete);
    }

    #[test]
    fn nothing_to_run_is_complete() {
        let mut idle = deployment(1, &status(1, 0, 0, 0));
        idle.counts.desired = 0;
        assert_eq!(verdict(&idle), Verdict::Complete);
    }

    #[test]
    fn a_daemon_set_is_complete_as_kubectl_says() {
        let daemon = |updated: i32, available: i32, kind: &str| {
            let object: DaemonSet = serde_json::from_value(json!({
                "metadata": { "name": "agent", "generation": 1 },
                "spec": { "selector": {}, "template": {}, "updateStrategy": { "type": kind } },
                "status": { "observedGeneration": 1, "desiredNumberScheduled": 2,
                    "currentNumberScheduled": 2, "numberMisscheduled": 0, "numberReady": available,
                    "updatedNumberScheduled": updated, "numberAvailable": available },
            }))
            .unwrap();
            verdict(&object.into())
        };
        assert_eq!(
            daemon(1, 2, "RollingUpdate"),
            Verdict::Waiting("1 of 2 new pods are made".into())
        );
        assert_eq!(
            daemon(2, 1, "RollingUpdate"),
            Verdict::Waiting("1 of 2 pods are ready".into())
        );
        assert_eq!(daemon(2, 2, "RollingUpdate"), Verdict::Complete);
        // Old pods stay as they are; where there are none, the strategy does not matter.
        assert_eq!(
            daemon(1, 2, "OnDelete"),
            Verdict::Failed(FailureCause::OnDelete)
        );
        assert_eq!(
            daemon(2, 1, "OnDelete"),
            Verdict::Waiting("1 of 2 pods are ready".into())
        );
        assert_eq!(daemon(2, 2, "OnDelete"), Verdict::Complete);
    }

    #[test]
    fn a_stateful_set_whose_pods_somebody_deletes_fails_as_long_as_old_ones_are_there() {
        let set = |observed: i64, total: i32, updated: i32, ready: i32| {
            let object: StatefulSet = serde_json::from_value(json!({
                "metadata": { "name": "db", "generation": 2 },
                "spec": { "replicas": 3, "serviceName": "db", "selector": {}, "template": {},
                    "updateStrategy": { "type": "OnDelete" } },
                "status": { "observedGeneration": observed, "replicas": total,
                    "readyReplicas": ready, "updatedReplicas": updated },
            }))
            .unwrap();
            verdict(&object.into())
        };
        let table = [
            // The numbers are those of the template before.
            (
                set(1, 3, 3, 3),
                Verdict::Waiting("the controller has not seen the change yet".into()),
            ),
            (set(2, 3, 0, 3), Verdict::Failed(FailureCause::OnDelete)),
            (set(2, 3, 2, 3), Verdict::Failed(FailureCause::OnDelete)),
            // The last old one was deleted, and its successor is not made yet.
            (
                set(2, 2, 2, 2),
                Verdict::Waiting("2 of 3 pods are ready".into()),
            ),
            (set(2, 3, 3, 3), Verdict::Complete),
        ];
        for (found, expected) in table {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_stateful_set_respects_its_partition() {
        let set = |ready: i32, updated: i32, partition: i32| {
            let object: StatefulSet = serde_json::from_value(json!({
                "metadata": { "name": "db", "generation": 1 },
                "spec": { "replicas": 3, "serviceName": "db", "selector": {}, "template": {},
                    "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": partition } } },
                "status": { "observedGeneration": 1, "replicas": 3, "readyReplicas": ready,
                    "updatedReplicas": updated, "currentRevision": "a", "updateRevision": "b" },
            }))
            .unwrap();
            verdict(&object.into())
        };
        assert_eq!(
            set(2, 3, 0),
            Verdict::Waiting("2 of 3 pods are ready".into())
        );
        assert_eq!(set(3, 1, 0), Verdict::Waiting("1 of 3 pods are new".into()));
        assert_eq!(set(3, 1, 2), Verdict::Complete);
        assert_eq!(set(3, 3, 0), Verdict::Complete);
    }
}
