//! `kubectl hybrid restart`: the workloads again, as kubectl restarts them.

use futures::future::{join_all, try_join_all};
use jiff::Timestamp;
use serde::Serialize;

use super::regcred::in_cluster;
use super::renewal::Renewal;
use super::roll::{self, Roll};
use super::session::{Session, guard};
use super::settings;
use crate::cli::Restart;
use crate::cluster::{Cluster, WorkloadRef, workload};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::project::Project;
use crate::project::config::Origin;
use crate::project::contract::WorkloadKind;

#[derive(Debug, Serialize)]
struct Restarted {
    /// The service, or the workload's name when it is none of the contract's.
    service: String,
    namespace: String,
    workload: String,
    ok: bool,
    error: Option<String>,
}

/// What is restarted, under the name that people know it by.
struct Target {
    name: String,
    workload: WorkloadRef,
}

/// `kubectl hybrid restart [SERVICE…|-n NAMESPACE|-l LABELS]`.
pub(super) async fn run(session: &Session<'_>, flags: &Restart) -> Result<Exit, CommandError> {
    let (read, cluster) = tokio::try_join!(session.contract(), session.cluster())?;
    let project = session.project(&read, &flags.services)?;
    guard(&cluster, &project)?;
    // A namespace that is named on the command line means all that runs there, unless services are
    // named, too. One that is merely exported says where the services are.
    let named = matches!(
        settings::given(&session.global, "namespace"),
        Some(Origin::Flag(_))
    );
    let of_namespace = flags.services.is_empty() && named;
    let targets = if of_namespace || flags.selector.is_some() {
        selected(&cluster, &project, flags.selector.as_deref()).await?
    } else {
        let services = project.services.iter().map(|service| Target {
            name: service.name.clone(),
            workload: service.workload.clone(),
        });
        services.collect()
    };
    let timeout = settings::timeout(session, flags.roll_out.timeout);
    let renewal = Renewal::new(session, &cluster, &project, flags.roll_out);
    let ended = join_all(targets.iter().map(|target| async {
        let line = session.ui.line(&target.name);
        let restarted = workload::restart(&cluster, &target.workload, Timestamp::now(), None)
            .await
            .map_err(|error| roll::workload_error(&error))?;
        let step = format!("{} is restarted", target.workload);
        session.ui.step("restart", step);
        let roll = Roll {
            session,
            cluster: &cluster,
            project: &project,
            service: &target.name,
            workload: &target.workload,
            expected: Vec::new(),
            timeout,
        };
        renewal.wait(&roll, Some(restarted), &line).await
    }))
    .await;
    let reports: Vec<Restarted> = targets
        .iter()
        .zip(&ended)
        .map(|(target, ended)| Restarted {
            service: target.name.clone(),
            namespace: target.workload.namespace.clone(),
            workload: target.workload.to_string(),
            ok: ended.is_ok(),
            error: ended.as_ref().err().map(ToString::to_string),
        })
        .collect();
    if session.ui.is_json() {
        session.ui.data(&reports, String::new);
    }
    super::deploy::first_error(session, ended)
}

/// The workloads of the project's namespace, of all three kinds.
async fn selected(
    cluster: &Cluster,
    project: &Project,
    selector: Option<&str>,
) -> Result<Vec<Target>, CommandError> {
    let kinds = [
        WorkloadKind::Deployment,
        WorkloadKind::StatefulSet,
        WorkloadKind::DaemonSet,
    ];
    let found =
        try_join_all(kinds.map(|kind| workload::list(cluster, kind, &project.namespace, selector)))
            .await
            .map_err(|error| in_cluster(&error))?;
    let targets: Vec<Target> = found
        .into_iter()
        .flatten()
        .map(|state| Target {
            name: state.workload.name.clone(),
            workload: state.workload,
        })
        .collect();
    if targets.is_empty() {
        let which = selector.map_or_else(String::new, |labels| format!(" with labels `{labels}`"));
        return Err(CommandError::new(
            Exit::Usage,
            format!("namespace `{}` has no workload{which}", project.namespace),
        )
        .hint(format!(
            "see what there is: `kubectl -n {} get deployments,statefulsets,daemonsets --show-labels`",
            project.namespace
        )));
    }
    Ok(targets)
}
