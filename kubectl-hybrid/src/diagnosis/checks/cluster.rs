//! Context, API server and namespace.

use crate::cluster::NamespaceState;
use crate::diagnosis::catalogue::{KU001, KU002, KU003};
use crate::diagnosis::facts::{ClusterFacts, Facts, Known};
use crate::diagnosis::finding::{Finding, Fix};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &facts.context {
        Known::Known(context) => {
            findings.extend(reachable(facts));
            findings.push(match &context.judgement {
                Ok(admitted) => Finding::ok(
                    KU002,
                    format!("context `{}` is {admitted}", context.context),
                )
                .evidence("server", &context.server),
                Err(refused) => Finding::error(KU002, refused.to_string())
                    .evidence("server", &context.server)
                    .fix(Fix::words(refused.hint(&facts.workspace))),
            });
        }
        Known::Unknown { reason, hint } => {
            findings.push(Finding::error(KU001, reason).maybe_fix(hint.as_deref()));
            findings.push(Finding::skipped(KU002, KU001));
        }
        Known::NotAsked => findings.extend(reachable(facts)),
    }
    match &facts.cluster {
        Known::Known(cluster) => findings.extend(namespace(cluster)),
        Known::Unknown { .. } => findings.push(Finding::skipped(KU003, KU001)),
        Known::NotAsked => {}
    }
    findings
}

fn reachable(facts: &Facts) -> Option<Finding> {
    match &facts.cluster {
        Known::Known(cluster) => Some(Finding::ok(
            KU001,
            format!("the API server answers: Kubernetes {}", cluster.version),
        )),
        Known::Unknown { reason, hint } => {
            Some(Finding::error(KU001, reason).maybe_fix(hint.as_deref()))
        }
        Known::NotAsked => None,
    }
}

fn namespace(cluster: &ClusterFacts) -> Option<Finding> {
    let name = &cluster.namespace;
    Some(match &cluster.namespace_state {
        Known::Known(NamespaceState::Active) => {
            Finding::ok(KU003, format!("namespace `{name}` exists"))
        }
        Known::Known(NamespaceState::Terminating) => {
            Finding::error(KU003, format!("namespace `{name}` is being deleted")).fix(Fix::command(
                "see what keeps it",
                format!("kubectl describe namespace {name}"),
            ))
        }
        Known::Known(NamespaceState::Missing) => {
            Finding::error(KU003, format!("there is no namespace `{name}`"))
                .fix(Fix::command("make it", "terraform apply"))
        }
        // A role that is limited to the namespace may not read it.
        Known::Unknown { reason, .. } => {
            Finding::new(KU003, crate::diagnosis::finding::Severity::Info, reason)
        }
        Known::NotAsked => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::run::tests::{lines, nothing};
    use super::*;
    use crate::cluster::guard::{Endpoint, judge};
    use crate::diagnosis::facts::ContextFacts;

    fn context(server: &str) -> Known<ContextFacts> {
        let endpoint = Endpoint {
            context: "work",
            server,
            tls_server_name: None,
            proxy_url: None,
        };
        Known::Known(ContextFacts {
            context: "work".to_owned(),
            server: server.to_owned(),
            judgement: judge(endpoint, &[]),
        })
    }

    #[test]
    fn a_server_that_does_not_answer_leaves_the_rest_unjudged() {
        let mut facts = nothing();
        facts.context = context("https://127.0.0.1:6443");
        facts.cluster = Known::unknown("the API server does not answer", None);
        assert_eq!(
            lines(&check(&facts)),
            [
                "HYB-KU001 error: the API server does not answer",
                "HYB-KU002 ok: context `work` is local",
                "HYB-KU003 skipped: not judged: HYB-KU001 failed",
            ]
        );
    }

    #[test]
    fn a_remote_context_is_an_error_with_the_way_to_list_it() {
        let mut facts = nothing();
        facts.context = context("https://api.prod.example.com");
        let findings = check(&facts);
        assert_eq!(findings[0].id, KU002);
        let fix = findings[0].fix.clone().unwrap().description;
        assert!(
            fix.contains("[workspaces.dev] contexts = [\"work\"]"),
            "{fix}"
        );
    }

    #[test]
    fn an_unknown_context_is_an_error_of_the_api_server_check() {
        let mut facts = nothing();
        facts.context = Known::unknown("there is no context `x`", None);
        assert_eq!(
            lines(&check(&facts)),
            [
                "HYB-KU001 error: there is no context `x`",
                "HYB-KU002 skipped: not judged: HYB-KU001 failed",
            ]
        );
    }
}
