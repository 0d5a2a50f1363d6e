//! What keeps a pod from running, and how long to wait for it to pass.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::pull_fault::PullFault;

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
    /// The kubelet kills its process because a probe fails.
    Probe {
        /// Which probe.
        probe: Probe,
        /// How often it was killed.
        kills: i32,
    },
    /// Its process cannot be started: no such command, a mount that fails.
    CannotStart,
    /// A `Secret`, a `ConfigMap` or a volume claim that it needs is missing.
    MissingConfig,
    /// One of its volumes cannot be mounted.
    Volume,
    /// The node cannot make the pod's sandbox: its network, for example.
    Sandbox,
    /// No node can take it.
    Unschedulable,
    /// It was evicted or failed as a whole.
    Failed,
    /// It runs, and its readiness or startup probe does not pass.
    NotReady {
        /// How often it was started again.
        restarts: i32,
    },
    /// It is being made: pulled, mounted, started.
    Starting,
}

/// The probes whose failure ends a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Probe {
    /// The liveness probe.
    Liveness,
    /// The startup probe.
    Startup,
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
    /// How long to wait, when a crash counts as final after `crashes` crashes. `message` is what
    /// the cluster says about it.
    pub fn patience(&self, crashes: i32, message: &str) -> Patience {
        match self {
            Self::Pull { fault } if fault.may_heal() => Patience::For(Duration::from_secs(20)),
            Self::Pull { .. } | Self::OutOfMemory { .. } | Self::CannotStart => Patience::None,
            Self::Crash { restarts, .. } if restarts + 1 >= crashes => Patience::None,
            // One that was slow once may be faster with warm caches; not twice.
            Self::Probe { kills, .. } if *kills >= 2 => Patience::None,
            Self::Crash { .. } | Self::Probe { .. } | Self::NotReady { .. } | Self::Starting => {
                Patience::UntilTimeout
            }
            // Whoever makes the missing object may be at it this moment.
            Self::MissingConfig => Patience::For(Duration::from_secs(5)),
            Self::Volume | Self::Sandbox => Patience::For(Duration::from_secs(20)),
            // An evicted pod is replaced.
            Self::Failed => Patience::For(Duration::from_secs(10)),
            Self::Unschedulable => Patience::For(unschedulable(message)),
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
                f.write_str("a secret, config map or volume claim that the pod needs is missing")
            }
            Self::Probe { probe, kills } => {
                write!(f, "the container is killed because its {probe} probe fails")?;
                if *kills > 1 {
                    write!(f, ", {kills} times so far")
                } else {
                    Ok(())
                }
            }
            Self::Volume => f.write_str("a volume of the pod cannot be mounted"),
            Self::Sandbox => f.write_str("the node cannot set the pod up"),
            Self::Unschedulable => f.write_str("no node can take the pod"),
            Self::Failed => f.write_str("the pod failed"),
            Self::NotReady { .. } => f.write_str("the container runs but is not ready"),
            Self::Starting => f.write_str("the pod is being made"),
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Liveness => "liveness",
            Self::Startup => "startup",
        })
    }
}

/// How long a pod may stay without a node. A local cluster gets no new nodes, and a label or a
/// taint does not change by itself; pods that end make room, and claims get their volumes.
fn unschedulable(message: &str) -> Duration {
    let may_pass = ["Insufficient", "Too many pods", "free ports", "unbound"];
    if may_pass.iter().any(|words| message.contains(words)) {
        Duration::from_secs(20)
    } else {
        Duration::from_secs(5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_is_final_after_the_number_that_was_asked_for() {
        let crash = |restarts| {
            Cause::Crash {
                exit_code: 1,
                restarts,
            }
            .patience(3, "")
        };
        assert_eq!(crash(0), Patience::UntilTimeout);
        assert_eq!(crash(1), Patience::UntilTimeout);
        assert_eq!(crash(2), Patience::None);
    }

    #[test]
    fn what_a_scheduler_says_decides_how_long_it_is_believed() {
        let seconds = |message| match Cause::Unschedulable.patience(3, message) {
            Patience::For(time) => time.as_secs(),
            other => unreachable!("{other:?}"),
        };
        assert_eq!(
            seconds("0/1 nodes are available: 1 Insufficient memory."),
            20
        );
        assert_eq!(
            seconds(
                "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
            ),
            5
        );
        assert_eq!(
            seconds("0/1 nodes are available: persistentvolumeclaim \"data\" not found."),
            5
        );
    }
}
