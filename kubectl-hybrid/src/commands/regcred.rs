//! `kubectl hybrid regcred`: the pull secret, shown and refreshed.

use std::time::Duration;

use ecr_hybrid::cache::TokenSource;
use ecr_hybrid::token::Token;
use jiff::Timestamp;
use serde::Serialize;

use super::session::{Session, guard};
use super::time_left;
use crate::cluster::pods::{self, StuckPod};
use crate::cluster::pull_secret::{
    self, Change, Marks, Policy, PullSecretView, Reason, RegistryLogin, SecretRef,
};
use crate::cluster::{Cluster, FIELD_MANAGER};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::project::Project;
use crate::ui::table;

/// Half of a token's twelve hours: below it the secret gets a new one.
const MINIMUM_LIFE: Duration = Duration::from_hours(6);

/// What is to be done with the pull secret of one namespace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecretPlan {
    /// The namespace.
    pub namespace: String,
    /// The secret's name.
    pub name: String,
    /// Why it is written. Empty: it stays as it is.
    pub reasons: Vec<Reason>,
    /// When the token that is there ends.
    pub expires_at: Option<Timestamp>,
    /// Pods that wait for better credentials.
    pub stuck_pods: Vec<StuckPod>,
}

/// What was done with the pull secret of one namespace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecretReport {
    /// The namespace.
    pub namespace: String,
    /// The secret's name.
    pub name: String,
    /// `created`, `updated` or `unchanged`.
    pub change: &'static str,
    /// When its token ends.
    pub expires_at: Option<Timestamp>,
    /// Pods that were recreated.
    pub recreated: Vec<String>,
}

/// Looks at the secret and at the pods that may wait for it. Writes nothing.
pub(super) async fn plan(
    cluster: &Cluster,
    project: &Project,
    force: bool,
) -> Result<Vec<SecretPlan>, CommandError> {
    let now = Timestamp::now();
    let host = project.registry.host();
    let mut plans = Vec::new();
    for namespace in project.namespaces() {
        let secret = SecretRef {
            namespace: namespace.to_owned(),
            name: project.pull_secret.clone(),
        };
        let (existing, pods) = tokio::join!(
            pull_secret::read(cluster, &secret),
            pods::list(cluster, namespace, None)
        );
        let existing = existing.map_err(|error| in_cluster(&error))?;
        let stuck = pods.map_or_else(
            |_| Vec::new(),
            |pods| pods::stuck(&pods, &[host], &secret.name),
        );
        let policy = Policy {
            min_life: MINIMUM_LIFE,
            ..Policy::default()
        };
        let mut reasons = pull_secret::assess(existing.as_ref(), &[host], "AWS", now, policy);
        // A registry may refuse a token that looks alive: the pods that wait tell.
        if reasons.is_empty() && (force || !stuck.is_empty()) {
            reasons.push(Reason::RefusedByRegistry);
        }
        plans.push(SecretPlan {
            namespace: secret.namespace,
            name: secret.name,
            reasons,
            expires_at: existing
                .as_ref()
                .and_then(|secret| pull_secret::view(secret).expiry_of(host)),
            stuck_pods: stuck,
        });
    }
    Ok(plans)
}

/// Does what was planned: mints once when anything has to be written, writes, and recreates the
/// pods that waited for it.
pub(super) async fn apply(
    cluster: &Cluster,
    project: &Project,
    plans: Vec<SecretPlan>,
) -> Result<Vec<SecretReport>, CommandError> {
    let token = if plans.iter().any(|plan| !plan.reasons.is_empty()) {
        Some(mint(project, &plans).await?)
    } else {
        None
    };
    let mut reports = Vec::new();
    for plan in plans {
        let mut report = SecretReport {
            namespace: plan.namespace,
            name: plan.name,
            change: "unchanged",
            expires_at: plan.expires_at,
            recreated: Vec::new(),
        };
        if let (Some((token, principal)), false) = (&token, plan.reasons.is_empty()) {
            let secret = SecretRef {
                namespace: report.namespace.clone(),
                name: report.name.clone(),
            };
            let login = RegistryLogin {
                registry: project.registry.host(),
                username: token.username(),
                password: token.password(),
                expires_at: token.expires_at(),
            };
            let marks = Marks {
                principal: Some(principal.clone()),
                refreshed_by: format!("{FIELD_MANAGER} {}", env!("CARGO_PKG_VERSION")),
            };
            let policy = Policy {
                min_life: MINIMUM_LIFE,
                always: plan.reasons.contains(&Reason::RefusedByRegistry),
                take_over: false,
            };
            let outcome =
                pull_secret::sync(cluster, &secret, &[login], &marks, policy, Timestamp::now())
                    .await
                    .map_err(|error| {
                        CommandError::from_error(Exit::RollOut, &error).maybe_hint(error.hint())
                    })?;
            report.change = match outcome.change {
                Change::Created => "created",
                Change::Updated { .. } => "updated",
                Change::None => "unchanged",
            };
            report.expires_at = outcome.expires_at;
            for recreated in pods::recreate(cluster, plan.stuck_pods).await {
                if recreated.error.is_none() {
                    report.recreated.push(recreated.pod.trouble.pod);
                }
            }
        }
        reports.push(report);
    }
    Ok(reports)
}

/// Recreates the pods that still wait for better credentials.
pub(super) async fn wake(cluster: &Cluster, project: &Project) -> Result<(), CommandError> {
    for namespace in project.namespaces() {
        let pods = pods::list(cluster, namespace, None)
            .await
            .map_err(|error| in_cluster(&error))?;
        let stuck = pods::stuck(&pods, &[project.registry.host()], &project.pull_secret);
        pods::recreate(cluster, stuck).await;
    }
    Ok(())
}

/// A token, and the identity that it stands for.
async fn mint(project: &Project, plans: &[SecretPlan]) -> Result<(Token, String), CommandError> {
    let registry = project.registry.clone();
    let refused = plans
        .iter()
        .any(|plan| plan.reasons.contains(&Reason::RefusedByRegistry));
    // The token source blocks: it belongs on a thread of its own.
    let minted = tokio::task::spawn_blocking(move || {
        let source = TokenSource::from_environment().minimum_life(MINIMUM_LIFE);
        if refused {
            source.forget(&registry);
        }
        let principal = source.plan(&registry)?.choice.identity.to_string();
        Ok((source.token(&registry)?, principal))
    })
    .await;
    match minted {
        Ok(Ok(minted)) => Ok(minted),
        Ok(Err(error)) => Err(token_error(&error)),
        Err(error) => Err(CommandError::from_error(Exit::Unexpected, &error)),
    }
}

fn token_error(error: &ecr_hybrid::error::TokenError) -> CommandError {
    let exit = if error.is_authentication() {
        Exit::AwsAuthentication
    } else {
        Exit::Unexpected
    };
    CommandError::from_error(exit, error).maybe_hint(error.hint())
}

/// An error of the API server.
pub(super) fn in_cluster(error: &crate::cluster::ClusterError) -> CommandError {
    CommandError::from_error(Exit::RollOut, error).maybe_hint(error.hint())
}

/// Says what became of the secrets.
pub(super) fn say(session: &Session<'_>, reports: &[SecretReport]) {
    for report in reports {
        session.ui.step(
            "regcred",
            format!(
                "{}/{} {}, its token lives {}",
                report.namespace,
                report.name,
                report.change,
                time_left(report.expires_at)
            ),
        );
        for pod in &report.recreated {
            session.ui.step(
                "regcred",
                format!("pod {pod} is recreated: it waited for credentials"),
            );
        }
    }
}

/// `kubectl hybrid regcred sync`.
pub(super) async fn sync(session: &Session<'_>, force: bool) -> Result<Exit, CommandError> {
    let (read, cluster) = tokio::try_join!(session.contract(), session.cluster())?;
    let project = session.project(&read, &[])?;
    guard(&cluster, &project)?;
    let plans = plan(&cluster, &project, force).await?;
    let reports = apply(&cluster, &project, plans).await?;
    say(session, &reports);
    if session.ui.is_json() {
        session.ui.data(&reports, String::new);
    }
    Ok(Exit::Ok)
}

/// `kubectl hybrid regcred status`.
pub(super) async fn status(session: &Session<'_>) -> Result<Exit, CommandError> {
    let (read, cluster) = tokio::try_join!(session.contract(), session.cluster())?;
    let project = session.project(&read, &[])?;
    let mut views: Vec<PullSecretView> = Vec::new();
    for namespace in project.namespaces() {
        let secret = SecretRef {
            namespace: namespace.to_owned(),
            name: project.pull_secret.clone(),
        };
        let found = pull_secret::read(&cluster, &secret)
            .await
            .map_err(|error| in_cluster(&error))?;
        match found {
            Some(secret) => views.push(pull_secret::view(&secret)),
            None => session.ui.warn(format!(
                "there is no secret {namespace}/{}",
                project.pull_secret
            )),
        }
    }
    session.ui.data(&views, || {
        let rows: Vec<Vec<String>> = views
            .iter()
            .flat_map(|view| {
                view.registries.iter().map(|entry| {
                    vec![
                        view.namespace.clone(),
                        view.name.clone(),
                        entry.key.clone(),
                        time_left(entry.expires_at.or(view.annotated_expiry)),
                        view.principal.clone().unwrap_or_else(|| "-".to_owned()),
                        entry.problem.clone().unwrap_or_default(),
                    ]
                })
            })
            .collect();
        table(
            &[
                "NAMESPACE",
                "SECRET",
                "REGISTRY",
                "LIFE",
                "IDENTITY",
                "PROBLEM",
            ],
            &rows,
        )
    });
    Ok(Exit::Ok)
}
