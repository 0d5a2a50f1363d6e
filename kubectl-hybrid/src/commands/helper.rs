//! `kubectl hybrid helper`: the credential helper under the name that Docker looks for.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

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
                ui.hint("route a registry to it: `\"credHelpers\": {\"HOST\": \"ecr-hybrid\"}` in Docker's config.json");
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
