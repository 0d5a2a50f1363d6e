//! What is wrong with a pull secret, and when something will be.

use ecr_hybrid::host::Registry;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret as SecretObject;

use super::auths::{Credential, Entry};
use super::marks::Marks;
use super::plan::{Policy, document_of};
use super::reason::Reason;

/// What is wrong with `existing`, for these registries. Empty means that nothing has to be minted.
pub fn assess(
    existing: Option<&SecretObject>,
    registries: &[&str],
    username: &str,
    now: Timestamp,
    policy: Policy,
) -> Vec<Reason> {
    let Some(existing) = existing else {
        return vec![Reason::NoSecret];
    };
    let document = document_of(existing);
    if let Some(why) = document.broken() {
        return vec![Reason::Unreadable {
            why: why.to_owned(),
        }];
    }
    let marks = Marks::of(existing);
    let mut reasons = Vec::new();
    for (key, entry) in document.entries() {
        if let Entry::Broken(why) = entry {
            reasons.push(Reason::BrokenEntry {
                key: key.to_owned(),
                why,
            });
        }
    }
    for registry in registries {
        let named = || (*registry).to_owned();
        match document.login(registry) {
            // Named above.
            None if matches!(document.entry(registry), Some(Entry::Broken(_))) => {}
            None => reasons.push(Reason::Missing { registry: named() }),
            Some((_, login)) if login.username != username => {
                reasons.push(Reason::Username {
                    registry: named(),
                    found: login.username,
                });
            }
            Some((key, login)) => match Age::of(key, &login, &marks) {
                None => reasons.push(Reason::UnknownExpiry { registry: named() }),
                Some(age) => reasons.extend(age.judged(registry, now, policy)),
            },
        }
        for key in document.other_spellings(registry) {
            reasons.push(Reason::OtherSpelling {
                registry: named(),
                key: key.to_owned(),
            });
        }
    }
    reasons
}

/// The logins for Amazon ECR beside these registries, and other spellings of them, that have ended
/// or end too soon: of other workspaces, accounts and regions, whoever wrote them.
pub fn aged(
    existing: &SecretObject,
    registries: &[&str],
    now: Timestamp,
    policy: Policy,
) -> Vec<Reason> {
    let document = document_of(existing);
    let marks = Marks::of(existing);
    let judged_elsewhere: Vec<&str> = registries
        .iter()
        .flat_map(|registry| document.other_spellings(registry))
        .chain(registries.iter().copied())
        .collect();
    let mut reasons = Vec::new();
    for (key, entry) in document.entries() {
        if let Entry::Login(login) = entry
            && Registry::parse(key).is_some()
            && !judged_elsewhere.contains(&key)
            && let Some(age) = Age::of(key, &login, &marks)
        {
            reasons.extend(age.judged(key, now, policy));
        }
    }
    reasons
}

/// When [`assess`] will first find a reason, as far as time alone decides. `None` when a login does
/// not say when it ends, or is not there.
pub fn due_at(existing: &SecretObject, registries: &[&str], policy: Policy) -> Option<Timestamp> {
    let document = document_of(existing);
    let marks = Marks::of(existing);
    let mut first: Option<Timestamp> = None;
    for registry in registries {
        let Some(Entry::Login(login)) = document.entry(registry) else {
            return None;
        };
        let age = Age::of(registry, &login, &marks)?;
        let due = age.ends.checked_sub(age.needed_life(policy)).ok()?;
        first = Some(first.map_or(due, |first| first.min(due)));
    }
    first
}

/// How old a login is.
struct Age {
    ends: Timestamp,
    issued: Option<Timestamp>,
}

impl Age {
    /// `None` when nothing says when the login ends.
    fn of(registry: &str, login: &Credential, marks: &Marks) -> Option<Self> {
        Some(Self {
            ends: marks.expiry_of(registry, login).at()?,
            issued: marks.origin_of(registry, login).issued_at,
        })
    }

    fn judged(&self, registry: &str, now: Timestamp, policy: Policy) -> Option<Reason> {
        let (registry, at) = (registry.to_owned(), self.ends);
        if at <= now {
            Some(Reason::Expired { registry, at })
        } else if at.duration_since(now) < self.needed_life(policy) {
            Some(Reason::ExpiresSoon { registry, at })
        } else {
            None
        }
    }

    /// How much life must be left.
    fn needed_life(&self, policy: Policy) -> SignedDuration {
        let most = SignedDuration::try_from(policy.min_life).unwrap_or(SignedDuration::MAX);
        self.issued
            .map(|issued| self.ends.duration_since(issued) / 2)
            .filter(SignedDuration::is_positive)
            .map_or(most, |half| half.min(most))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use serde_json::json;

    use super::*;
    use crate::cluster::pull_secret::{ANNOTATION_LOGINS, SECRET_TYPE};

    const WANTED: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
    const OTHER: &str = "210987654321.dkr.ecr.us-east-1.amazonaws.com";

    fn told(auths: &serde_json::Value, marks: &serde_json::Value) -> Vec<String> {
        let config = json!({ "auths": auths }).to_string();
        let data = base64::engine::general_purpose::STANDARD.encode(config);
        let secret = serde_json::from_value(json!({
            "type": SECRET_TYPE,
            "metadata": { "annotations": { ANNOTATION_LOGINS: marks.to_string() } },
            "data": { ".dockerconfigjson": data },
        }))
        .unwrap();
        let policy = Policy {
            min_life: std::time::Duration::from_hours(1),
            ..Policy::default()
        };
        let now = "2026-11-23T10:00:00Z".parse().unwrap();
        let reasons = aged(&secret, &[WANTED], now, policy);
        reasons.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn other_registries_of_ecr_are_judged_by_their_age_alone() {
        let login = json!({ "username": "AWS", "password": "opaque" });
        let ends = |at: &str| {
            told(
                &json!({ OTHER: login }),
                &json!({ OTHER: { "expiresAt": at } }),
            )
        };
        assert_eq!(
            ends("2026-11-23T09:00:00Z"),
            [format!(
                "the login for {OTHER} expired at 2026-11-23T09:00:00Z"
            )]
        );
        assert_eq!(
            ends("2026-11-23T10:59:00Z"),
            [format!(
                "the login for {OTHER} expires at 2026-11-23T10:59:00Z"
            )]
        );
        assert!(ends("2026-11-23T11:00:00Z").is_empty());
        // A short life is past its half, or is not.
        let of_an_hour = |ends: &str, issued: &str| {
            let mark = json!({ OTHER: { "expiresAt": ends, "issuedAt": issued } });
            told(&json!({ OTHER: login }), &mark).len()
        };
        assert_eq!(
            of_an_hour("2026-11-23T10:40:00Z", "2026-11-23T09:40:00Z"),
            0
        );
        assert_eq!(
            of_an_hour("2026-11-23T10:20:00Z", "2026-11-23T09:20:00Z"),
            1
        );
    }

    #[test]
    fn what_says_no_expiry_or_is_not_ecr_or_is_wanted_is_not_judged_here() {
        let dead = json!({ "expiresAt": "2026-11-23T09:00:00Z" });
        let login = json!({ "username": "AWS", "password": "opaque" });
        let spelling = format!("https://{WANTED}");
        for key in [WANTED, &spelling, "r.example"] {
            assert!(
                told(&json!({ key: login }), &json!({ key: dead })).is_empty(),
                "{key}"
            );
        }
        assert!(told(&json!({ OTHER: login }), &json!({ WANTED: dead })).is_empty());
        assert!(told(&json!({ OTHER: {} }), &json!({ OTHER: dead })).is_empty());
        // Another spelling is a login all the same.
        let spelling = format!("https://{OTHER}");
        assert_eq!(
            told(&json!({ &spelling: login }), &json!({ &spelling: dead })).len(),
            1
        );
    }
}
