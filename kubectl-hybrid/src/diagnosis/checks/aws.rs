//! AWS.

use crate::diagnosis::catalogue::{AW001, AW002};
use crate::diagnosis::facts::{Facts, Known};
use crate::diagnosis::finding::{Finding, Fix};

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let identity = match &facts.identity {
        Known::Known(identity) => identity,
        Known::Unknown { reason, hint } => {
            let mut findings = vec![Finding::error(AW001, reason).maybe_fix(hint.as_deref())];
            if facts.contract.known().is_some() {
                findings.push(Finding::skipped(AW002, AW001));
            }
            return findings;
        }
        Known::NotAsked => return Vec::new(),
    };
    let mut findings = vec![
        Finding::ok(AW001, format!("AWS accepts {}", identity.arn))
            .evidence("credentials", &identity.source),
    ];
    if let Some(contract) = facts.contract.known() {
        findings.push(if identity.account == contract.account {
            Finding::ok(
                AW002,
                format!(
                    "the identity is of the registry's account {}",
                    contract.account
                ),
            )
        } else {
            Finding::warn(
                AW002,
                format!(
                    "the identity is of account {}, and the registry of account {}",
                    identity.account, contract.account
                ),
            )
            .evidence("identity", &identity.arn)
            .evidence("registry", &contract.registry)
            .fix(Fix::words(
                "choose the profile of the registry's account with `AWS_PROFILE`, unless the \
                 repository policy lets this account in",
            ))
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::run::tests::{lines, nothing};
    use super::*;
    use crate::diagnosis::facts::{ContractFacts, IdentityFacts};

    fn facts(account: &str) -> Facts {
        let mut facts = nothing();
        facts.identity = Known::Known(IdentityFacts {
            arn: format!("arn:aws:iam::{account}:user/dev"),
            account: account.to_owned(),
            source: "profile dev".to_owned(),
        });
        facts.contract = Known::Known(ContractFacts {
            workspace: "dev".to_owned(),
            source: "s3".to_owned(),
            account: "123456789012".to_owned(),
            registry: "123456789012.dkr.ecr.eu-central-1.amazonaws.com".to_owned(),
            services: Vec::new(),
        });
        facts
    }

    #[test]
    fn another_account_is_a_warning() {
        assert_eq!(
            lines(&check(&facts("123456789012")))[1],
            "HYB-AW002 ok: the identity is of the registry's account 123456789012"
        );
        assert_eq!(
            lines(&check(&facts("210987654321")))[1],
            "HYB-AW002 warn: the identity is of account 210987654321, and the registry of account \
             123456789012"
        );
    }

    #[test]
    fn an_expired_login_is_said_with_its_hint() {
        let mut facts = facts("123456789012");
        facts.identity = Known::unknown("the SSO session of profile `dev` has ended", None);
        assert_eq!(
            lines(&check(&facts)),
            [
                "HYB-AW001 error: the SSO session of profile `dev` has ended",
                "HYB-AW002 skipped: not judged: HYB-AW001 failed",
            ]
        );
    }
}
