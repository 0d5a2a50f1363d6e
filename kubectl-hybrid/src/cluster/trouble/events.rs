//! What the status of a pod leaves out and its events tell.

use super::cause::{Cause, Probe};
use super::pod::Trouble;
use super::pull_fault::PullFault;

/// What an event tells about a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// The reason, for example `Failed`, `FailedMount`, `Unhealthy` or `Killing`.
    pub reason: String,
    /// The text.
    pub message: String,
    /// The container, when the event is about one.
    pub container: Option<String>,
}

/// Whether the events may tell more than the status did.
pub fn is_open(trouble: &Trouble) -> bool {
    match &trouble.cause {
        Cause::Pull { fault } => *fault == PullFault::Unknown,
        Cause::Starting | Cause::NotReady { .. } | Cause::Crash { .. } => true,
        _ => false,
    }
}

/// A trouble with the cause that the pod's events tell, oldest first.
///
/// Kubelets before 1.32 keep the cause of a failed pull in the events only. Volumes that cannot be
/// mounted and probes that fail are nowhere else.
pub fn explain(mut trouble: Trouble, happened: &[Happening]) -> Trouble {
    let newest = |reasons: &[&str]| {
        happened
            .iter()
            .rev()
            .find(|event| reasons.contains(&event.reason.as_str()))
    };
    match trouble.cause {
        Cause::Pull {
            fault: PullFault::Unknown,
        } => {
            let told = happened.iter().rev().find_map(|event| {
                let fault = PullFault::of_message(&event.message);
                (event.reason == "Failed" && fault != PullFault::Unknown)
                    .then_some((fault, &event.message))
            });
            if let Some((fault, message)) = told {
                trouble.cause = Cause::Pull { fault };
                trouble.message.clone_from(message);
            }
        }
        Cause::Starting => {
            // What comes after the mounts says that they succeeded in the end.
            let told = newest(&[
                "FailedMount",
                "FailedAttachVolume",
                "FailedMapVolume",
                "FailedCreatePodSandBox",
                "Pulling",
                "Pulled",
            ]);
            if let Some(event) = told.filter(|event| event.reason.starts_with("Failed")) {
                trouble.message.clone_from(&event.message);
                trouble.cause = if event.reason == "FailedCreatePodSandBox" {
                    Cause::Sandbox
                } else if is_missing_object(&event.message) {
                    Cause::MissingConfig
                } else {
                    Cause::Volume
                };
            }
        }
        Cause::NotReady { restarts } => {
            if let Some(probe) = killed_by(&trouble, happened).filter(|_| restarts > 0) {
                trouble.cause = Cause::Probe {
                    probe,
                    kills: restarts,
                };
            }
            say_probe(&mut trouble, happened);
        }
        Cause::Crash { restarts, .. } => {
            if let Some(probe) = killed_by(&trouble, happened) {
                trouble.cause = Cause::Probe {
                    probe,
                    kills: restarts + 1,
                };
                say_probe(&mut trouble, happened);
            }
        }
        _ => {}
    }
    trouble
}

/// `MountVolume.SetUp failed for volume "x" : secret "absent" not found`.
fn is_missing_object(message: &str) -> bool {
    message.contains("not found")
        && ["secret \"", "configmap \"", "persistentvolumeclaim \""]
            .iter()
            .any(|kind| message.contains(kind))
}

fn is_about(trouble: &Trouble, event: &Happening) -> bool {
    event.container.is_none() || event.container == trouble.container
}

/// The probe because of which the kubelet kills this container, in the kubelet's own words.
fn killed_by(trouble: &Trouble, happened: &[Happening]) -> Option<Probe> {
    happened
        .iter()
        .rev()
        .filter(|event| event.reason == "Killing" && is_about(trouble, event))
        .find_map(|event| {
            if event.message.contains("failed liveness probe") {
                Some(Probe::Liveness)
            } else if event.message.contains("failed startup probe") {
                Some(Probe::Startup)
            } else {
                None
            }
        })
}

/// Puts in what the probe said last.
fn say_probe(trouble: &mut Trouble, happened: &[Happening]) {
    let wanted = match trouble.cause {
        Cause::Probe {
            probe: Probe::Liveness,
            ..
        } => "Liveness probe",
        Cause::Probe {
            probe: Probe::Startup,
            ..
        } => "Startup probe",
        _ => "",
    };
    let said = happened.iter().rev().find(|event| {
        event.reason == "Unhealthy" && is_about(trouble, event) && event.message.starts_with(wanted)
    });
    if let Some(event) = said {
        event.message.trim().clone_into(&mut trouble.message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(cause: Cause) -> Trouble {
        Trouble {
            namespace: "shop".to_owned(),
            pod: "web-1".to_owned(),
            pod_uid: "u".to_owned(),
            container: Some("web".to_owned()),
            image: None,
            cause,
            message: String::new(),
        }
    }

    fn event(reason: &str, message: &str) -> Happening {
        Happening {
            reason: reason.to_owned(),
            message: message.to_owned(),
            container: None,
        }
    }

    #[test]
    fn events_lead_to_the_cause_that_the_status_leaves_out() {
        let back_off = Cause::Pull {
            fault: PullFault::Unknown,
        };
        let table = [
            (
                back_off,
                vec![
                    event("Failed", "403 Forbidden"),
                    event("BackOff", "Back-off pulling"),
                ],
                Cause::Pull {
                    fault: PullFault::Forbidden,
                },
                "403 Forbidden",
            ),
            (
                Cause::Starting,
                vec![event(
                    "FailedMount",
                    "MountVolume.SetUp failed for volume \"c\" : configmap \"absent\" not found",
                )],
                Cause::MissingConfig,
                "MountVolume.SetUp failed for volume \"c\" : configmap \"absent\" not found",
            ),
            (
                Cause::Starting,
                vec![event(
                    "FailedMount",
                    "hostPath type check failed: /x is not a file",
                )],
                Cause::Volume,
                "hostPath type check failed: /x is not a file",
            ),
            (
                Cause::Starting,
                vec![event(
                    "FailedCreatePodSandBox",
                    "plugin type=\"bridge\" failed",
                )],
                Cause::Sandbox,
                "plugin type=\"bridge\" failed",
            ),
            (Cause::Starting, vec![], Cause::Starting, ""),
            (
                Cause::Starting,
                vec![
                    event("FailedMount", "timed out"),
                    event("Pulling", "Pulling image"),
                ],
                Cause::Starting,
                "",
            ),
            (
                Cause::NotReady { restarts: 0 },
                vec![event("Unhealthy", "Readiness probe failed: HTTP 503\n")],
                Cause::NotReady { restarts: 0 },
                "Readiness probe failed: HTTP 503",
            ),
            (
                Cause::NotReady { restarts: 2 },
                vec![
                    event("Unhealthy", "Liveness probe failed: HTTP 500"),
                    event("Unhealthy", "Readiness probe failed: HTTP 503"),
                    event(
                        "Killing",
                        "Container web failed liveness probe, will be restarted",
                    ),
                ],
                Cause::Probe {
                    probe: Probe::Liveness,
                    kills: 2,
                },
                "Liveness probe failed: HTTP 500",
            ),
            (
                Cause::Crash {
                    exit_code: 137,
                    restarts: 0,
                },
                vec![
                    event("Unhealthy", "Startup probe failed: no"),
                    event(
                        "Killing",
                        "Container web failed startup probe, will be restarted",
                    ),
                ],
                Cause::Probe {
                    probe: Probe::Startup,
                    kills: 1,
                },
                "Startup probe failed: no",
            ),
            (
                Cause::Crash {
                    exit_code: 1,
                    restarts: 0,
                },
                vec![event("Unhealthy", "Liveness probe failed: HTTP 500")],
                Cause::Crash {
                    exit_code: 1,
                    restarts: 0,
                },
                "",
            ),
        ];
        for (cause, events, expected, message) in table {
            let explained = explain(trouble(cause), &events);
            assert_eq!(explained.cause, expected);
            assert_eq!(explained.message, message);
        }
    }

    #[test]
    fn an_event_of_another_container_tells_nothing() {
        let mut other = event("Killing", "Container side failed liveness probe");
        other.container = Some("side".to_owned());
        let crash = Cause::Crash {
            exit_code: 1,
            restarts: 0,
        };
        assert_eq!(explain(trouble(crash.clone()), &[other]).cause, crash);
    }
}
