//! Terraform as a child process.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Settings, TerraformError};

/// How much of Terraform's error text an error carries, in lines.
const ERROR_LINES: usize = 25;

/// A command of Terraform in `folder`, with the settings' environment and no other.
pub(super) fn command(settings: &Settings, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(&settings.terraform);
    command
        .current_dir(folder)
        .args(arguments)
        .env_clear()
        .envs(settings.env.iter().map(|(name, value)| (name, value)))
        .env("TF_CLI_CONFIG_FILE", &settings.cli_config)
        .env_remove("TF_WORKSPACE");
    if folder == settings.bootstrap() {
        command.env("TF_DATA_DIR", settings.bootstrap_data());
    }
    command
}

/// What a command of Terraform came to.
pub(super) struct Outcome {
    /// The exit code; none when a signal ended it.
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    /// The command line, for errors.
    command: String,
    why: String,
}

/// Runs Terraform to its end and keeps what it said in the log.
pub(super) fn run(
    settings: &Settings,
    folder: &Path,
    arguments: &[&str],
) -> Result<Outcome, TerraformError> {
    let output = command(settings, folder, arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| TerraformError::Start {
            program: settings.terraform.clone(),
            source,
        })?;
    let command = arguments.join(" ");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    append(
        &settings.log,
        &format!("$ terraform {command}\n{stdout}{stderr}\n"),
    )?;
    Ok(Outcome {
        code: output.status.code(),
        why: error_text(&stderr, &stdout),
        stdout,
        command,
    })
}

/// The same, and anything but success is an error.
pub(super) fn succeed(
    settings: &Settings,
    folder: &Path,
    arguments: &[&str],
) -> Result<String, TerraformError> {
    let outcome = run(settings, folder, arguments)?;
    if outcome.code == Some(0) {
        return Ok(outcome.stdout);
    }
    Err(outcome.failed(settings, folder))
}

impl Outcome {
    pub(super) fn failed(self, settings: &Settings, folder: &Path) -> TerraformError {
        TerraformError::Failed {
            command: self.command,
            folder: folder.to_owned(),
            why: self.why,
            log: settings.log.clone(),
        }
    }
}

/// From the first `Error:` on, without empty lines.
pub(super) fn error_text(stderr: &str, stdout: &str) -> String {
    let text = if stderr.trim().is_empty() {
        stdout
    } else {
        stderr
    };
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let from = lines
        .iter()
        .position(|line| line.starts_with("Error:"))
        .unwrap_or(0);
    let shown: Vec<&str> = lines[from..].iter().take(ERROR_LINES).copied().collect();
    shown.join("\n")
}

fn append(log: &Path, text: &str) -> Result<(), TerraformError> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).map_err(TerraformError::io("create", folder))?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(TerraformError::io("write", log))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_shown_without_the_warnings_before_it() {
        let stderr = "\nWarning: Deprecated Parameter\n\nError: Unsupported argument\n\n  on main.tf line 3\n";
        assert_eq!(
            error_text(stderr, ""),
            "Error: Unsupported argument\n  on main.tf line 3"
        );
        assert_eq!(error_text("", "said on stdout\n"), "said on stdout");
    }
}
