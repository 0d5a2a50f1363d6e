//! Terraform.

use jiff::{SignedDuration, Timestamp};

use crate::diagnosis::catalogue::{TF003, TF010};
use crate::diagnosis::facts::{Facts, Known, LockFacts};
use crate::diagnosis::finding::{Finding, Fix, Severity};
use crate::terraform::lock::YOUNG;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &facts.contract {
        Known::Known(contract) => findings.push(
            Finding::ok(
                TF003,
                format!(
                    "the contract of workspace `{}` can be read",
                    contract.workspace
                ),
            )
            .evidence("source", &contract.source)
            .evidence("registry", &contract.registry)
            .evidence("services", contract.services.join(", ")),
        ),
        Known::Unknown { reason, hint } => {
            findings.push(Finding::error(TF003, reason).maybe_fix(hint.as_deref()));
        }
        Known::NotAsked => {}
    }
    match &facts.locks {
        Known::Known(locks) if locks.is_empty() => {
            findings.push(Finding::ok(TF010, "nobody holds the state's lock"));
        }
        Known::Known(locks) => {
            findings.extend(locks.iter().map(|lock| held(lock, facts.now)));
        }
        Known::Unknown { reason, hint } => {
            findings.push(Finding::warn(TF010, reason).maybe_fix(hint.as_deref()));
        }
        Known::NotAsked => {}
    }
    findings
}

fn held(lock: &LockFacts, now: Timestamp) -> Finding {
    let age = lock.created.map(|created| now.duration_since(created));
    // An age that is not known is not taken for a short one.
    let severity = match age {
        Some(age) if age < YOUNG && !lock.holder_is_dead => Severity::Warn,
        _ => Severity::Error,
    };
    let since = age
        .map(|age| format!(" for {}", in_words(age)))
        .unwrap_or_default();
    let who = if lock.who.is_empty() {
        "somebody"
    } else {
        &lock.who
    };
    Finding::new(
        TF010,
        severity,
        format!("{who} holds the state's lock{since}"),
    )
    .evidence("lock id", &lock.id)
    .evidence("place", &lock.place)
    .evidence("operation", &lock.operation)
    .evidence("holder", &lock.holder)
    .evidence(
        "since",
        lock.created
            .map(|at| format!("{at:.0}"))
            .unwrap_or_default(),
    )
    .fix(
        Fix::command(
            "ask the holder first; when that run is dead, release the lock",
            format!("kubectl hybrid unlock {}", lock.id),
        )
        .destructive(),
    )
}

/// `3 min`, `2 h 5 min`, `4 d`.
pub(crate) fn in_words(age: SignedDuration) -> String {
    let minutes = age.as_mins().max(0);
    match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        (0, 0, 0) => "less than a minute".to_owned(),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, _, _) => format!("{days} d"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::run::tests::{lines, nothing};
    use super::*;

    fn with_lock(created: Option<&str>) -> Facts {
        let mut facts = nothing();
        facts.locks = Known::Known(vec![LockFacts {
            id: "5c0f".to_owned(),
            place: "table hybrid-tflock".to_owned(),
            who: "ann@laptop".to_owned(),
            operation: "OperationTypeApply".to_owned(),
            created: created.map(|at| at.parse().unwrap()),
            holder: "on another machine, laptop".to_owned(),
            holder_is_dead: false,
        }]);
        facts
    }

    #[test]
    fn the_lock_of_a_dead_holder_is_an_error_however_young() {
        let mut facts = with_lock(Some("2026-11-23T09:59:00Z"));
        if let Known::Known(locks) = &mut facts.locks {
            locks[0].holder_is_dead = true;
        }
        assert_eq!(
            lines(&check(&facts)),
            ["HYB-TF010 error: ann@laptop holds the state's lock for 1 min"]
        );
    }

    #[test]
    fn a_young_lock_is_a_warning_and_an_old_one_an_error() {
        let table = [
            (
                Some("2026-11-23T09:57:00Z"),
                "HYB-TF010 warn: ann@laptop holds the state's lock for 3 min",
            ),
            (
                Some("2026-11-23T09:45:00Z"),
                "HYB-TF010 error: ann@laptop holds the state's lock for 15 min",
            ),
            (
                Some("2026-11-23T07:55:00Z"),
                "HYB-TF010 error: ann@laptop holds the state's lock for 2 h 5 min",
            ),
            // The holder's clock is ahead.
            (
                Some("2026-11-23T10:05:00Z"),
                "HYB-TF010 warn: ann@laptop holds the state's lock for less than a minute",
            ),
            (None, "HYB-TF010 error: ann@laptop holds the state's lock"),
        ];
        for (created, expected) in table {
            let findings = check(&with_lock(created));
            assert_eq!(lines(&findings), [expected]);
            let fix = findings[0].fix.clone().unwrap();
            assert_eq!(fix.command.as_deref(), Some("kubectl hybrid unlock 5c0f"));
            assert!(fix.destructive);
        }
    }

    #[test]
    fn a_free_state_is_well() {
        let mut facts = nothing();
        facts.locks = Known::Known(Vec::new());
        assert_eq!(
            lines(&check(&facts)),
            ["HYB-TF010 ok: nobody holds the state's lock"]
        );
    }
}
