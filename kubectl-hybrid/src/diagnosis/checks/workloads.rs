//! The workloads and their pods.

use crate::cluster::trouble::{Cause, PullFault, Trouble};
use crate::cluster::workload::WorkloadState;
use crate::diagnosis::catalogue::{KU001, PD001, PD002, PD003, PD004, PD005, PD008};
use crate::diagnosis::facts::{ClusterFacts, Facts, Known, PodFacts, WorkloadFacts};
use crate::diagnosis::finding::{Finding, Fix};
use crate::diagnosis::pull_cause::{PullContext, explain_pull};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let cluster = match &facts.cluster {
        Known::Known(cluster) => cluster,
        Known::Unknown { .. } => {
            return [PD001, PD002, PD008]
                .map(|id| Finding::skipped(id, KU001))
                .into();
        }
        Known::NotAsked => return Vec::new(),
    };
    let mut findings: Vec<Finding> = cluster
        .workloads
        .iter()
        .flat_map(|workload| workload_findings(facts, cluster, workload))
        .collect();
    findings.sort_by_key(|finding| finding.id);
    findings
}

fn workload_findings(
    facts: &Facts,
    cluster: &ClusterFacts,
    workload: &WorkloadFacts,
) -> Vec<Finding> {
    let name = &workload.workload;
    let state = match &workload.state {
        Known::Known(Some(state)) => state,
        Known::Known(None) => {
            return vec![
                Finding::error(
                    PD008,
                    format!("there is no {name} in namespace `{}`", name.namespace),
                )
                .fix(Fix::command("make it", "terraform apply")),
            ];
        }
        Known::Unknown { reason, hint } => {
            return vec![Finding::error(PD008, reason).maybe_fix(hint.as_deref())];
        }
        Known::NotAsked => return Vec::new(),
    };
    let empty = Vec::new();
    let pods = workload.pods.known().unwrap_or(&empty);
    let mut findings = Vec::new();
    // One finding for each cause: ten replicas that cannot pull are one trouble.
    let mut seen: Vec<(
        std::mem::Discriminant<Cause>,
        Option<PullFault>,
        Option<&String>,
    )> = Vec::new();
    for pod in pods {
        for trouble in &pod.troubles {
            let key = (
                std::mem::discriminant(&trouble.cause),
                trouble.cause.pull_fault(),
                trouble.container.as_ref(),
            );
            if seen.contains(&key) {
                continue;
            }
            seen.push(key);
            findings.extend(trouble_finding(facts, cluster, workload, pod, trouble));
        }
    }
    if findings.is_empty() {
        findings.push(readiness(state, pods));
    }
    findings.extend(moving_tag(workload, state));
    findings
}

fn readiness(state: &WorkloadState, pods: &[PodFacts]) -> Finding {
    let counts = state.counts;
    let name = &state.workload;
    if counts.ready >= counts.desired {
        return Finding::ok(
            PD008,
            format!(
                "{name}: {} of {} pods are ready",
                counts.ready, counts.desired
            ),
        );
    }
    let message = format!(
        "{name}: {} of {} pods are ready",
        counts.ready, counts.desired
    );
    let failure = state
        .condition("ReplicaFailure")
        .map(|condition| condition.message.clone());
    let mut finding = Finding::warn(PD008, message)
        .evidence(
            "pods",
            pods.iter()
                .map(|pod| pod.name.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        )
        .evidence("no pod can be made", failure.unwrap_or_default());
    if state.paused {
        finding = finding.evidence("paused", "true").fix(Fix::command(
            "resume it",
            format!("kubectl -n {} rollout resume {name}", name.namespace),
        ));
    }
    finding
}

fn trouble_finding(
    facts: &Facts,
    cluster: &ClusterFacts,
    workload: &WorkloadFacts,
    pod: &PodFacts,
    trouble: &Trouble,
) -> Option<Finding> {
    let name = &workload.workload;
    let namespace = &name.namespace;
    let id = match trouble.cause {
        Cause::Pull { fault } => return Some(pull(facts, cluster, workload, pod, trouble, fault)),
        Cause::Crash { .. } | Cause::OutOfMemory { .. } | Cause::Probe { .. } => PD002,
        Cause::MissingConfig | Cause::CannotStart | Cause::Volume | Cause::Sandbox => PD003,
        Cause::Unschedulable => PD004,
        Cause::Failed => PD008,
        // Starting takes its time; the counts of the workload tell.
        Cause::NotReady { .. } | Cause::Starting => return None,
    };
    let finding = Finding::error(id, format!("{name}: {}", trouble.cause))
        .evidence(format!("pod/{}", trouble.pod), &trouble.message);
    Some(match &trouble.cause {
        Cause::Crash { .. } | Cause::OutOfMemory { .. } | Cause::Probe { .. } => pod
            .last_words
            .iter()
            .fold(finding, |finding, line| finding.evidence("it wrote", line))
            .fix(Fix::command(
                "read all that it wrote",
                trouble.logs_command(),
            )),
        Cause::MissingConfig => finding.fix(Fix::words(
            "make the missing object; the pod goes on by itself",
        )),
        _ => finding.fix(Fix::command(
            "see the pod",
            format!("kubectl -n {namespace} describe pod {}", trouble.pod),
        )),
    })
}

fn pull(
    facts: &Facts,
    cluster: &ClusterFacts,
    workload: &WorkloadFacts,
    pod: &PodFacts,
    trouble: &Trouble,
    fault: PullFault,
) -> Finding {
    let image = trouble.image.as_deref().unwrap_or_default();
    let names = matches!(
        cluster.service_account_names_secret,
        Known::Known(Some(true))
    );
    let context = PullContext {
        now: facts.now,
        namespace: &cluster.namespace,
        secret_name: &cluster.pull_secret_name,
        secret: cluster.pull_secret.known().map(Option::as_ref),
        service_account: &cluster.service_account,
        account_names_secret: cluster.service_account_names_secret.known().map(|_| names),
        pod_secrets: &pod.pull_secrets,
        service: &workload.service,
        image,
    };
    let cause = explain_pull(fault, context);
    let mut finding = Finding::error(
        PD001,
        format!(
            "{} cannot pull its image: {}",
            workload.workload, cause.message
        ),
    )
    .evidence("image", image)
    .evidence(format!("pod/{}", trouble.pod), &trouble.message);
    for evidence in cause.evidence {
        finding = finding.evidence(evidence.key, evidence.value);
    }
    finding.fix = cause.fix;
    finding
}

fn moving_tag(workload: &WorkloadFacts, state: &WorkloadState) -> Option<Finding> {
    let container = state.container(&workload.container)?;
    let pinned = container.digest().is_some();
    if pinned || container.pull_policy.as_deref() != Some("IfNotPresent") {
        return None;
    }
    Some(
        Finding::warn(
            PD005,
            format!(
                "{}: a node that has {} keeps it, and a restart pulls nothing new",
                workload.workload, container.image
            ),
        )
        .evidence("imagePullPolicy", "IfNotPresent")
        .fix(Fix::command(
            "pin the digest",
            format!("kubectl hybrid deploy {}", workload.service),
        )),
    )
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;
    use serde_json::json;

    use super::super::run::tests::{lines, nothing};
    use super::*;
    use crate::cluster::NamespaceState;
    use crate::cluster::workload::WorkloadRef;
    use crate::project::contract::WorkloadKind;

    fn trouble(cause: Cause, message: &str) -> Trouble {
        Trouble {
            namespace: "shop".to_owned(),
            pod: "web-1".to_owned(),
            pod_uid: "u".to_owned(),
            container: Some("web".to_owned()),
            image: Some("r.example/web@sha256:00".to_owned()),
            cause,
            message: message.to_owned(),
        }
    }

    fn facts(image: &str, ready: i32, troubles: Vec<Trouble>) -> Facts {
        let object: Deployment = serde_json::from_value(json!({
            "metadata": { "name": "web", "namespace": "shop" },
            "spec": { "replicas": 2, "selector": {}, "template": { "spec": { "containers": [
                { "name": "web", "image": image, "imagePullPolicy": "IfNotPresent" }] } } },
            "status": { "readyReplicas": ready },
        }))
        .unwrap();
        let pod = |name: &str| PodFacts {
            name: name.to_owned(),
            created: None,
            pull_secrets: vec!["regcred".to_owned()],
            troubles: troubles.clone(),
            last_words: vec!["no database".to_owned()],
        };
        let mut facts = nothing();
        facts.cluster = Known::Known(ClusterFacts {
            version: "v1.34.2".to_owned(),
            namespace: "shop".to_owned(),
            namespace_state: Known::Known(NamespaceState::Active),
            pull_secret_name: "regcred".to_owned(),
            pull_secret: Known::Known(None),
            service_account: "default".to_owned(),
            service_account_names_secret: Known::Known(Some(true)),
            workloads: vec![WorkloadFacts {
                service: "web".to_owned(),
                workload: WorkloadRef {
                    kind: WorkloadKind::Deployment,
                    namespace: "shop".to_owned(),
                    name: "web".to_owned(),
                },
                container: "web".to_owned(),
                state: Known::Known(Some(object.into())),
                pods: Known::Known(vec![pod("web-1"), pod("web-2")]),
            }],
        });
        facts
    }

    const PINNED: &str = "r.example/web@sha256:00";

    #[test]
    fn the_same_trouble_of_two_pods_is_one_finding() {
        let fault = PullFault::Forbidden;
        let findings = check(&facts(
            PINNED,
            0,
            vec![trouble(Cause::Pull { fault }, "403")],
        ));
        assert_eq!(
            lines(&findings),
            [
                "HYB-PD001 error: deployment/web cannot pull its image: the pull secret `regcred` does \
              not exist in namespace `shop`"
            ]
        );
    }

    #[test]
    fn a_crash_comes_with_its_last_words_and_the_command_for_more() {
        let cause = Cause::Crash {
            exit_code: 3,
            restarts: 2,
        };
        let findings = check(&facts(PINNED, 0, vec![trouble(cause, "")]));
        assert_eq!(
            lines(&findings),
            [
                "HYB-PD002 error: deployment/web: the container ends with exit code 3, 3 times so far"
            ]
        );
        assert_eq!(findings[0].evidence[0].value, "no database");
        assert_eq!(
            findings[0].fix.clone().unwrap().command.as_deref(),
            Some("kubectl -n shop logs web-1 -c web --previous")
        );
    }

    #[test]
    fn ready_pods_are_well_and_missing_ones_a_warning() {
        assert_eq!(
            lines(&check(&facts(PINNED, 2, Vec::new()))),
            ["HYB-PD008 ok: deployment/web: 2 of 2 pods are ready"]
        );
        assert_eq!(
            lines(&check(&facts(PINNED, 1, Vec::new()))),
            ["HYB-PD008 warn: deployment/web: 1 of 2 pods are ready"]
        );
    }

    #[test]
    fn a_tag_that_a_node_keeps_is_a_warning() {
        let found = lines(&check(&facts("r.example/web:dev", 2, Vec::new())));
        assert!(found[0].starts_with("HYB-PD005 warn"), "{found:?}");
    }
}
