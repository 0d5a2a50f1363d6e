//! What to do with a pull secret: a pure decision, shown by `--dry-run` and carried out by `apply`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ecr_hybrid::secret::Secret;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret as SecretObject;

use super::auths::{Document, Entry, Expiry};
use super::owner::Owner;
use super::reason::{Obstacle, Reason, Refusal};
use super::{
    ANNOTATION_EXPIRES_AT, ANNOTATION_ISSUED_AT, ANNOTATION_PRINCIPAL, ANNOTATION_REFRESHED_BY,
    ANNOTATION_REGISTRIES, ANNOTATION_SOURCE, DATA_KEY, LEGACY_KEY, LEGACY_TYPE, SECRET_TYPE,
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
    /// How the principal was come by, for example `profile dev`.
    pub source: Option<String>,
    /// When the first of the logins was issued: its life is counted from there.
    pub issued_at: Option<Timestamp>,
    /// The tool with its version, for example `kubectl-hybrid/0.1.0`.
    pub refreshed_by: String,
}

/// When to write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// A login that lives at least this much longer is left alone; one whose whole life is known to
    /// be shorter than twice that is left alone for half of it.
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
    /// It must not be written, and pulls work with what it holds.
    Stays {
        /// Why it must not be written.
        refusal: Refusal,
        /// When the first of the wanted logins ends, when that is known.
        expires_at: Option<Timestamp>,
    },
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
    let issued = annotation(existing, ANNOTATION_ISSUED_AT).and_then(|at| at.parse().ok());
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
                Some(at) if at.duration_since(now) < needed_life(at, issued, policy) => {
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

/// How much life a login that ends at `at` must have left.
fn needed_life(at: Timestamp, issued: Option<Timestamp>, policy: Policy) -> SignedDuration {
    let most = signed(policy.min_life);
    issued
        .map(|issued| at.duration_since(issued) / 2)
        .filter(SignedDuration::is_positive)
        .map_or(most, |half| half.min(most))
}

/// When [`assess`] will first find a reason, as far as time alone decides. `None` when a login does
/// not say when it ends, or is not there.
pub fn due_at(existing: &SecretObject, registries: &[&str], policy: Policy) -> Option<Timestamp> {
    let document = document_of(existing);
    let annotated = annotated_expiry(existing);
    let issued = annotation(existing, ANNOTATION_ISSUED_AT).and_then(|at| at.parse().ok());
    let mut first: Option<Timestamp> = None;
    for registry in registries {
        let Some(Entry::Login(login)) = document.entry(registry) else {
            return None;
        };
        let at = Expiry::of(&login.password, annotated).at()?;
        let due = at.checked_sub(needed_life(at, issued, policy)).ok()?;
        first = Some(first.map_or(due, |first| first.min(due)));
    }
    first
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
        return Plan::Create(write(Document::default(), wanted, marks, Before::default()));
    };
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
    let alive = reasons.iter().all(Reason::lets_pull);
    if policy.always && alive && !holds(&document, wanted) {
        reasons.push(Reason::RefusedByRegistry);
    }
    // Renewing failed, and what is kept elsewhere lives no longer than what is here.
    let only_age = reasons
        .iter()
        .all(|reason| matches!(reason, Reason::ExpiresSoon { .. }));
    let here = first_expiry(&document, existing, &registries);
    let better = wanted.iter().map(|login| login.expires_at).min();
    if only_age && !policy.always && here >= better {
        reasons.clear();
    }
    let refusal = refusal(existing, &registries, policy);
    match refusal.and_then(|refusal| refusal.weigh(&reasons)) {
        Some(Obstacle::Refused(refusal)) => return Plan::Refused(refusal),
        Some(Obstacle::Stays(refusal)) => {
            return Plan::Stays {
                refusal,
                expires_at: here,
            };
        }
        None if reasons.is_empty() => return Plan::Fresh(Fresh { expires_at: here }),
        None => {}
    }
    let dropped = document.drop_broken();
    if document.broken().is_some() {
        document = Document::default();
    }
    let before = Before {
        resource_version: existing.metadata.resource_version.clone(),
        registries: annotation(existing, ANNOTATION_REGISTRIES)
            .into_iter()
            .flat_map(|names| names.split(','))
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
        expires_at: annotated_expiry(existing),
    };
    Plan::Update {
        reasons,
        dropped,
        write: write(document, wanted, marks, before),
    }
}

/// Why `existing` must not be written, whatever it holds. [`Refusal::weigh`] says what that means.
pub fn refusal(existing: &SecretObject, registries: &[&str], policy: Policy) -> Option<Refusal> {
    if existing.metadata.deletion_timestamp.is_some() {
        return Some(Refusal::Terminating);
    }
    let found = existing.type_.as_deref().unwrap_or("Opaque");
    if found != SECRET_TYPE {
        return Some(Refusal::WrongType {
            found: found.to_owned(),
            foreign: foreign(existing, registries),
        });
    }
    if existing.immutable == Some(true) {
        return Some(Refusal::Immutable {
            foreign: foreign(existing, registries),
        });
    }
    match Owner::of(existing) {
        Owner::Other { tool, evidence } if !policy.take_over => {
            Some(Refusal::OwnedBy { tool, evidence })
        }
        _ => None,
    }
}

/// The keys of logins that are not ours to make anew.
fn foreign(existing: &SecretObject, registries: &[&str]) -> Vec<String> {
    let document = document_of(existing);
    let ours: BTreeSet<&str> = registries
        .iter()
        .flat_map(|registry| document.other_spellings(registry))
        .chain(registries.iter().copied())
        .collect();
    let foreign: BTreeSet<&str> = document
        .entries()
        .filter(|(key, entry)| !ours.contains(key) && !matches!(entry, Entry::Empty))
        .map(|(key, _)| key)
        .collect();
    foreign.into_iter().map(str::to_owned).collect()
}

/// What an update finds.
#[derive(Default)]
struct Before {
    resource_version: Option<String>,
    /// The registries that were kept until now: another workspace may keep them here as well.
    registries: Vec<String>,
    expires_at: Option<Timestamp>,
}

fn write(
    mut document: Document,
    wanted: &[RegistryLogin<'_>],
    marks: &Marks,
    before: Before,
) -> Write {
    for login in wanted {
        document.put(login.registry, login.username, login.password);
    }
    let mut registries: Vec<String> = wanted
        .iter()
        .map(|login| login.registry.to_owned())
        .collect();
    let expires_at = wanted.iter().map(|login| login.expires_at).min();
    let mut annotated = expires_at;
    for other in before.registries {
        if let (false, Some(Entry::Login(login))) =
            (registries.contains(&other), document.entry(&other))
        {
            annotated = annotated.min(Expiry::of(&login.password, before.expires_at).at());
            registries.push(other);
        }
    }
    let moment = |at: Option<Timestamp>| at.map(|at| format!("{at:.0}"));
    let annotations = BTreeMap::from([
        (ANNOTATION_EXPIRES_AT, moment(annotated.or(expires_at))),
        (ANNOTATION_ISSUED_AT, moment(marks.issued_at)),
        (ANNOTATION_REGISTRIES, Some(registries.join(","))),
        (ANNOTATION_PRINCIPAL, marks.principal.clone()),
        (ANNOTATION_SOURCE, marks.source.clone()),
        (ANNOTATION_REFRESHED_BY, Some(marks.refreshed_by.clone())),
    ]);
    Write {
        data: document.to_bytes(),
        annotations,
        resource_version: before.resource_version,
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
    let of = |key| Some(secret.data.as_ref()?.get(key)?.0.as_slice());
    let document = if secret.type_.as_deref() == Some(LEGACY_TYPE) {
        of(LEGACY_KEY).map(Document::parse_legacy)
    } else {
        of(DATA_KEY).map(Document::parse)
    };
    document.unwrap_or_default()
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
mod tests;
