//! What to do with a pull secret: a pure decision, shown by `--dry-run` and carried out by `apply`.

use std::collections::BTreeMap;
use std::time::Duration;

use ecr_hybrid::secret::Secret;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret as SecretObject;

use super::auths::{Document, Entry, Expiry};
use super::owner::Owner;
use super::reason::{Reason, Refusal};
use super::{
    ANNOTATION_EXPIRES_AT, ANNOTATION_PRINCIPAL, ANNOTATION_REFRESHED_BY, ANNOTATION_REGISTRIES,
    DATA_KEY, SECRET_TYPE,
};

/// A login that the secret shall hold.
#[derive(Clone, Copy)]
pub struct RegistryLogin<'a> {
    /// The bare host of the registry.
    pub registry: &'a str,
    /// The user name: `AWS` for Amazon ECR.
    pub username: &'a str,
    /// The password.
    pub password: &'a Secret,
    /// When the password ends.
    pub expires_at: Timestamp,
}

/// What is written beside the logins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// The ARN that the logins stand for, when it is known.
    pub principal: Option<String>,
    /// The tool with its version, for example `kubectl-hybrid/0.1.0`.
    pub refreshed_by: String,
}

/// When to write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// A login that lives at least this much longer is left alone.
    pub min_life: Duration,
    /// Write even where the logins look fresh: the registry refused them.
    pub always: bool,
    /// Write even where another tool keeps the secret.
    pub take_over: bool,
}

/// What to do.
pub enum Plan {
    /// There is no secret yet.
    Create(Write),
    /// There is one, and something about it has to change.
    Update {
        /// What is wrong with it. Never empty.
        reasons: Vec<Reason>,
        /// Keys that are dropped because the kubelet fails on them.
        dropped: Vec<String>,
        /// What to write.
        write: Write,
    },
    /// Nothing to do.
    Fresh(Fresh),
    /// It must not be written.
    Refused(Refusal),
}

/// Everything is in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    /// When the first of the wanted logins ends, when that is known.
    pub expires_at: Option<Timestamp>,
}

/// The content to write. It has no `Debug`: what is inside is secret.
pub struct Write {
    /// The value of `.dockerconfigjson`.
    pub(super) data: Vec<u8>,
    /// Our annotations. `None` takes one away.
    pub(super) annotations: BTreeMap<&'static str, Option<String>>,
    /// The version that was read, for an update.
    pub(super) resource_version: Option<String>,
    /// The registries that are written.
    pub registries: Vec<String>,
    /// When the first of the written logins ends.
    pub expires_at: Option<Timestamp>,
}

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
    let annotated = annotated_expiry(existing);
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
        match document.entry(registry) {
            None | Some(Entry::Empty) => reasons.push(Reason::Missing { registry: named() }),
            // Named above.
            Some(Entry::Broken(_)) => {}
            Some(Entry::Login(login)) if login.username != username => {
                reasons.push(Reason::Username {
                    registry: named(),
                    found: login.username,
                });
            }
            Some(Entry::Login(login)) => match Expiry::of(&login.password, annotated).at() {
                None => reasons.push(Reason::UnknownExpiry { registry: named() }),
                Some(at) if at <= now => reasons.push(Reason::Expired {
                    registry: named(),
                    at,
                }),
                Some(at) if at.duration_since(now) < signed(policy.min_life) => {
                    reasons.push(Reason::ExpiresSoon {
                        registry: named(),
                        at,
                    });
                }
                Some(_) => {}
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

/// Decides what to do so that `existing` holds the `wanted` logins.
pub fn plan(
    existing: Option<&SecretObject>,
    wanted: &[RegistryLogin<'_>],
    marks: &Marks,
    now: Timestamp,
    policy: Policy,
) -> Plan {
    let Some(existing) = existing else {
        return Plan::Create(write(Document::default(), wanted, marks, None));
    };
    let found = existing.type_.as_deref().unwrap_or("Opaque");
    if found != SECRET_TYPE {
        return Plan::Refused(Refusal::WrongType {
            found: found.to_owned(),
        });
    }
    if existing.metadata.deletion_timestamp.is_some() {
        return Plan::Refused(Refusal::Terminating);
    }
    let registries: Vec<&str> = wanted.iter().map(|login| login.registry).collect();
    let username = wanted.first().map_or("AWS", |login| login.username);
    let mut reasons = assess(Some(existing), &registries, username, now, policy);
    let mut document = document_of(existing);
    if let (Some(found), Some(wanted)) = (
        annotation(existing, ANNOTATION_PRINCIPAL),
        marks.principal.as_deref(),
    ) && found != wanted
    {
        reasons.push(Reason::Principal {
            found: found.to_owned(),
        });
    }
    if policy.always && reasons.is_empty() && !holds(&document, wanted) {
        reasons.push(Reason::RefusedByRegistry);
    }
    if reasons.is_empty() {
        return Plan::Fresh(Fresh {
            expires_at: first_expiry(&document, existing, &registries),
        });
    }
    if existing.immutable == Some(true) {
        return Plan::Refused(Refusal::Immutable);
    }
    if let Owner::Other { tool, evidence } = Owner::of(existing)
        && !policy.take_over
    {
        return Plan::Refused(Refusal::OwnedBy { tool, evidence });
    }
    let dropped = document.drop_broken();
    if document.broken().is_some() {
        document = Document::default();
    }
    let version = existing.metadata.resource_version.clone();
    Plan::Update {
        reasons,
        dropped,
        write: write(document, wanted, marks, version),
    }
}

fn write(
    mut document: Document,
    wanted: &[RegistryLogin<'_>],
    marks: &Marks,
    resource_version: Option<String>,
) -> Write {
    for login in wanted {
        document.put(login.registry, login.username, login.password);
    }
    let expires_at = wanted.iter().map(|login| login.expires_at).min();
    let registries: Vec<String> = wanted
        .iter()
        .map(|login| login.registry.to_owned())
        .collect();
    let annotations = BTreeMap::from([
        (
            ANNOTATION_EXPIRES_AT,
            expires_at.map(|at| format!("{at:.0}")),
        ),
        (ANNOTATION_REGISTRIES, Some(registries.join(","))),
        (ANNOTATION_PRINCIPAL, marks.principal.clone()),
        (ANNOTATION_REFRESHED_BY, Some(marks.refreshed_by.clone())),
    ]);
    Write {
        data: document.to_bytes(),
        annotations,
        resource_version,
        registries,
        expires_at,
    }
}

/// Whether the secret has these very logins, so that writing them again would change nothing.
fn holds(document: &Document, wanted: &[RegistryLogin<'_>]) -> bool {
    wanted
        .iter()
        .all(|login| match document.entry(login.registry) {
            Some(Entry::Login(found)) => {
                found.username == login.username
                    && found.password.expose() == login.password.expose()
            }
            _ => false,
        })
}

fn first_expiry(
    document: &Document,
    secret: &SecretObject,
    registries: &[&str],
) -> Option<Timestamp> {
    let annotated = annotated_expiry(secret);
    registries
        .iter()
        .filter_map(|registry| match document.entry(registry) {
            Some(Entry::Login(login)) => Expiry::of(&login.password, annotated).at(),
            _ => None,
        })
        .min()
}

pub(super) fn document_of(secret: &SecretObject) -> Document {
    match secret.data.as_ref().and_then(|data| data.get(DATA_KEY)) {
        Some(bytes) => Document::parse(&bytes.0),
        None => Document::default(),
    }
}

pub(super) fn annotation<'a>(secret: &'a SecretObject, name: &str) -> Option<&'a str> {
    secret
        .metadata
        .annotations
        .as_ref()?
        .get(name)
        .map(String::as_str)
}

pub(super) fn annotated_expiry(secret: &SecretObject) -> Option<Timestamp> {
    annotation(secret, ANNOTATION_EXPIRES_AT)?.parse().ok()
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use serde_json::json;

    use super::*;

    const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
    const NOW: &str = "2026-11-23T10:00:00Z";
    const LATER: &str = "2026-11-23T22:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn policy() -> Policy {
        Policy {
            min_life: Duration::from_hours(6),
            ..Policy::default()
        }
    }

    fn marks() -> Marks {
        Marks {
            principal: Some("arn:aws:iam::123456789012:role/dev".to_owned()),
            refreshed_by: "kubectl-hybrid/0.1.0".to_owned(),
        }
    }

    fn secret(auths: &str, expires_at: Option<&str>) -> SecretObject {
        let mut secret: SecretObject = serde_json::from_value(json!({
            "type": SECRET_TYPE,
            "metadata": { "name": "regcred", "uid": "u", "resourceVersion": "7" },
        }))
        .unwrap();
        secret.data = Some(BTreeMap::from([(
            DATA_KEY.to_owned(),
            ByteString(auths.as_bytes().to_vec()),
        )]));
        if let Some(at) = expires_at {
            secret.metadata.annotations = Some(BTreeMap::from([(
                ANNOTATION_EXPIRES_AT.to_owned(),
                at.to_owned(),
            )]));
        }
        secret
    }

    fn ours(username: &str) -> String {
        format!(r#"{{"auths":{{"{HOST}":{{"username":"{username}","password":"old"}}}}}}"#)
    }

    fn plan_of(existing: Option<&SecretObject>, policy: Policy) -> Plan {
        let password = Secret::new("new".to_owned());
        let login = RegistryLogin {
            registry: HOST,
            username: "AWS",
            password: &password,
            expires_at: LATER.parse().unwrap(),
        };
        plan(existing, &[login], &marks(), now(), policy)
    }

    fn verdict(plan: &Plan) -> String {
        match plan {
            Plan::Create(_) => "create".to_owned(),
            Plan::Update {
                reasons, dropped, ..
            } => {
                let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
                format!("update: {}; dropped {dropped:?}", reasons.join("; ")).replace(HOST, "HOST")
            }
            Plan::Fresh(fresh) => format!("fresh until {:?}", fresh.expires_at),
            Plan::Refused(refusal) => format!("refused: {refusal}"),
        }
    }

    #[test]
    fn the_plan_follows_what_is_there() {
        let table = [
            (
                secret(&ours("AWS"), Some("2026-11-23T16:00:00Z")),
                "fresh until Some(2026-11-23T16:00:00Z)",
            ),
            (
                secret(&ours("AWS"), Some("2026-11-23T15:59:59Z")),
                "update: the login for HOST expires at 2026-11-23T15:59:59Z; dropped []",
            ),
            (
                secret(&ours("AWS"), Some("2026-11-23T10:00:00Z")),
                "update: the login for HOST expired at 2026-11-23T10:00:00Z; dropped []",
            ),
            (
                secret(&ours("AWS"), None),
                "update: nothing says when the login for HOST expires; dropped []",
            ),
            (
                secret(&ours("AWS"), Some("tomorrow")),
                "update: nothing says when the login for HOST expires; dropped []",
            ),
            (
                secret(&ours("aws"), Some(LATER)),
                "update: the user name for HOST is `aws`; dropped []",
            ),
            (
                secret("{}", Some(LATER)),
                "update: no login for HOST; dropped []",
            ),
            (
                secret(&format!(r#"{{"auths":{{"{HOST}":{{}}}}}}"#), Some(LATER)),
                "update: no login for HOST; dropped []",
            ),
            (
                secret("nonsense", Some(LATER)),
                "update: its content cannot be read: it is no JSON, line 1 column 2; dropped []",
            ),
            (
                secret(
                    &ours("AWS").replace("}}}", r#"},"x.example":{"auth":"%"}}}"#),
                    Some(LATER),
                ),
                "update: the entry `x.example` cannot be read: `auth` is no base64; dropped [\"x.example\"]",
            ),
            (
                secret(
                    &ours("AWS").replace("}}}", &format!(r#"}},"https://{HOST}":{{}}}}}}"#)),
                    Some(LATER),
                ),
                "update: HOST is listed as `https://HOST` as well; dropped []",
            ),
        ];
        for (existing, expected) in table {
            assert_eq!(verdict(&plan_of(Some(&existing), policy())), expected);
        }
        assert_eq!(verdict(&plan_of(None, policy())), "create");
    }

    #[test]
    fn what_must_not_be_written_is_refused_with_the_reason() {
        let stale = || secret("{}", None);
        let mut opaque = stale();
        opaque.type_ = Some("Opaque".to_owned());
        let mut frozen = stale();
        frozen.immutable = Some(true);
        let mut helm = stale();
        helm.metadata.labels = Some(BTreeMap::from([(
            "app.kubernetes.io/managed-by".to_owned(),
            "Helm".to_owned(),
        )]));
        let table = [
            (
                &opaque,
                "refused: its type is `Opaque` instead of `kubernetes.io/dockerconfigjson`, and a type cannot be changed",
            ),
            (&frozen, "refused: it is immutable"),
            (
                &helm,
                "refused: Helm keeps it (app.kubernetes.io/managed-by=Helm) and would undo the change",
            ),
        ];
        for (existing, expected) in table {
            assert_eq!(verdict(&plan_of(Some(existing), policy())), expected);
        }
        let take_over = Policy {
            take_over: true,
            ..policy()
        };
        assert!(verdict(&plan_of(Some(&helm), take_over)).starts_with("update"));
    }

    #[test]
    fn an_immutable_secret_that_is_fresh_needs_nothing() {
        let mut frozen = secret(&ours("AWS"), Some(LATER));
        frozen.immutable = Some(true);
        assert!(verdict(&plan_of(Some(&frozen), policy())).starts_with("fresh"));
    }

    #[test]
    fn another_identity_is_a_reason_to_write() {
        let mut existing = secret(&ours("AWS"), Some(LATER));
        let annotations = existing.metadata.annotations.as_mut().unwrap();
        annotations.insert(
            ANNOTATION_PRINCIPAL.to_owned(),
            "arn:aws:iam::1:user/x".to_owned(),
        );
        assert!(verdict(&plan_of(Some(&existing), policy())).contains("another identity"));
    }

    #[test]
    fn always_writes_unless_the_very_login_is_there() {
        let always = Policy {
            always: true,
            ..policy()
        };
        let fresh = secret(&ours("AWS"), Some(LATER));
        assert!(verdict(&plan_of(Some(&fresh), always)).contains("does not accept"));
        let same = secret(&ours("AWS").replace("old", "new"), Some(LATER));
        assert!(verdict(&plan_of(Some(&same), always)).starts_with("fresh"));
    }

    #[test]
    fn what_is_written_keeps_the_version_and_the_foreign_entries() {
        let existing = secret(r#"{"auths":{"r.example":{ "auth":"dTpw" }}}"#, None);
        match plan_of(Some(&existing), policy()) {
            Plan::Update { write, .. } => {
                let data = String::from_utf8(write.data).unwrap();
                assert!(data.contains(r#""r.example":{ "auth":"dTpw" }"#), "{data}");
                assert!(data.contains(r#""password":"new""#), "{data}");
                assert_eq!(write.resource_version.as_deref(), Some("7"));
                assert_eq!(
                    write.annotations[ANNOTATION_EXPIRES_AT].as_deref(),
                    Some(LATER)
                );
                assert_eq!(
                    write.annotations[ANNOTATION_REGISTRIES].as_deref(),
                    Some(HOST)
                );
            }
            other => unreachable!("{}", verdict(&other)),
        }
    }
}
