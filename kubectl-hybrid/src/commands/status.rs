//! `kubectl hybrid status`: what runs, on one screen.

use futures::future::join_all;
use jiff::Timestamp;
use serde::Serialize;

use super::regcred::in_cluster;
use super::session::Session;
use super::time_left;
use crate::cluster::pull_secret::{self, SecretRef};
use crate::cluster::workload;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::table;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    project: String,
    workspace: String,
    environment: String,
    context: String,
    namespace: String,
    token_expires_at: Option<Timestamp>,
    services: Vec<ServiceStatus>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceStatus {
    name: String,
    workload: String,
    ready: i32,
    desired: i32,
    image: Option<String>,
    url: Option<String>,
    change_cause: Option<String>,
}

/// `kubectl hybrid status [SERVICE…]`.
pub(super) async fn run(session: &Session<'_>, services: &[String]) -> Result<Exit, CommandError> {
    let (read, cluster) = tokio::try_join!(session.contract(), session.cluster())?;
    let project = session.project(&read, services)?;
    let secret = SecretRef {
        namespace: project.namespace.clone(),
        name: project.pull_secret.clone(),
    };
    let (secret, workloads) = tokio::join!(
        pull_secret::read(&cluster, &secret),
        join_all(
            project
                .services
                .iter()
                .map(|service| workload::read(&cluster, &service.workload))
        )
    );
    let secret = secret.map_err(|error| in_cluster(&error))?;
    let mut shown = Vec::new();
    for (service, state) in project.services.iter().zip(workloads) {
        let state = state.map_err(|error| in_cluster(&error))?;
        let port = service.port.as_ref().and_then(|port| port.node_port);
        shown.push(ServiceStatus {
            name: service.name.clone(),
            workload: service.workload.to_string(),
            ready: state.as_ref().map_or(0, |state| state.counts.ready),
            desired: state.as_ref().map_or(0, |state| state.counts.desired),
            image: state
                .as_ref()
                .and_then(|state| state.container(&service.container))
                .map(|container| container.image.clone()),
            url: port.map(|port| format!("http://127.0.0.1:{port}/")),
            change_cause: state.and_then(|state| state.change_cause),
        });
    }
    let status = Status {
        project: project.name.clone(),
        workspace: project.workspace.clone(),
        environment: project.environment.clone(),
        context: cluster.context().to_owned(),
        namespace: project.namespace.clone(),
        token_expires_at: secret
            .as_ref()
            .and_then(|secret| pull_secret::view(secret).expiry_of(project.registry.host())),
        services: shown,
    };
    session.ui.data(&status, || text(&status, secret.is_some()));
    Ok(Exit::Ok)
}

fn text(status: &Status, has_secret: bool) -> String {
    let token = if has_secret {
        time_left(status.token_expires_at)
    } else {
        "no pull secret".to_owned()
    };
    let rows: Vec<Vec<String>> = status
        .services
        .iter()
        .map(|service| {
            vec![
                service.name.clone(),
                format!("{}/{}", service.ready, service.desired),
                service.image.as_deref().map_or("-".to_owned(), short),
                service.url.clone().unwrap_or_else(|| "-".to_owned()),
                service
                    .change_cause
                    .clone()
                    .unwrap_or_else(|| "-".to_owned()),
            ]
        })
        .collect();
    format!(
        "Project {}, workspace {}, context {}, namespace {}, token {token}\n\n{}",
        status.project,
        status.workspace,
        status.context,
        status.namespace,
        table(&["SERVICE", "READY", "IMAGE", "URL", "CHANGE-CAUSE"], &rows)
    )
}

/// The image without its registry, its digest cut to twelve digits.
fn short(image: &str) -> String {
    let name = image.split_once('/').map_or(image, |(_, name)| name);
    match name.split_once("@sha256:") {
        Some((name, digest)) => format!("{name}@{}", digest.get(..12).unwrap_or(digest)),
        None => name.to_owned(),
    }
}
