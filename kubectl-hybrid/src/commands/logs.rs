//! `kubectl hybrid logs`: hands over to kubectl, which has every flag for it.

use std::process::Command;

use super::session::{Session, guard};
use crate::cli::Logs;
use crate::error::CommandError;
use crate::exit::Exit;

/// `kubectl hybrid logs SERVICE`.
pub(super) async fn run(session: &Session<'_>, flags: &Logs) -> Result<Exit, CommandError> {
    let (read, cluster) = tokio::try_join!(session.contract(), session.cluster())?;
    let project = session.project(&read, std::slice::from_ref(&flags.service))?;
    guard(&cluster, &project)?;
    let Some(service) = project.services.first() else {
        return Err(CommandError::new(
            Exit::Usage,
            format!("there is no service `{}`", flags.service),
        ));
    };
    let mut kubectl = Command::new("kubectl");
    kubectl.args(["--context", cluster.context()]);
    if let Some(kubeconfig) = &session.global.kubeconfig {
        kubectl.arg("--kubeconfig").arg(kubeconfig);
    }
    if let Some(user) = &session.global.as_user {
        kubectl.args(["--as", user]);
    }
    kubectl
        .args(["--namespace", &service.workload.namespace, "logs"])
        .arg(service.workload.to_string())
        .args(["--container", &service.container]);
    if flags.follow {
        kubectl.arg("--follow");
    }
    if flags.previous {
        kubectl.arg("--previous");
    }
    kubectl.args(&flags.rest);
    hand_over(kubectl)
}

/// Becomes kubectl. On Windows, where no process can become another, its exit code is passed on.
fn hand_over(mut kubectl: Command) -> Result<Exit, CommandError> {
    let not_started = |error: std::io::Error| {
        CommandError::new(
            Exit::Usage,
            format!("kubectl could not be started: {error}"),
        )
        .hint("put kubectl on PATH")
    };
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        Err(not_started(kubectl.exec()))
    }
    #[cfg(not(unix))]
    {
        let status = kubectl.status().map_err(not_started)?;
        if status.success() {
            Ok(Exit::Ok)
        } else {
            std::process::exit(status.code().unwrap_or(1))
        }
    }
}
