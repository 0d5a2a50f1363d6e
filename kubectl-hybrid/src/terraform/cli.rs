//! Terraform itself, asked where the state cannot be read directly.
//!
//! The traps that this file avoids: an unknown `TF_WORKSPACE` would be created by `output`; some
//! versions print a warning on stdout after the JSON; on failure stdout may hold anything;
//! `TF_CLI_ARGS` and `TF_LOG` change the output.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use super::keys::Workspace;
use super::root::{Root, RootError};
use crate::project::contract::OUTPUT;

/// Why Terraform could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// There is no program, or no folder.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The program cannot be started.
    #[error("could not start `{}`: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder is not initialised, or its backend has changed since.
    #[error("the Terraform folder {} is not initialised for its backend", .0.display())]
    NotInitialised(PathBuf),
    /// Terraform wants its providers even to read.
    #[error("the providers of the Terraform folder {} are not installed", .0.display())]
    NoPlugins(PathBuf),
    /// The workspace does not exist; asking for it would create it.
    #[error("the Terraform workspace `{workspace}` does not exist")]
    NoWorkspace {
        /// The workspace.
        workspace: Workspace,
        /// Those that do.
        existing: Vec<Workspace>,
    },
    /// Terraform failed.
    #[error("`{command}` failed: {message}")]
    Failed {
        /// The command as a person would type it.
        command: String,
        /// Terraform's own words, on one line.
        message: String,
    },
    /// Terraform succeeded and printed something else.
    #[error("`{command}` printed no JSON object")]
    NoJson {
        /// The command as a person would type it.
        command: String,
    },
}

impl CliError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Root(error) => Some(error.hint().to_owned()),
            Self::NotInitialised(dir) | Self::NoPlugins(dir) => {
                Some(format!("Run `terraform -chdir={} init`.", dir.display()))
            }
            Self::NoWorkspace { existing, .. } => {
                let names: Vec<_> = existing.iter().map(Workspace::as_str).collect();
                Some(format!("These exist: {}.", names.join(", ")))
            }
            Self::Start { .. } | Self::Failed { .. } | Self::NoJson { .. } => None,
        }
    }
}

/// The output `hybrid` of `workspace`, and how many others there are.
pub(super) async fn output(
    root: &Root,
    workspace: &Workspace,
) -> Result<(Option<Value>, usize), CliError> {
    // Terraform creates a workspace that it does not know, even to print its outputs.
    if !workspace.is_default() {
        let existing = workspaces(root).await?;
        if !existing.contains(workspace) {
            return Err(CliError::NoWorkspace {
                workspace: workspace.clone(),
                existing,
            });
        }
    }
    let outputs = outputs(root, workspace).await?;
    let others = outputs.keys().filter(|name| *name != OUTPUT).count();
    let value = outputs
        .get(OUTPUT)
        .and_then(|output| output.get("value"))
        .cloned();
    Ok((value, others))
}

/// All outputs of a workspace that exists, with their types. Some may be secret.
pub async fn outputs(
    root: &Root,
    workspace: &Workspace,
) -> Result<serde_json::Map<String, Value>, CliError> {
    let args = ["output", "-json", "-no-color"];
    let stdout = run(root, Some(workspace), &args).await?;
    first_json(&stdout).ok_or_else(|| CliError::NoJson {
        command: typed(root, &args),
    })
}

/// The workspaces that Terraform lists.
pub async fn workspaces(root: &Root) -> Result<Vec<Workspace>, CliError> {
    let stdout = run(root, None, &["workspace", "list", "-no-color"]).await?;
    Ok(listed(&stdout))
}

/// Each line is a name after two columns, of which the first may be a star.
fn listed(stdout: &str) -> Vec<Workspace> {
    stdout
        .lines()
        .filter_map(|line| line.strip_prefix("* ").or_else(|| line.strip_prefix("  ")))
        .filter_map(|name| Workspace::new(name.trim_end()).ok())
        .collect()
}

/// The first JSON object that starts a line; what stands around it are warnings.
fn first_json(stdout: &str) -> Option<serde_json::Map<String, Value>> {
    let mut start = 0;
    for line in stdout.split_inclusive('\n') {
        if line.starts_with('{') {
            let rest = stdout.get(start..)?;
            let first = serde_json::Deserializer::from_str(rest).into_iter().next();
            if let Some(Ok(Value::Object(object))) = first {
                return Some(object);
            }
        }
        start += line.len();
    }
    None
}

async fn run(
    root: &Root,
    workspace: Option<&Workspace>,
    args: &[&str],
) -> Result<String, CliError> {
    let program = root.binary()?;
    let mut command = Command::new(&program);
    command.arg(chdir(root.dir())).args(args);
    for (name, _) in std::env::vars_os() {
        if is_in_the_way(&name) {
            command.env_remove(name);
        }
    }
    command
        .env("TF_IN_AUTOMATION", "1")
        .env("TF_INPUT", "0")
        .env("CHECKPOINT_DISABLE", "1");
    match &root.env().data_dir {
        Some(data_dir) => command.env("TF_DATA_DIR", data_dir),
        None => command.env_remove("TF_DATA_DIR"),
    };
    if let Some(workspace) = workspace {
        command.env("TF_WORKSPACE", workspace.as_str());
    }
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| CliError::Start { program, source })?;
    // On failure stdout may hold warnings; it is looked at only after a success.
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(explain(root, args, &stderr))
}

fn explain(root: &Root, args: &[&str], stderr: &str) -> CliError {
    if stderr.contains("Backend initialization required")
        || stderr.contains("please run \"terraform init\"")
        || stderr.contains("please run \"tofu init\"")
    {
        return CliError::NotInitialised(root.dir().into());
    }
    if stderr.contains("Required plugins are not installed") {
        return CliError::NoPlugins(root.dir().into());
    }
    let mut message = one_line(stderr);
    if message.is_empty() {
        "it said nothing".clone_into(&mut message);
    }
    CliError::Failed {
        command: typed(root, args),
        message,
    }
}

/// Terraform's error without its frame and its blank lines.
fn one_line(stderr: &str) -> String {
    let text = stderr
        .rfind("Error: ")
        .and_then(|at| stderr.get(at + "Error: ".len()..));
    text.unwrap_or(stderr)
        .lines()
        .map(|line| line.trim_matches(|c: char| c.is_whitespace() || "│╷╵".contains(c)))
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// What would change the output or the workspace.
fn is_in_the_way(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        name == "TF_WORKSPACE" || name.starts_with("TF_CLI_ARGS") || name.starts_with("TF_LOG")
    })
}

fn chdir(dir: &Path) -> OsString {
    let mut arg = OsString::from("-chdir=");
    arg.push(dir);
    arg
}

fn typed(root: &Root, args: &[&str]) -> String {
    format!(
        "{} -chdir={} {}",
        root.binary_name(),
        root.dir().display(),
        args.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_object_is_taken_whatever_stands_around_it() {
        let object = "{\n  \"hybrid\": {\n    \"value\": {\"a\": \"}\"}\n  }\n}\n";
        let warning = "\nWarning: Deprecated Parameter\n\n  on main.tf line 1, in terraform:\n\
                       1: terraform {\n\nUse parameter \"use_lockfile\" instead.\n{not json}\n";
        for text in [
            object.to_owned(),
            format!("{object}{warning}"),
            format!("[command]/usr/bin/terraform output -json\n{object}::debug::exit 0\n"),
            format!("{{not json}}\n{object}"),
        ] {
            let outputs = first_json(&text).unwrap();
            assert_eq!(outputs["hybrid"]["value"]["a"], "}", "{text}");
        }
        assert_eq!(first_json("{}\n").unwrap().len(), 0);
        for text in ["", "[1]", "\nWarning: x\n", "{\"a\": 1"] {
            assert_eq!(first_json(text), None, "{text}");
        }
    }

    #[test]
    fn only_names_are_listed() {
        let stdout = "  default\n* dev\n  dev-laptop1\n\nWarning: Deprecated Parameter\n\n  on \
                      main.tf line 3, in terraform:\n";
        let names: Vec<_> = listed(stdout).iter().map(ToString::to_string).collect();
        assert_eq!(names, ["default", "dev", "dev-laptop1"]);
    }

    #[test]
    fn terraforms_error_becomes_one_line() {
        let stderr = "\n╷\n│ Error: Failed to load state: S3 bucket \"x\" does not exist.\n│ \n│ \
                      The referenced bucket must have been created.\n╵\n";
        assert_eq!(
            one_line(stderr),
            "Failed to load state: S3 bucket \"x\" does not exist. The referenced bucket must \
             have been created."
        );
        assert_eq!(one_line("panic\n"), "panic");
    }

    #[test]
    fn variables_that_change_the_output_are_removed() {
        for name in [
            "TF_WORKSPACE",
            "TF_CLI_ARGS",
            "TF_CLI_ARGS_output",
            "TF_LOG",
            "TF_LOG_PATH",
        ] {
            assert!(is_in_the_way(OsStr::new(name)), "{name}");
        }
        for name in [
            "TF_CLI_CONFIG_FILE",
            "TF_VAR_a",
            "AWS_PROFILE",
            "TF_PLUGIN_CACHE_DIR",
        ] {
            assert!(!is_in_the_way(OsStr::new(name)), "{name}");
        }
    }
}
