//! All checks, in the order of the catalogue.

use super::{aws, cluster, docker, pull_secret, terraform, workloads};
use crate::diagnosis::facts::Facts;
use crate::diagnosis::finding::{Finding, Severity, Summary};

/// Judges the facts. Facts that were not asked for give no findings.
pub fn run(facts: &Facts) -> Vec<Finding> {
    [
        docker::check(facts),
        aws::check(facts),
        terraform::check(facts),
        cluster::check(facts),
        pull_secret::check(facts),
        workloads::check(facts),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Counts findings by severity.
pub fn summary(findings: &[Finding]) -> Summary {
    let mut summary = Summary::default();
    for finding in findings {
        let count = match finding.severity {
            Severity::Ok => &mut summary.ok,
            Severity::Info => &mut summary.info,
            Severity::Warn => &mut summary.warn,
            Severity::Error => &mut summary.error,
            Severity::Skipped => &mut summary.skipped,
        };
        *count += 1;
    }
    summary
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::diagnosis::facts::Known;

    /// Facts of which nothing was asked for.
    pub(crate) fn nothing() -> Facts {
        Facts {
            now: "2026-11-23T10:00:00Z".parse().unwrap(),
            workspace: "dev".to_owned(),
            engine: Known::NotAsked,
            identity: Known::NotAsked,
            contract: Known::NotAsked,
            locks: Known::NotAsked,
            context: Known::NotAsked,
            cluster: Known::NotAsked,
        }
    }

    /// `ID severity: message`, one line for each finding.
    pub(crate) fn lines(findings: &[Finding]) -> Vec<String> {
        findings
            .iter()
            .map(|finding| {
                let severity = format!("{:?}", finding.severity).to_lowercase();
                format!("{} {severity}: {}", finding.id, finding.message)
            })
            .collect()
    }

    #[test]
    fn what_was_not_asked_for_is_not_judged() {
        assert_eq!(lines(&run(&nothing())), Vec::<String>::new());
    }

    #[test]
    fn findings_are_counted_and_serialised_with_stable_names() {
        let mut facts = nothing();
        facts.engine = Known::unknown("no Docker engine answers", Some("start it".to_owned()));
        let findings = run(&facts);
        assert_eq!(
            summary(&findings),
            Summary {
                error: 1,
                ..Summary::default()
            }
        );
        let json = serde_json::to_value(&findings[0]).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "id": "HYB-DK001", "category": "Docker", "title": "Docker engine",
                "severity": "error", "message": "no Docker engine answers", "evidence": [],
                "fix": { "description": "start it", "destructive": false },
            })
        );
    }
}
