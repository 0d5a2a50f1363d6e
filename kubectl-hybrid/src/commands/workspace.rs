//! `kubectl hybrid workspace`: the workspaces that have a state, and which of them is meant.
//!
//! `terraform workspace select` is never run: it changes a folder for everybody who works in it.

use serde::Serialize;

use super::run_terraform::run_terraform;
use super::session::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::project::config::{FILE_NAME, Origin};
use crate::terraform::access::load_aws;
use crate::terraform::invocation::Invocation;
use crate::terraform::keys::Workspace;
use crate::terraform::lock::LocksError;
use crate::terraform::root::Root;
use crate::terraform::{backend, cli, lock, workspaces};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    name: String,
    chosen_by: String,
    /// Where its state is, when that is an S3 backend.
    state: Option<String>,
    exists: bool,
}

/// `kubectl hybrid workspace list`.
pub(super) async fn list(session: &Session<'_>) -> Result<Exit, CommandError> {
    let found = existing(session).await?;
    let names: Vec<&str> = found.iter().map(Workspace::as_str).collect();
    let chosen = (!session.is_nowhere()).then_some(session.workspace.as_str());
    session.ui.data(&names, || {
        let line = |name: &&str| {
            let mark = if Some(*name) == chosen { '*' } else { ' ' };
            format!("{mark} {name}\n")
        };
        names.iter().map(line).collect::<Vec<_>>().concat()
    });
    Ok(Exit::Ok)
}

/// `kubectl hybrid workspace show`.
pub(super) async fn show(session: &Session<'_>) -> Result<Exit, CommandError> {
    let exists = existing(session).await?.contains(&session.workspace);
    let settings = session.config.file.terraform.backend.as_ref();
    let state = match backend::locate(session.root.as_ref(), settings) {
        Ok(backend::Backend::S3(backend)) => Some(backend.address(&session.workspace).to_string()),
        _ => None,
    };
    let shown = Shown {
        name: session.workspace.to_string(),
        chosen_by: if session.is_nowhere() {
            "nothing".to_owned()
        } else {
            session.workspace_origin.to_string()
        },
        state,
        exists,
    };
    session.ui.data(&shown, || {
        format!(
            "{}\n  chosen by  {}\n  state      {}\n  exists     {}\n",
            shown.name,
            shown.chosen_by,
            shown.state.as_deref().unwrap_or("known to Terraform only"),
            if shown.exists { "yes" } else { "no" }
        )
    });
    Ok(Exit::Ok)
}

/// `kubectl hybrid workspace new NAME`.
pub(super) async fn new(session: &Session<'_>, name: &str) -> Result<Exit, CommandError> {
    let workspace = named(name)?;
    if existing(session).await?.contains(&workspace) {
        return Err(CommandError::new(
            Exit::Refused,
            format!("the Terraform workspace `{workspace}` exists already"),
        )
        .hint(format!("kubectl hybrid workspace use {workspace}")));
    }
    let root = session.root.as_ref().ok_or_else(|| {
        CommandError::new(
            Exit::Usage,
            "a workspace is made by Terraform, and there is no Terraform folder here",
        )
    })?;
    let invocation = Invocation::of(root, &["workspace", "new", workspace.as_str()])
        .map_err(|error| CommandError::from_error(Exit::Usage, &error).hint(error.hint()))?;
    session.ui.step("workspace", &invocation);
    make(root, &invocation)?;
    session.ui.hint(format!(
        "choose it: kubectl hybrid workspace use {workspace}"
    ));
    Ok(Exit::Ok)
}

/// Makes a workspace as `invocation` says, and leaves the folder's selection as it was.
pub(super) fn make(root: &Root, invocation: &Invocation) -> Result<(), CommandError> {
    let selection = workspaces::Selection::of(root);
    let ended = run_terraform(invocation);
    selection.restore().map_err(|error| {
        CommandError::new(
            Exit::Unexpected,
            format!("could not put back Terraform's selected workspace: {error}"),
        )
    })?;
    ended
}

/// `kubectl hybrid workspace use NAME`.
pub(super) async fn choose(session: &Session<'_>, name: &str) -> Result<Exit, CommandError> {
    let workspace = named(name)?;
    let found = existing(session).await?;
    if !found.contains(&workspace) {
        let names: Vec<&str> = found.iter().map(Workspace::as_str).collect();
        return Err(CommandError::new(
            Exit::Usage,
            format!("the Terraform workspace `{workspace}` does not exist"),
        )
        .hint(format!(
            "these exist: {}; make it with `kubectl hybrid workspace new {workspace}`",
            names.join(", ")
        )));
    }
    let path = &session.config.path;
    let io = |error: std::io::Error| {
        CommandError::new(
            Exit::Unexpected,
            format!("could not change {}: {error}", path.display()),
        )
    };
    let text = std::fs::read_to_string(path).map_err(io)?;
    let changed = with_workspace(&text, workspace.as_str()).ok_or_else(|| {
        CommandError::new(
            Exit::Usage,
            format!("{} is not TOML any more", path.display()),
        )
    })?;
    if changed != text {
        std::fs::write(path, changed).map_err(io)?;
    }
    session.ui.step(
        "workspace",
        format!("{workspace} is written into {}", path.display()),
    );
    let stronger = matches!(
        session.workspace_origin,
        Origin::Flag(_) | Origin::Variable(_)
    );
    if stronger && session.workspace != workspace {
        session.ui.warn(format!(
            "the {} says `{}`, which wins over {FILE_NAME}",
            session.workspace_origin, session.workspace
        ));
    }
    Ok(Exit::Ok)
}

/// The text of a hybrid.toml with another workspace; comments and order stay.
fn with_workspace(text: &str, workspace: &str) -> Option<String> {
    let mut document: toml_edit::DocumentMut = text.parse().ok()?;
    match document
        .get_mut("workspace")
        .and_then(|item| item.as_value_mut())
    {
        Some(value) => {
            let decor = value.decor().clone();
            *value = workspace.into();
            *value.decor_mut() = decor;
        }
        None => {
            document.insert("workspace", toml_edit::value(workspace));
        }
    }
    Some(document.to_string())
}

fn named(name: &str) -> Result<Workspace, CommandError> {
    let workspace =
        Workspace::new(name).map_err(|error| CommandError::from_error(Exit::Usage, &error))?;
    if workspace.is_default() {
        return Err(CommandError::new(
            Exit::Usage,
            "the workspace `default` belongs to no environment, and holds no contract",
        ));
    }
    Ok(workspace)
}

/// From the bucket, or from Terraform where this tool cannot read it.
pub(super) async fn existing(session: &Session<'_>) -> Result<Vec<Workspace>, CommandError> {
    let backend = session.config.file.terraform.backend.as_ref();
    match (
        lock::open(session.root.as_ref(), backend, &load_aws).await,
        &session.root,
    ) {
        (Ok((access, backend)), _) => workspaces::list(&access, &backend).await.map_err(|error| {
            let exit = if error.cause().is_authentication() {
                Exit::AwsAuthentication
            } else {
                Exit::Unexpected
            };
            CommandError::from_error(exit, &error).maybe_hint(error.hint())
        }),
        (Err(LocksError::OnlyTerraform(_)), Some(root)) => cli::workspaces(root)
            .await
            .map_err(|error| CommandError::from_error(Exit::Unexpected, &error)),
        (Err(error), _) => {
            Err(CommandError::from_error(Exit::Usage, &error).maybe_hint(error.hint()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_changes_and_everything_else_stays() {
        let text =
            "# ours\nproject = \"shop\"\nworkspace = \"dev\" # mine\n\n[terraform]\ndir = \"t\"\n";
        assert_eq!(
            with_workspace(text, "dev-laptop1").unwrap(),
            text.replace("\"dev\"", "\"dev-laptop1\"")
        );
        assert_eq!(with_workspace(text, "dev").unwrap(), text);
        let without = "project = \"shop\"\n\n[terraform]\ndir = \"t\"\n";
        assert_eq!(
            with_workspace(without, "dev").unwrap(),
            "project = \"shop\"\nworkspace = \"dev\"\n\n[terraform]\ndir = \"t\"\n"
        );
        assert_eq!(with_workspace("a = = 1", "dev"), None);
    }

    #[test]
    fn the_default_workspace_is_neither_made_nor_chosen() {
        assert!(named("dev").is_ok());
        for name in ["default", "a/b", ""] {
            assert_eq!(named(name).unwrap_err().exit(), Exit::Usage, "{name}");
        }
    }
}
