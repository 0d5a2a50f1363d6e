//! What to do with a pull secret: a pure decision, shown by `--dry-run` and carried out by `apply`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ecr_hybrid::secret::Secret;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret as SecretObject;

use super::assess::assess;
use super::auths::{Document, Entry};
use super::marks::{Marks, Origin, lists};
use super::owner::Owner;
use super::reason::{Obstacle, Reason, Refusal};
use super::{DATA_KEY, LEGACY_KEY, LEGACY_TYPE, SECRET_TYPE};

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
    /// Where it comes from, when that is known.
    pub origin: Option<&'a Origin>,
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

/// Decides what to do so that `existing` holds the `wanted` logins. `refreshed_by` is the tool with
/// its version, for example `kubectl-hybrid 0.1.0`.
pub fn plan(
    existing: Option<&SecretObject>,
    wanted: &[RegistryLogin<'_>],
    refreshed_by: &str,
    now: Timestamp,
    policy: Policy,
) -> Plan {
    let Some(existing) = existing else {
        let (document, marks) = (Document::default(), Marks::default());
        return Plan::Create(write(document, wanted, marks, None, refreshed_by));
    };
    let marks = Marks::of(existing);
    let registries: Vec<&str> = wanted.iter().map(|login| login.registry).collect();
    let username = wanted.first().map_or("AWS", |login| login.username);
    let mut reasons = assess(Some(existing), &registries, username, now, policy);
    let mut document = document_of(existing);
    for login in wanted {
        reasons.extend(other_principal(&document, &marks, login));
    }
    let alive = reasons.iter().all(Reason::lets_pull);
    if policy.always && alive && !holds(&document, wanted) {
        reasons.push(Reason::RefusedByRegistry);
    }
    // Renewing failed, and what is kept elsewhere lives no longer than what is here.
    let only_age = reasons
        .iter()
        .all(|reason| matches!(reason, Reason::ExpiresSoon { .. }));
    let here = first_expiry(&document, &marks, &registries);
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
    let version = existing.metadata.resource_version.clone();
    Plan::Update {
        reasons,
        dropped,
        write: write(document, wanted, marks, version, refreshed_by),
    }
}

/// A login that stands for another identity than the one that would take its place.
fn other_principal(
    document: &Document,
    marks: &Marks,
    wanted: &RegistryLogin<'_>,
) -> Option<Reason> {
    let Some(Entry::Login(login)) = document.entry(wanted.registry) else {
        return None;
    };
    let found = marks.origin_of(wanted.registry, &login).principal?;
    let principal = wanted.origin?.principal.as_deref()?;
    // Several were said of all logins together once.
    (!lists(&found, principal)).then(|| Reason::Principal {
        registry: wanted.registry.to_owned(),
        found,
    })
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

fn write(
    mut document: Document,
    wanted: &[RegistryLogin<'_>],
    mut marks: Marks,
    resource_version: Option<String>,
    refreshed_by: &str,
) -> Write {
    for login in wanted {
        document.put(login.registry, login.username, login.password);
    }
    let expires_at = wanted.iter().map(|login| login.expires_at).min();
    // Another workspace may keep its registries here as well.
    let mut kept: Vec<(String, Option<Timestamp>)> = Vec::new();
    for other in marks.registries() {
        let is_known = wanted.iter().any(|login| login.registry == other)
            || kept.iter().any(|(registry, _)| registry == other);
        if let (false, Some(Entry::Login(login))) = (is_known, document.entry(other)) {
            kept.push((other.clone(), marks.expiry_of(other, &login).at()));
        }
    }
    let ends = kept.iter().filter_map(|(_, ends)| *ends);
    let annotated = ends.chain(expires_at).min();
    marks.renew(wanted, &kept);
    Write {
        data: document.to_bytes(),
        annotations: marks.annotations(annotated, refreshed_by),
        resource_version,
        registries: marks.registries().to_vec(),
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

fn first_expiry(document: &Document, marks: &Marks, registries: &[&str]) -> Option<Timestamp> {
    registries
        .iter()
        .filter_map(|registry| {
            let (key, login) = document.login(registry)?;
            marks.expiry_of(key, &login).at()
        })
        .min()
}

pub(super) fn document_of(secret: &SecretObject) -> Document {
    let of = |key| Some(secret.data.as_ref()?.get(key)?.0.as_slice());
    let (newer, older) = (
        || of(DATA_KEY).map(Document::parse),
        || of(LEGACY_KEY).map(Document::parse_legacy),
    );
    let document = match secret.type_.as_deref() {
        Some(SECRET_TYPE) => newer(),
        Some(LEGACY_TYPE) => older(),
        // The kubelet reads none of it; who is told to delete it is told what it holds.
        _ => newer().or_else(older),
    };
    document.unwrap_or_default()
}

#[cfg(test)]
mod tests;
