//! What has to be done, namespace by namespace. Writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use futures::stream::{self, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use serde::Serialize;

use super::job::Job;
use super::{MINIMUM_LIFE, in_cluster};
use crate::cluster::pods::{self, Remedy, StuckPod};
use crate::cluster::pull_secret::{
    self, Obstacle, Policy, PullSecretError, Reason, Refusal, SecretRef,
};
use crate::cluster::{AT_A_TIME, Cluster, FIELD_MANAGER, listing, service_account};
use crate::error::CommandError;

/// What is to be done in one namespace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SecretPlan {
    /// The namespace.
    pub(crate) namespace: String,
    /// The secret's name.
    pub(crate) name: String,
    /// Why it is written. Empty: it stays as it is.
    pub(crate) reasons: Vec<Reason>,
    /// Why it is not written all the same.
    #[serde(flatten)]
    pub(crate) obstacle: Option<Obstacle>,
    /// When the token that is there ends.
    pub(crate) expires_at: Option<Timestamp>,
    /// Service accounts that get the secret.
    pub(crate) link: Vec<String>,
    /// Pods that wait for better credentials.
    pub(crate) stuck_pods: Vec<StuckPod>,
    /// The secret as it was seen, so that it need not be read again.
    #[serde(skip)]
    pub(super) seen: Seen,
    /// When we wrote it last, by the cluster's clock.
    #[serde(skip)]
    refreshed: Option<Timestamp>,
    /// Why it must not be written, whether or not it has to be.
    #[serde(skip)]
    untouchable: Option<Refusal>,
}

/// A secret as it was seen. Its `Debug` form has no content.
pub(super) enum Seen {
    /// As it was read; `None` when there is none.
    Known(Option<Box<Secret>>),
    /// It is not kept.
    Dropped,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known(Some(_)) => "Known",
            Self::Known(None) => "Missing",
            Self::Dropped => "Dropped",
        })
    }
}

impl SecretPlan {
    /// Whether there is anything to do, or to say.
    pub(super) fn is_idle(&self) -> bool {
        self.reasons.is_empty() && self.obstacle.is_none() && self.link.is_empty() && !self.wakes()
    }

    /// Whether the secret is written.
    pub(super) fn writes(&self) -> bool {
        !self.reasons.is_empty() && self.obstacle.is_none()
    }

    /// The error that the plan ends with, when the secret has to be written and must not be.
    pub(super) fn refused(&self) -> Option<PullSecretError> {
        match &self.obstacle {
            Some(Obstacle::Refused(refusal)) => Some(PullSecretError::Refused {
                secret: self.secret(),
                refusal: refusal.clone(),
            }),
            _ => None,
        }
    }

    /// The secret.
    pub(super) fn secret(&self) -> SecretRef {
        SecretRef {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    fn wakes(&self) -> bool {
        self.stuck_pods
            .iter()
            .any(|pod| pod.remedy == Remedy::Recreate)
    }
}

/// The plans, and what could not be planned.
pub(super) struct Plans {
    pub(super) made: Vec<SecretPlan>,
    pub(super) failed: Vec<(String, CommandError)>,
    /// Namespaces whose pods or accounts could not be looked at, in words.
    pub(super) warnings: Vec<String>,
}

/// Looks at the secrets, at the pods that may wait for them, and at the service accounts.
///
/// # Errors
/// When the cluster does not say which namespaces there are.
pub(super) async fn make(cluster: &Cluster, job: &Job) -> Result<Plans, CommandError> {
    let namespaces = job
        .namespaces
        .resolve(cluster)
        .await
        .map_err(|error| in_cluster(&error))?;
    let hosts = job.hosts();
    let now = Timestamp::now();
    let mut stuck: BTreeMap<String, Vec<StuckPod>> = BTreeMap::new();
    let mut unlinked: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let secrets = pull_secret::survey(cluster, &job.secret, &namespaces, |namespace, secret| {
        look(job, &hosts, namespace, secret, now)
    });
    let pods = async {
        if !job.unstick {
            return BTreeMap::new();
        }
        listing::each(cluster, "pods", &namespaces, |namespace, pod: Pod| {
            let found = pods::stuck(&[pod], &hosts, &job.secret);
            if !found.is_empty() {
                stuck.entry(namespace.to_owned()).or_default().extend(found);
            }
        })
        .await
    };
    let accounts = async {
        if job.accounts.is_empty() {
            return BTreeMap::new();
        }
        // One that is not there yet is wanted as well.
        for namespace in &namespaces {
            unlinked.insert(namespace.clone(), job.accounts.clone());
        }
        listing::each(
            cluster,
            "service accounts",
            &namespaces,
            |namespace, account: ServiceAccount| {
                if service_account::has(&account, &job.secret)
                    && let Some(wanted) = unlinked.get_mut(namespace)
                {
                    wanted.retain(|name| account.metadata.name.as_ref() != Some(name));
                }
            },
        )
        .await
    };
    let (secrets, pods, accounts) = tokio::join!(secrets, pods, accounts);
    let mut result = Plans {
        made: Vec::with_capacity(secrets.len()),
        failed: Vec::new(),
        warnings: pods
            .values()
            .chain(accounts.values())
            .map(ToString::to_string)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
    };
    for (namespace, found) in secrets {
        match found {
            Ok(mut plan) => {
                plan.link = unlinked.remove(&namespace).unwrap_or_default();
                consider(&mut plan, stuck.remove(&namespace).unwrap_or_default());
                let untouchable = plan.untouchable.take();
                plan.obstacle = untouchable.and_then(|refusal| refusal.weigh(&plan.reasons));
                result.made.push(plan);
            }
            Err(error) => result.failed.push((namespace, in_cluster(&error))),
        }
    }
    stream::iter(&mut result.made)
        .for_each_concurrent(AT_A_TIME, |plan| linked_before(cluster, plan))
        .await;
    Ok(result)
}

/// Pods that were made before their service account named the secret get it when they are made
/// anew, whoever linked the account, and whenever.
async fn linked_before(cluster: &Cluster, plan: &mut SecretPlan) {
    let accounts: BTreeSet<String> = plan
        .stuck_pods
        .iter()
        .filter(|pod| !pod.is_linked())
        .filter_map(|pod| pod.account.clone())
        .collect();
    let mut linked = Vec::new();
    for account in accounts {
        let names =
            service_account::names_secret(cluster, &plan.namespace, &account, &plan.name).await;
        // An account that may not be read is taken for one that does not name it.
        if let Ok(Some(true)) = names {
            linked.push(account);
        }
    }
    for pod in &mut plan.stuck_pods {
        *pod = pod.clone().linked_by(&linked);
    }
}

/// What is wrong with a secret.
fn look(
    job: &Job,
    hosts: &[&str],
    namespace: &str,
    secret: Option<Secret>,
    now: Timestamp,
) -> SecretPlan {
    let policy = Policy {
        min_life: MINIMUM_LIFE,
        ..Policy::default()
    };
    let mut reasons = pull_secret::assess(secret.as_ref(), hosts, "AWS", now, policy);
    let view = secret.as_ref().map(pull_secret::view);
    if let Some(view) = &view {
        reasons.extend(job.all_with_too_much_power(view));
    }
    if job.force && reasons.iter().all(Reason::lets_pull) {
        reasons.push(Reason::RefusedByRegistry);
    }
    let expires_at = view.and_then(|view| first_end(&view, hosts));
    SecretPlan {
        namespace: namespace.to_owned(),
        name: job.secret.clone(),
        expires_at,
        obstacle: None,
        untouchable: secret
            .as_ref()
            .and_then(|secret| pull_secret::refusal(secret, hosts, policy)),
        link: Vec::new(),
        stuck_pods: Vec::new(),
        refreshed: secret.as_ref().and_then(refreshed_at),
        // Only what will be written is kept in memory.
        seen: if reasons.is_empty() {
            Seen::Dropped
        } else {
            Seen::Known(secret.map(Box::new))
        },
        reasons,
    }
}

fn first_end(view: &pull_secret::PullSecretView, hosts: &[&str]) -> Option<Timestamp> {
    hosts.iter().filter_map(|host| view.expiry_of(host)).min()
}

/// What pods that wait mean for the plan.
fn consider(plan: &mut SecretPlan, stuck: Vec<StuckPod>) {
    let linked_now = &plan.link;
    let stuck: Vec<StuckPod> = stuck
        .into_iter()
        .map(|pod| pod.linked_by(linked_now))
        .collect();
    // A pod that was made after the last refresh, and still may not pull, says that the registry
    // refuses a token that looks alive. An older one may only be asleep in its back-off.
    let is_news = |pod: &StuckPod| match (pod.created, plan.refreshed) {
        (Some(created), Some(refreshed)) => created > refreshed,
        _ => true,
    };
    let refused = stuck.iter().any(|pod| {
        pod.is_linked() && !pod.is_unexplained() && plan.link.is_empty() && is_news(pod)
    });
    if plan.reasons.iter().all(Reason::lets_pull) && refused {
        plan.reasons.push(Reason::RefusedByRegistry);
    }
    plan.stuck_pods = stuck;
}

/// When we wrote the secret last, by the cluster's clock.
fn refreshed_at(secret: &Secret) -> Option<Timestamp> {
    secret
        .metadata
        .managed_fields
        .iter()
        .flatten()
        .filter(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER))
        .filter_map(|entry| entry.time.as_ref().map(|time| time.0))
        .max()
}

impl fmt::Display for SecretPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons: Vec<String> = self.reasons.iter().map(ToString::to_string).collect();
        match &self.obstacle {
            Some(Obstacle::Refused(refusal)) if reasons.is_empty() => {
                write!(f, "is left alone: {refusal}")
            }
            Some(Obstacle::Refused(refusal)) => {
                write!(f, "is left alone: {refusal}; and {}", reasons.join(", "))
            }
            Some(Obstacle::Stays(refusal)) => {
                write!(f, "stays: {refusal}; {}", reasons.join(", "))
            }
            None if reasons.is_empty() => f.write_str("stays"),
            None => write!(f, "is written: {}", reasons.join(", ")),
        }
    }
}
