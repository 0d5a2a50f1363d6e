//! `kubectl hybrid helper`: the credential helper under the name that Docker looks for.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ecr_hybrid::configure::{self, Changed, Request, Server, Target};
use ecr_hybrid::environment::Environment;

use super::session::Session;
use crate::cli::HelperConfigure;
use crate::docker::helper as program;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::Ui;

/// Whether the program was started as the credential helper.
pub(super) fn is_helper_name(name: Option<&OsString>) -> bool {
    name.map(Path::new)
        .and_then(Path::file_stem)
        .is_some_and(|stem| stem == OsStr::new(ecr_hybrid::command::NAME))
}

/// Installs the helper into `dir`, or into the first folder on PATH that takes it.
pub(super) fn install(ui: &Ui, dir: Option<&Path>) -> Result<Exit, CommandError> {
    let own = std::env::current_exe()
        .map_err(|error| CommandError::from_error(Exit::Unexpected, &error))?;
    let answering = program::answering_program(&own);
    let folders: Vec<PathBuf> = match dir {
        Some(dir) => vec![dir.to_owned()],
        None => std::env::var_os("PATH")
            .iter()
            .flat_map(std::env::split_paths)
            .filter(|folder| is_of_the_user(folder))
            .collect(),
    };
    let mut failure = None;
    for folder in &folders {
        match program::install_into(folder, &answering) {
            Ok(path) => {
                ui.data(&serde_json::json!({ "helper": path }), || {
                    format!("{}\n", path.display())
                });
                ui.hint("let Docker ask it for your registry: kubectl hybrid helper configure");
                return Ok(Exit::Ok);
            }
            Err(error) => failure = failure.or(Some((folder, error))),
        }
    }
    Err(match failure {
        Some((folder, error)) => CommandError::new(
            Exit::Usage,
            format!(
                "could not put the helper into {}: {error}",
                folder.display()
            ),
        ),
        None => CommandError::new(Exit::Usage, "no folder on PATH is in your home"),
    }
    .hint("name a folder on PATH: kubectl hybrid helper install --dir DIR"))
}

/// `kubectl hybrid helper configure`: the contract's registry, answered by the helper.
pub(super) async fn configure(
    session: &Session<'_>,
    flags: &HelperConfigure,
) -> Result<Exit, CommandError> {
    let read = session.contract().await?;
    let project = session.project(&read, &[])?;
    let usage = |error| CommandError::from_error(Exit::Usage, &error);
    let server: Server = project.registry.host().parse().map_err(usage)?;
    let servers = [server];
    let request = Request {
        target: if flags.remove {
            Target::Unroute(&servers)
        } else {
            Target::Route(&servers)
        },
        podman: flags.podman,
    };
    let environment = Environment::of_process();
    let changed = if flags.dry_run {
        configure::plan(&environment, request)
    } else {
        configure::apply(&environment, request)
    };
    let changed = changed.map_err(usage)?;
    let data: Vec<_> = changed.iter().map(as_json).collect();
    session.ui.data(&data, || as_text(&changed, flags.dry_run));
    Ok(Exit::Ok)
}

fn as_json(changed: &Changed) -> serde_json::Value {
    let notes: Vec<_> = changed.notes.iter().map(ToString::to_string).collect();
    serde_json::json!({ "file": changed.path, "notes": notes, "diff": changed.diff })
}

/// The difference where one is asked for and there is one, else what was done.
fn as_text(changed: &[Changed], dry_run: bool) -> String {
    let mut text = String::new();
    for file in changed {
        if dry_run && !file.diff.is_empty() {
            text.push_str(&file.diff);
            continue;
        }
        for note in &file.notes {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}: {note}", file.path.display());
        }
    }
    text
}

fn is_of_the_user(folder: &Path) -> bool {
    let home = std::env::var_os(if cfg!(windows) { "USERPROFILE" } else { "HOME" });
    home.is_some_and(|home| folder.starts_with(home)) && folder.is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_makes_the_plugin_answer_as_the_helper() {
        for (name, is) in [
            ("/usr/local/bin/docker-credential-ecr-hybrid", true),
            ("docker-credential-ecr-hybrid.exe", true),
            ("kubectl-hybrid", false),
        ] {
            assert_eq!(is_helper_name(Some(&OsString::from(name))), is, "{name}");
        }
        assert!(!is_helper_name(None));
    }
}
