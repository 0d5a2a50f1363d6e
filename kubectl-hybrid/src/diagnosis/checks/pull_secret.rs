//! The pull secret.

use jiff::SignedDuration;

use super::terraform::in_words;
use crate::cluster::pull_secret::PullSecretView;
use crate::diagnosis::catalogue::{KU001, PS001, PS002, PS003, PS004, PS005, PS006};
use crate::diagnosis::facts::{ClusterFacts, Facts, Known, SOON};
use crate::diagnosis::finding::{CheckId, Finding, Fix, Severity};

const SYNC: &str = "kubectl hybrid regcred sync";

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let cluster = match &facts.cluster {
        Known::Known(cluster) => cluster,
        Known::Unknown { .. } => {
            return [PS001, PS002, PS003, PS004]
                .map(|id| Finding::skipped(id, KU001))
                .into();
        }
        Known::NotAsked => return Vec::new(),
    };
    let name = &cluster.pull_secret_name;
    let rest_skipped = || [PS002, PS003].map(|id| Finding::skipped(id, PS001));
    let mut findings = Vec::new();
    match &cluster.pull_secret {
        Known::Known(Some(secret)) => {
            let presence = present(secret, name);
            let readable = presence.severity == Severity::Ok;
            findings.push(presence);
            if readable {
                findings.extend(registry(secret, facts, name));
                findings.extend(other_entries(secret, name));
                findings.extend(owner(secret, name));
            } else {
                findings.extend(rest_skipped());
            }
        }
        Known::Known(None) => {
            findings.push(
                Finding::error(
                    PS001,
                    format!(
                        "there is no pull secret `{name}` in namespace `{}`",
                        cluster.namespace
                    ),
                )
                .fix(Fix::command("make it", SYNC)),
            );
            findings.extend(rest_skipped());
        }
        Known::Unknown { reason, hint } => {
            findings.push(Finding::error(PS001, reason).maybe_fix(hint.as_deref()));
            findings.extend(rest_skipped());
        }
        Known::NotAsked => return findings,
    }
    findings.extend(users(cluster));
    findings
}

fn present(secret: &PullSecretView, name: &str) -> Finding {
    let object = format!("secret/{name}");
    if !secret.readable_type {
        return Finding::error(
            PS001,
            format!("the pull secret `{name}` has a type that the kubelet passes over"),
        )
        .evidence(format!("{object} type"), &secret.kind)
        .fix(
            Fix::command(
                "a type cannot be changed: delete it, and make it anew",
                format!(
                    "kubectl -n {} delete secret {name} && {SYNC}",
                    secret.namespace
                ),
            )
            .destructive(),
        );
    }
    if let Some(why) = &secret.unreadable {
        return Finding::error(
            PS001,
            format!("the pull secret `{name}` cannot be read: {why}"),
        )
        .fix(Fix::command("write it anew", SYNC));
    }
    Finding::ok(PS001, format!("the pull secret `{name}` is there"))
        .evidence("owner", secret.owner.to_string())
        .evidence("principal", secret.principal.clone().unwrap_or_default())
}

fn registry(secret: &PullSecretView, facts: &Facts, name: &str) -> Vec<Finding> {
    let Some(contract) = facts.contract.known() else {
        return Vec::new();
    };
    let registry = &contract.registry;
    let probe = format!("{registry}/any");
    let logins: Vec<_> = secret.entries_for(&probe).collect();
    if logins.is_empty() {
        let keys: Vec<String> = secret
            .registries
            .iter()
            .map(|entry| entry.key.escape_debug().to_string())
            .collect();
        let found = if keys.is_empty() {
            "none".to_owned()
        } else {
            keys.join(", ")
        };
        return vec![
            Finding::error(
                PS002,
                format!("the pull secret `{name}` has no login for {registry}"),
            )
            .evidence(format!("secret/{name} entries"), found)
            .fix(Fix::command("add it; other entries are kept", SYNC)),
            Finding::skipped(PS003, PS002),
        ];
    }
    let mut findings = vec![Finding::ok(
        PS002,
        format!("the pull secret `{name}` has a login for {registry}"),
    )];
    let soon = SignedDuration::try_from(SOON).unwrap_or(SignedDuration::MAX);
    let refresh = || Fix::command("refresh it; stuck pods are made anew", SYNC);
    findings.push(
        match logins.iter().filter_map(|login| login.expires_at).max() {
            None => Finding::warn(
                PS003,
                format!("nothing says when the login for {registry} expires"),
            )
            .fix(refresh()),
            Some(at) => {
                let left = at.duration_since(facts.now);
                let moment = format!("{at:.0}");
                if left.is_positive() && left >= soon {
                    Finding::ok(PS003, format!("the login expires in {}", in_words(left)))
                        .evidence("expires at", moment)
                } else if left.is_positive() {
                    Finding::warn(PS003, format!("the login expires in {}", in_words(left)))
                        .evidence("expires at", moment)
                        .fix(refresh())
                } else {
                    Finding::error(PS003, format!("the login expired {} ago", in_words(-left)))
                        .evidence("expires at", moment)
                        .fix(refresh())
                }
            }
        },
    );
    findings
}

fn other_entries(secret: &PullSecretView, name: &str) -> Vec<Finding> {
    let problems: Vec<_> = secret
        .registries
        .iter()
        .filter_map(|entry| Some((entry, entry.problem.as_deref()?)))
        .collect();
    if problems.is_empty() {
        return Vec::new();
    }
    // An entry without a login is only useless; one that cannot be read breaks the others.
    let breaks = problems
        .iter()
        .any(|(entry, why)| entry.username.is_none() && !why.starts_with("no login"));
    let severity = if breaks {
        Severity::Error
    } else {
        Severity::Info
    };
    let message = if breaks {
        format!("an entry of the pull secret `{name}` cannot be read, and that breaks all of them")
    } else {
        format!("the pull secret `{name}` has entries of no use")
    };
    let mut finding = Finding::new(PS005, severity, message);
    for (entry, why) in problems {
        finding = finding.evidence(format!("entry `{}`", entry.key.escape_debug()), why);
    }
    if breaks {
        finding = finding.fix(Fix::command("drop the entries that cannot be read", SYNC));
    }
    vec![finding]
}

fn owner(secret: &PullSecretView, name: &str) -> Option<Finding> {
    use crate::cluster::pull_secret::Owner;
    let Owner::Other { tool, evidence } = &secret.owner else {
        return None;
    };
    Some(
        Finding::warn(
            PS006,
            format!("{tool} keeps the pull secret `{name}`, so it is not refreshed"),
        )
        .evidence("mark", evidence)
        .fix(Fix::words(format!(
            "let {tool} refresh it, or name another pull secret for the workspace"
        ))),
    )
}

fn users(cluster: &ClusterFacts) -> Vec<Finding> {
    let name = &cluster.pull_secret_name;
    let account = &cluster.service_account;
    let states: Vec<_> = cluster
        .workloads
        .iter()
        .filter_map(|facts| Some((facts, facts.state.known()?.as_ref()?)))
        .collect();
    if states.is_empty() {
        return Vec::new();
    }
    let by_account = matches!(
        cluster.service_account_names_secret,
        Known::Known(Some(true))
    );
    let without: Vec<_> = states
        .iter()
        .filter(|(_, state)| {
            let own = state.pull_secrets.iter().any(|secret| secret == name);
            let inherited =
                state.pull_secrets.is_empty() && by_account && state.service_account == *account;
            !own && !inherited
        })
        .collect();
    if without.is_empty() {
        return vec![Finding::ok(
            PS004,
            format!("every workload uses the pull secret `{name}`"),
        )];
    }
    without
        .into_iter()
        .map(|(facts, state)| unlinked(PS004, &facts.workload.to_string(), state, name, account))
        .collect()
}

fn unlinked(
    id: CheckId,
    workload: &str,
    state: &crate::cluster::workload::WorkloadState,
    name: &str,
    account: &str,
) -> Finding {
    let own = if state.pull_secrets.is_empty() {
        "none".to_owned()
    } else {
        state.pull_secrets.join(", ")
    };
    Finding::error(
        id,
        format!("{workload} does not use the pull secret `{name}`"),
    )
    .evidence("pull secrets of the template", own)
    .evidence("service account", &state.service_account)
    .fix(Fix::words(format!(
        "name `{name}` in the pod template or in service account `{account}` (the Terraform \
             module does both), and restart {workload}"
    )))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use serde_json::{Value, json};

    use super::super::run::tests::{lines, nothing};
    use super::*;
    use crate::cluster::NamespaceState;
    use crate::cluster::pull_secret::view;
    use crate::diagnosis::facts::ContractFacts;

    const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

    fn facts(secret: Known<Option<PullSecretView>>) -> Facts {
        let mut facts = nothing();
        facts.contract = Known::Known(ContractFacts {
            workspace: "dev".to_owned(),
            source: "s3".to_owned(),
            account: "123456789012".to_owned(),
            registry: HOST.to_owned(),
            services: Vec::new(),
        });
        facts.cluster = Known::Known(ClusterFacts {
            version: "v1.34.2".to_owned(),
            namespace: "shop".to_owned(),
            namespace_state: Known::Known(NamespaceState::Active),
            pull_secret_name: "regcred".to_owned(),
            pull_secret: secret,
            service_account: "default".to_owned(),
            service_account_names_secret: Known::Known(Some(false)),
            workloads: Vec::new(),
        });
        facts
    }

    fn secret(config: &str, expires_at: &str, labels: &Value) -> Known<Option<PullSecretView>> {
        let data = base64::engine::general_purpose::STANDARD.encode(config.replace("HOST", HOST));
        Known::Known(Some(view(
            &serde_json::from_value(json!({
                "type": "kubernetes.io/dockerconfigjson",
                "metadata": { "name": "regcred", "namespace": "shop", "labels": labels,
                    "annotations": { "kubectl-hybrid.dev/expires-at": expires_at } },
                "data": { ".dockerconfigjson": data },
            }))
            .unwrap(),
        )))
    }

    const GOOD: &str = r#"{"auths":{"HOST":{"username":"AWS","password":"x"}}}"#;

    fn judged(secret: Known<Option<PullSecretView>>) -> Vec<String> {
        lines(&check(&facts(secret)))
            .iter()
            .map(|line| line.replace(HOST, "HOST"))
            .collect()
    }

    #[test]
    fn the_expiry_is_judged_by_what_is_left() {
        let line = |at: &str| judged(secret(GOOD, at, &json!({})))[2].clone();
        assert_eq!(
            line("2026-11-23T21:40:00Z"),
            "HYB-PS003 ok: the login expires in 11 h 40 min"
        );
        assert_eq!(
            line("2026-11-23T10:59:00Z"),
            "HYB-PS003 warn: the login expires in 59 min"
        );
        assert_eq!(
            line("2026-11-23T07:00:00Z"),
            "HYB-PS003 error: the login expired 3 h ago"
        );
        assert_eq!(
            line("2026-11-23T10:00:00Z"),
            "HYB-PS003 error: the login expired less than a minute ago"
        );
        assert_eq!(
            line("never"),
            "HYB-PS003 warn: nothing says when the login for HOST expires"
        );
    }

    #[test]
    fn a_missing_secret_skips_what_depends_on_it() {
        assert_eq!(
            judged(Known::Known(None)),
            [
                "HYB-PS001 error: there is no pull secret `regcred` in namespace `shop`",
                "HYB-PS002 skipped: not judged: HYB-PS001 failed",
                "HYB-PS003 skipped: not judged: HYB-PS001 failed",
            ]
        );
    }

    #[test]
    fn another_registry_is_named_with_what_is_there() {
        let other = secret(r#"{"auths":{"r.example":{"auth":"dTpw"}}}"#, "", &json!({}));
        let findings = check(&facts(other));
        assert_eq!(
            lines(&findings)[1].replace(HOST, "HOST"),
            "HYB-PS002 error: the pull secret `regcred` has no login for HOST"
        );
        assert_eq!(findings[1].evidence[0].value, "r.example");
    }

    #[test]
    fn an_entry_that_breaks_the_others_and_a_foreign_owner_are_named() {
        let config = GOOD.replace("}}}", r#"},"b.example":{"auth":"%"}}}"#);
        let found = judged(secret(
            &config,
            "2026-11-23T21:00:00Z",
            &json!({ "app.kubernetes.io/managed-by": "Helm" }),
        ));
        assert_eq!(
            found[3..],
            [
                "HYB-PS005 error: an entry of the pull secret `regcred` cannot be read, and that breaks all of them",
                "HYB-PS006 warn: Helm keeps the pull secret `regcred`, so it is not refreshed",
            ]
        );
    }
}
