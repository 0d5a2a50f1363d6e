//! `kubectl hybrid init` on real parts: from an empty folder to a workspace that `status` shows.

#![cfg(test)]

mod terminal;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use hybrid_tests::sandbox::terraform::BOOTSTRAP_TARGETS;
use serde_json::Value;
use tempfile::TempDir;
use terminal::on_a_terminal;

/// A folder of its own, and a project of its own in AWS and in the cluster.
struct New {
    folder: TempDir,
    name: String,
}

impl New {
    fn empty() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            name: format!("new{}", since.as_micros() % 1_000_000_000),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command
            .arg("hybrid")
            .args(arguments)
            .current_dir(self.folder.path());
        // Those are the sandbox's own folder and data.
        for name in ["HYBRID_TERRAFORM_DIR", "TF_DATA_DIR", "HYBRID_WORKSPACE"] {
            command.env_remove(name);
        }
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// `init` with all that is asked for.
    fn init(&self, more: &[&str]) -> Command {
        let mut command = self.command(&["init", "--project", &self.name]);
        command
            .args(["--region=eu-central-1", "--service=web=3000:30599"])
            .args(more);
        command
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        collect(self.folder.path(), &mut files);
        files.sort();
        files
    }
}

/// What the project has in the cluster goes with it; the emulator forgets the rest with the sandbox.
impl Drop for New {
    fn drop(&mut self) {
        let namespace = format!("{}-dev", self.name);
        let mut command = Command::new("kubectl");
        command.args(["delete", "namespace", &namespace, "--ignore-not-found"]);
        drop(command.args(["--wait=false"]).output());
    }
}

#[track_caller]
fn succeeds(command: &mut Command) -> Value {
    let output = command.arg("--output=json").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// The configuration as the providers of this machine take it: the sandbox has adapted a copy.
fn adapt(ours: &Path) {
    let adapted = PathBuf::from(std::env::var_os("HYBRID_TERRAFORM_DIR").unwrap());
    let mut files = Vec::new();
    collect(ours, &mut files);
    for file in files {
        if file.extension().is_none_or(|extension| extension != "tf") {
            continue;
        }
        let other = adapted.join(file.strip_prefix(ours).unwrap());
        // What the sandbox leaves out must not be written again.
        let text = fs::read_to_string(other).unwrap_or_else(|_| "# Left out.\n".to_owned());
        fs::write(file, text).unwrap();
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn on_a_terminal_each_step_is_asked_for() {
    let new = New::empty();
    let init = new.init(&["--until=bootstrap"]);
    let (code, shown) = on_a_terminal(&init, "n\n");
    assert_eq!(code, Some(4), "{shown}");
    assert!(shown.contains("files? [y/N]"), "{shown}");
    assert!(shown.contains("nothing was written"), "{shown}");
    assert_eq!(new.files(), Vec::<PathBuf>::new());

    // The files, and then not the step.
    let (code, shown) = on_a_terminal(&init, "y\nno\n");
    assert_eq!(code, Some(4), "{shown}");
    assert!(shown.contains("Run it? [y/N]"), "{shown}");
    assert!(new.files().contains(&new.folder.path().join("hybrid.toml")));
    let bootstrapped = new.folder.path().join("terraform/bootstrap/.terraform");
    assert!(!bootstrapped.exists());
}

fn states(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    report["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (text(&step["step"]), text(&step["state"])))
        .collect()
}

#[test]
#[ignore = "needs the sandbox"]
fn an_empty_folder_becomes_a_workspace_step_by_step() {
    let new = New::empty();
    // Without a terminal and without a yes nothing is done, and neither is in a dry run.
    assert_eq!(new.run(&["init"]).status.code(), Some(4));
    let planned = succeeds(&mut new.init(&["--dry-run"]));
    assert_eq!(planned["steps"].as_array().unwrap().len(), 4, "{planned}");
    for (wrong, sentence) in [
        ("--project=Upper", "`Upper` cannot be a project"),
        ("--service=web=1:30599", "service `web` is named twice"),
        ("--service=api=1:30599", "cannot both have port 30599"),
        (
            "--environment=default",
            "`default` cannot be an environment",
        ),
    ] {
        let mut command = if wrong.starts_with("--project") {
            new.command(&["init", "--yes", "--region=eu-central-1", wrong])
        } else {
            new.init(&["--yes", wrong])
        };
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(sentence), "{stderr}");
    }
    assert_eq!(new.files(), Vec::<PathBuf>::new());

    succeeds(&mut new.init(&["--yes", "--until=files"]));
    assert!(new.files().contains(&new.folder.path().join("hybrid.toml")));
    let terraform = new.folder.path().join("terraform");
    adapt(&terraform);
    // The emulator takes no more of bootstrap than this.
    let report = succeeds(
        new.init(&["--yes", "--until=bootstrap"])
            .env("TF_CLI_ARGS_apply", BOOTSTRAP_TARGETS.join(" ")),
    );
    assert_eq!(states(&report), [("bootstrap".into(), "done".into())]);
    let kept = report["files"].as_array().unwrap();
    assert!(
        kept.iter().all(|file| file["action"] != "create"),
        "{report}"
    );

    let report = succeeds(&mut new.command(&["init", "--yes"]));
    let step = |name: &str, state: &str| (name.to_owned(), state.to_owned());
    assert_eq!(
        states(&report),
        [
            step("bootstrap", "already"),
            step("backend", "done"),
            step("workspace", "done"),
            step("apply", "done"),
        ]
    );
    let report = succeeds(&mut new.command(&["init", "--yes"]));
    assert!(
        states(&report).iter().all(|(_, state)| state == "already"),
        "{report}"
    );

    let status = succeeds(&mut new.command(&["status"]));
    assert_eq!(status["project"].as_str(), Some(new.name.as_str()));
    assert_eq!(status["services"][0]["name"], "web");

    // Nothing of this selected a workspace in the folder; neither does another workspace.
    assert!(!terraform.join(".terraform/environment").exists());
    let made = new.run(&["workspace", "new", "dev-laptop9"]);
    assert!(made.status.success(), "{made:?}");
    assert!(!terraform.join(".terraform/environment").exists());
    let twice = new.run(&["workspace", "new", "dev-laptop9"]);
    assert_eq!(twice.status.code(), Some(4));
    let unknown = new.run(&["workspace", "use", "typo"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        new.run(&["workspace", "use", "dev-laptop9"])
            .status
            .success()
    );
    let shown = succeeds(&mut new.command(&["workspace", "show"]));
    assert_eq!(shown["name"], "dev-laptop9");
    assert_eq!(shown["chosenBy"], "hybrid.toml");
    assert_eq!(shown["exists"], true);
    let names = succeeds(&mut new.command(&["workspace", "list"]));
    assert_eq!(names, serde_json::json!(["default", "dev", "dev-laptop9"]));
}

#[test]
#[ignore = "needs the sandbox"]
fn a_folder_with_a_configuration_of_its_own_keeps_it() {
    let new = New::empty();
    let main = new.folder.path().join("main.tf");
    fs::write(&main, "terraform {\n  backend \"local\" {}\n}\n").unwrap();
    let output = new.init(&["--yes"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("declares no output `hybrid`"), "{stderr}");
    assert_eq!(new.files(), [main]);

    let contract = format!(
        "output \"hybrid\" {{\n  value = {{\n    schema_version = 1\n    project = \"{}\"\n    \
         environment = \"dev\"\n    workspace = terraform.workspace\n    aws = {{ account_id = \
         \"123456789012\", region = \"eu-central-1\", registry = \
         \"123456789012.dkr.ecr.eu-central-1.amazonaws.com\" }}\n    state = {{ lock = \"none\" }}\n    \
         cluster = {{ namespace = \"default\" }}\n    services = {{}}\n  }}\n}}\n",
        new.name
    );
    fs::write(new.folder.path().join("outputs.tf"), contract).unwrap();
    let report = succeeds(&mut new.init(&["--yes"]));
    assert_eq!(report["files"].as_array().unwrap().len(), 1, "{report}");
    let status = succeeds(&mut new.command(&["status"]));
    assert_eq!(status["workspace"], "dev");
}
