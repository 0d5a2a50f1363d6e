//! A real lock that nobody will release: of a Terraform that was killed while it held it.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use super::http::Endpoint;
use super::run::{command, error_text};
use super::{Settings, TerraformError, emulator};

/// Terraform waits here with the lock taken.
const PROMPT: &str = "Enter a value:";

/// The lock that was left, in the table and in the lock file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftLock {
    /// The id that `terraform force-unlock` asks for.
    pub id: String,
    /// `USER@HOST`.
    pub who: String,
    /// `BUCKET/KEY` of the state.
    pub path: String,
}

/// Starts a real `terraform apply`, waits until it asks for approval, and kills it.
pub fn leave_lock(settings: &Settings) -> Result<LeftLock, TerraformError> {
    let endpoint = settings.endpoint()?;
    // There is something to approve: the life cycle of the repositories would keep one image less.
    let mut child = command(
        settings,
        &settings.root,
        &["apply", "-no-color", "-var=keep_images=49"],
    )
    .env("TF_INPUT", "1")
    .stdin(Stdio::piped())
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    // The providers are its children and have to end with it.
    .process_group(0)
    .spawn()
    .map_err(|source| TerraformError::Start {
        program: settings.terraform.clone(),
        source,
    })?;
    let said = wait_for_prompt(&mut child);
    kill(&mut child);
    let said = said.map_err(|source| TerraformError::Start {
        program: settings.terraform.clone(),
        source,
    })?;
    if !said.ends_with(PROMPT) {
        let mut stderr = String::new();
        if let Some(mut pipe) = child.stderr.take() {
            // Whatever can be read is better than nothing.
            let _ = pipe.read_to_string(&mut stderr);
        }
        return Err(TerraformError::NoLockLeft {
            why: error_text(&stderr, &said),
        });
    }
    left(settings, endpoint)
}

/// Reads stdout until the prompt, or to its end.
fn wait_for_prompt(child: &mut Child) -> io::Result<String> {
    let Some(stdout) = child.stdout.take() else {
        return Ok(String::new());
    };
    let mut said = Vec::new();
    // The prompt is not followed by a line feed.
    for byte in io::BufReader::new(stdout).bytes() {
        said.push(byte?);
        if said.ends_with(PROMPT.as_bytes()) {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

fn kill(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

/// Both places hold the lock, and it is the same one.
fn left(settings: &Settings, endpoint: Endpoint) -> Result<LeftLock, TerraformError> {
    let row = emulator::lock_row(settings, endpoint)?.and_then(|info| lock(&info));
    let file = emulator::lock_file(settings, endpoint)?.and_then(|info| lock(&info));
    match (row, file) {
        (Some(row), Some(file)) if row.id == file.id => Ok(row),
        (row, file) => Err(TerraformError::NoLockLeft {
            why: format!("the table holds {row:?}, the lock file {file:?}"),
        }),
    }
}

fn lock(info: &Value) -> Option<LeftLock> {
    let text = |name: &str| info[name].as_str().map(str::to_owned);
    Some(LeftLock {
        id: text("ID")?,
        who: text("Who")?,
        path: text("Path")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_what_terraform_writes_into_both_places() {
        let info = serde_json::json!({
            "ID": "9729b6c7-55cb-8742-33e8-24218deb3c32",
            "Operation": "OperationTypeApply",
            "Who": "ann@laptop",
            "Path": "hybrid-tfstate-123456789012/env:/dev/hybrid/terraform.tfstate",
        });
        let lock = lock(&info).unwrap();
        assert_eq!(lock.id, "9729b6c7-55cb-8742-33e8-24218deb3c32");
        assert_eq!(lock.who, "ann@laptop");
    }

    #[test]
    fn a_body_without_an_id_is_no_lock() {
        assert_eq!(lock(&serde_json::json!({"Who": "ann@laptop"})), None);
    }
}
