//! Does what was planned: mints once, writes, links, and recreates the pods that waited.

use futures::stream::{self, StreamExt as _};
use jiff::Timestamp;
use serde::Serialize;

use super::job::Job;
use super::logins::{self, Minted};
use super::plan::{SecretPlan, Seen};
use super::{MINIMUM_LIFE, in_cluster};
use crate::cluster::pods::{self, Remedy, StuckPod};
use crate::cluster::pull_secret::{
    self, Change, Obstacle, Outcome, Policy, PullSecretError, Reason, RegistryLogin,
};
use crate::cluster::service_account::{Link, link};
use crate::cluster::trouble::PullFault;
use crate::cluster::{AT_A_TIME, Cluster, FIELD_MANAGER};
use crate::error::CommandError;
use crate::exit::Exit;

/// What was done in one namespace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SecretReport {
    /// The namespace.
    pub(crate) namespace: String,
    /// The secret's name.
    pub(crate) name: String,
    /// `created`, `updated`, `unchanged`, `skipped` or `failed`.
    pub(crate) change: &'static str,
    /// Why it was not written, though its token has grown old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stays: Option<String>,
    /// When its token ends.
    pub(crate) expires_at: Option<Timestamp>,
    /// Service accounts that name it now and did not before.
    pub(crate) linked: Vec<String>,
    /// Pods that were recreated.
    pub(crate) recreated: Vec<String>,
    /// Pods that wait for credentials and were left alone.
    pub(crate) left: Vec<LeftPod>,
    /// Why it failed or was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// A pod that was left alone.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LeftPod {
    /// The pod.
    pub(crate) pod: String,
    /// Why, as a clause.
    pub(crate) why: String,
}

/// The reports, and what went wrong.
#[derive(Default)]
pub(crate) struct Done {
    /// One for each namespace, those that failed among them.
    pub(crate) reports: Vec<SecretReport>,
    /// Empty when all secrets are in place.
    pub(crate) failed: Vec<CommandError>,
}

/// Carries the plans out, several namespaces at a time. One that fails does not hold up the others.
///
/// # Errors
/// When something has to be written and no token can be had: then nothing is written.
pub(super) async fn all(
    cluster: &Cluster,
    job: &Job,
    plans: &mut [SecretPlan],
) -> Result<Done, CommandError> {
    let mut done = Done::default();
    let minted = if plans.iter().any(SecretPlan::writes) {
        let refused = plans
            .iter()
            .any(|plan| plan.writes() && plan.reasons.contains(&Reason::RefusedByRegistry));
        let mut minted = logins::mint(&job.logins, refused).await?;
        done.failed.append(&mut minted.failed);
        Some(minted)
    } else {
        None
    };
    let given = minted.as_ref().map(|minted: &Minted| Given {
        logins: minted.logins(),
        refreshed_by: format!("{FIELD_MANAGER} {}", env!("CARGO_PKG_VERSION")),
    });
    let given = given.as_ref();
    let mut applied = stream::iter(plans)
        .map(|plan| one(cluster, job, given, plan))
        .buffer_unordered(AT_A_TIME);
    while let Some((report, errors)) = applied.next().await {
        done.reports.push(report);
        done.failed.extend(errors);
    }
    done.reports
        .sort_by(|one, other| one.namespace.cmp(&other.namespace));
    Ok(done)
}

/// What every secret gets.
struct Given<'a> {
    logins: Vec<RegistryLogin<'a>>,
    refreshed_by: String,
}

async fn one(
    cluster: &Cluster,
    job: &Job,
    given: Option<&Given<'_>>,
    plan: &mut SecretPlan,
) -> (SecretReport, Vec<CommandError>) {
    let mut report = SecretReport {
        namespace: plan.namespace.clone(),
        name: plan.name.clone(),
        change: "unchanged",
        stays: None,
        expires_at: plan.expires_at,
        linked: Vec::new(),
        recreated: Vec::new(),
        left: Vec::new(),
        error: None,
    };
    let mut errors = Vec::new();
    let written = match (plan.refused(), given) {
        (Some(refused), _) => Err(refused),
        (None, Some(given)) if plan.writes() => write(cluster, given, plan).await.map(Some),
        _ => Ok(None),
    };
    match written {
        Ok(Some(outcome)) => {
            (report.change, report.stays) = match outcome.change {
                Change::Created => ("created", None),
                Change::Updated { .. } => ("updated", None),
                Change::None => ("unchanged", None),
                Change::Stays(refusal) => ("unchanged", Some(refusal.to_string())),
            };
            report.expires_at = outcome.expires_at;
        }
        Ok(None) => {
            if let Some(Obstacle::Stays(refusal)) = &plan.obstacle {
                report.stays = Some(refusal.to_string());
            }
        }
        Err(error) => {
            report.error = Some(error.to_string());
            // Nobody asked for this namespace by name, and soon it is gone.
            let ending = matches!(
                error,
                PullSecretError::NamespaceTerminating { .. } | PullSecretError::NoNamespace { .. }
            );
            if ending && !job.namespaces.names().any(|name| name == plan.namespace) {
                report.change = "skipped";
            } else {
                report.change = "failed";
                errors.push(not_in_place(&error));
            }
            return (report, errors);
        }
    }
    for account in &plan.link {
        match link(cluster, &plan.namespace, account, &plan.name).await {
            Ok(Link::Added) => report.linked.push(account.clone()),
            Ok(Link::Present) => {}
            Err(error) => {
                report.error = Some(error.to_string());
                errors.push(in_cluster(&error));
            }
        }
    }
    wake(cluster, &mut report, plan).await;
    (report, errors)
}

/// A pull secret that is not in place, told as an error of a command.
pub(super) fn not_in_place(error: &PullSecretError) -> CommandError {
    CommandError::from_error(Exit::RollOut, error).maybe_hint(error.hint())
}

async fn write(
    cluster: &Cluster,
    given: &Given<'_>,
    plan: &mut SecretPlan,
) -> Result<Outcome, PullSecretError> {
    let secret = plan.secret();
    let policy = Policy {
        min_life: MINIMUM_LIFE,
        always: plan.reasons.contains(&Reason::RefusedByRegistry),
        take_over: false,
    };
    let now = Timestamp::now();
    let (logins, tool) = (&given.logins, &given.refreshed_by);
    match std::mem::replace(&mut plan.seen, Seen::Dropped) {
        Seen::Known(seen) => {
            let seen = seen.map(|seen| *seen);
            pull_secret::sync_from(cluster, &secret, seen, logins, tool, policy, now).await
        }
        Seen::Dropped => pull_secret::sync(cluster, &secret, logins, tool, policy, now).await,
    }
}

/// Recreates the pods that waited because of their credentials, and no others.
async fn wake(cluster: &Cluster, report: &mut SecretReport, plan: &SecretPlan) {
    // Credentials that were good all along are not what an unexplained pod waits for.
    let was_bad = !plan.reasons.iter().all(Reason::lets_pull);
    let mut waking = Vec::new();
    for pod in plan.stuck_pods.iter().cloned() {
        let pod = explained(cluster, pod).await;
        match (pod.remedy, pod.is_unexplained()) {
            (Remedy::Recreate, true) if !was_bad => report.left.push(LeftPod {
                pod: pod.trouble.pod,
                why: "nothing says that it waits because of its credentials".to_owned(),
            }),
            (Remedy::Recreate, _) if is_about_credentials(&pod) => waking.push(pod),
            // Its events name another cause.
            (Remedy::Recreate, _) => {}
            (remedy, _) => report.left.push(LeftPod {
                pod: pod.trouble.pod,
                why: remedy.sentence().to_owned(),
            }),
        }
    }
    for recreated in pods::recreate(cluster, waking).await {
        let pod = recreated.pod.trouble.pod;
        match recreated.error {
            None => report.recreated.push(pod),
            Some(error) => report.left.push(LeftPod {
                pod,
                why: error.to_string(),
            }),
        }
    }
}

fn is_about_credentials(pod: &StuckPod) -> bool {
    pod.is_unexplained()
        || pod
            .trouble
            .cause
            .pull_fault()
            .is_some_and(PullFault::is_about_credentials)
}

/// Kubelets before 1.32 tell the cause in the pod's events alone.
async fn explained(cluster: &Cluster, mut pod: StuckPod) -> StuckPod {
    if pod.is_unexplained() {
        pod.trouble = pods::with_cause_from_events(cluster, pod.trouble).await;
    }
    pod
}
