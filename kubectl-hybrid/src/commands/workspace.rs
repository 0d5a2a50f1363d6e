//! `kubectl hybrid workspace`: the workspaces that have a state.

use super::session::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::terraform::access::load_aws;
use crate::terraform::keys::Workspace;
use crate::terraform::lock::LocksError;
use crate::terraform::{cli, lock, workspaces};

/// `kubectl hybrid workspace list`.
pub(super) async fn list(session: &Session<'_>) -> Result<Exit, CommandError> {
    let backend = session.config.file.terraform.backend.as_ref();
    let found = match (
        lock::open(session.root.as_ref(), backend, &load_aws).await,
        &session.root,
    ) {
        (Ok((access, backend)), _) => {
            workspaces::list(&access, &backend).await.map_err(|error| {
                let exit = if error.cause().is_authentication() {
                    Exit::AwsAuthentication
                } else {
                    Exit::Unexpected
                };
                CommandError::from_error(exit, &error).maybe_hint(error.hint())
            })?
        }
        (Err(LocksError::OnlyTerraform(_)), Some(root)) => cli::workspaces(root)
            .await
            .map_err(|error| CommandError::from_error(Exit::Unexpected, &error))?,
        (Err(error), _) => {
            return Err(CommandError::from_error(Exit::Usage, &error).maybe_hint(error.hint()));
        }
    };
    let names: Vec<&str> = found.iter().map(Workspace::as_str).collect();
    session.ui.data(&names, || {
        let line = |name: &&str| {
            let mark = if *name == session.workspace.as_str() {
                '*'
            } else {
                ' '
            };
            format!("{mark} {name}\n")
        };
        names.iter().map(line).collect::<Vec<_>>().concat()
    });
    Ok(Exit::Ok)
}
