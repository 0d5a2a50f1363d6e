//! Least power: what the logins of a secret may do, by the identity that they were minted as.

use ecr_hybrid::host::Registry;
use serde::Serialize;

use super::job::{Job, Wanted};
use crate::cluster::pull_secret::{PullSecretView, Reason, RegistryView};

/// What a login may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Power {
    /// It was minted through the contract's pull-only role.
    PullOnly,
    /// All that its identity may: the contract names no pull-only role for its account.
    Caller,
    /// All that its identity may, though the contract names a pull-only role.
    TooMuch,
}

impl Job {
    /// What a login may do. `None` when the contract has no say in its account, or nothing says
    /// whose it is.
    pub(super) fn power(&self, login: &RegistryView) -> Option<Power> {
        let Some(role) = &self.of_account(&login.key)?.role else {
            return Some(Power::Caller);
        };
        let found: Vec<&str> = login.principal.as_deref()?.split(", ").collect();
        match found.as_slice() {
            [one] if one == role => Some(Power::PullOnly),
            // Several identities were once said of all logins together.
            several if several.contains(&role.as_str()) => None,
            _ => Some(Power::TooMuch),
        }
    }

    /// Why a login has to be written anew when it may do too much.
    pub(super) fn too_much_power(&self, login: &RegistryView) -> Option<Reason> {
        if self.power(login) != Some(Power::TooMuch) {
            return None;
        }
        Some(Reason::TooMuchPower {
            registry: login.key.clone(),
            found: login.principal.clone()?,
            role: self.of_account(&login.key)?.role.clone()?,
        })
    }

    /// The wanted logins of a secret that may do too much.
    pub(super) fn all_with_too_much_power(&self, view: &PullSecretView) -> Vec<Reason> {
        let hosts = self.hosts();
        let wanted = hosts.iter().filter_map(|host| view.entry(host));
        wanted
            .filter_map(|login| self.too_much_power(login))
            .collect()
    }

    /// What the contract wants of the account of a registry.
    fn of_account(&self, key: &str) -> Option<&Wanted> {
        let registry = Registry::parse(key)?;
        let of_host = |wanted: &&Wanted| wanted.registry.host() == registry.host();
        let of_account = |wanted: &&Wanted| wanted.registry.account() == registry.account();
        let mut logins = self.logins.iter();
        let exact = logins.clone().find(of_host);
        exact.or_else(|| logins.find(of_account))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::namespaces::Scope;

    const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
    const SAME_ACCOUNT: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
    const ELSEWHERE: &str = "210987654321.dkr.ecr.us-east-1.amazonaws.com";
    const ROLE: &str = "arn:aws:iam::123456789012:role/shop-pull";

    fn job(role: Option<&str>) -> Job {
        Job {
            secret: "regcred".to_owned(),
            logins: vec![Wanted {
                registry: Registry::parse(HOST).unwrap(),
                role: role.map(str::to_owned),
            }],
            namespaces: Scope::default(),
            accounts: Vec::new(),
            unstick: true,
            force: false,
        }
    }

    fn login(registry: &str, principal: Option<&str>) -> RegistryView {
        RegistryView {
            key: registry.to_owned(),
            username: Some("AWS".to_owned()),
            expires_at: None,
            principal: principal.map(str::to_owned),
            source: None,
            problem: None,
        }
    }

    #[test]
    fn the_power_of_a_login_is_that_of_the_identity_it_was_minted_as() {
        use Power::{Caller, PullOnly, TooMuch};
        let joined = |others: &str| format!("{others}, {ROLE}");
        let table = [
            (Some(ROLE), HOST, Some(ROLE), Some(PullOnly)),
            (Some(ROLE), HOST, Some("access key AKID"), Some(TooMuch)),
            (
                Some(ROLE),
                HOST,
                Some("SSO session s, account 1, role dev"),
                Some(TooMuch),
            ),
            (Some(ROLE), HOST, None, None),
            (Some(ROLE), HOST, Some(&joined("one")), None),
            (Some(ROLE), HOST, Some(&joined("one, two")), None),
            (None, HOST, Some("access key AKID"), Some(Caller)),
            (None, HOST, None, Some(Caller)),
            // The role is for its account, in each region.
            (Some(ROLE), SAME_ACCOUNT, Some(ROLE), Some(PullOnly)),
            (Some(ROLE), SAME_ACCOUNT, Some("me"), Some(TooMuch)),
            (Some(ROLE), ELSEWHERE, Some("me"), None),
            (Some(ROLE), "ghcr.io", None, None),
        ];
        for (role, registry, principal, expected) in table {
            let (job, login) = (job(role), login(registry, principal));
            assert_eq!(job.power(&login), expected, "{role:?} {login:?}");
            let is_told = job.too_much_power(&login).is_some();
            assert_eq!(is_told, expected == Some(TooMuch), "{login:?}");
        }
    }

    #[test]
    fn too_much_power_is_told_with_the_identity_and_the_role() {
        let reason = job(Some(ROLE)).too_much_power(&login(HOST, Some("access key AKID")));
        assert_eq!(
            reason.unwrap().to_string(),
            format!("the login for {HOST} is of access key AKID, not of the pull-only role {ROLE}")
        );
    }
}
