//! A context that leads elsewhere: a local cluster that was made anew has another port, another
//! certificate authority and another client certificate, and the old ones never work again.

use std::cell::Cell;

use super::{Job, SILENCE, TICK, read_job};
use crate::cli::Keeping;
use crate::cluster::Cluster;
use crate::commands::session::Session;

/// Waits until the API server is in trouble and the kubeconfig says something else of the context.
/// Gives the cluster that it leads to now, once the guard lets it pass.
pub(super) async fn moved(
    session: &Session<'_>,
    flags: &Keeping,
    cluster: &Cluster,
    is_troubled: &Cell<bool>,
) -> (Cluster, Job) {
    let mut said = String::new();
    loop {
        tokio::time::sleep(TICK).await;
        if !is_troubled.get() {
            continue;
        }
        // A kubeconfig without the context, or half of one, may be whole a moment later.
        let Ok(found) = session.cluster_of(cluster.context(), SILENCE).await else {
            continue;
        };
        if found.fingerprint() == cluster.fingerprint() {
            continue;
        }
        match Box::pin(read_job(session, &found, flags)).await {
            Ok(job) => return (found, job),
            Err(error) => {
                let why = error.to_string();
                if why != said {
                    session.ui.warn(format!(
                        "context {} leads to {} now, which is not used: {why}",
                        found.context(),
                        found.server()
                    ));
                    said = why;
                }
            }
        }
    }
}
