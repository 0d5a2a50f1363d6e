//! `kubectl hybrid restart`: the workloads again, as kubectl restarts them.

use futures::future::join_all;
use jiff::Timestamp;
use serde::Serialize;

use super::session::{Session, guard};
use super::{roll, settings};
use crate::cli::Restart;
use crate::cluster::workload;
use crate::error::CommandError;
use crate::exit::Exit;

#[derive(Debug, Serialize)]
struct Restarted {
    service: String,
    workload: String,
    ok: bool,
    error: Option<String>,
}

/// `kubectl hybrid restart [SERVICE…]`.
pub(super) async fn run(session: &Session<'_>, flags: &Restart) -> Result<Exit, CommandError> {
    let (read, cluster) = tokio::try_join!(session.contract(), session.cluster())?;
    let project = session.project(&read, &flags.services)?;
    guard(&cluster, &project)?;
    let ended = join_all(project.services.iter().map(|service| async {
        let line = session.ui.line(&service.name);
        workload::restart(&cluster, &service.workload, Timestamp::now(), None)
            .await
            .map_err(|error| roll::workload_error(&error))?;
        session
            .ui
            .step("restart", format!("{} is restarted", service.workload));
        roll::wait(
            session,
            &cluster,
            &service.workload,
            Vec::new(),
            settings::timeout(session, flags.timeout),
            &line,
        )
        .await
        .map_err(CommandError::from)
    }))
    .await;
    let reports: Vec<Restarted> = project
        .services
        .iter()
        .zip(&ended)
        .map(|(service, ended)| Restarted {
            service: service.name.clone(),
            workload: service.workload.to_string(),
            ok: ended.is_ok(),
            error: ended.as_ref().err().map(ToString::to_string),
        })
        .collect();
    if session.ui.is_json() {
        session.ui.data(&reports, String::new);
    }
    super::deploy::first_error(session, ended)
}
