//! Exit codes, each of them brought about: the same whatever format is asked for.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use hybrid_tests::said::Said;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::deployed::{NAMESPACE, Project, kubectl};
use super::shape::Shapes;
use super::state_lock::StateLock;
use super::{assert_plain, command};

/// How a command is made to end.
struct Ending {
    code: i32,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    without: &'static [&'static str],
}

impl Ending {
    fn of(code: i32, arguments: &[&str]) -> Self {
        Self {
            code,
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            environment: Vec::new(),
            without: &[],
        }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    fn without(mut self, names: &'static [&'static str]) -> Self {
        self.without = names;
        self
    }

    #[track_caller]
    fn run(&self, project: &Project, more: &[&str]) -> Said {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let arguments = [&arguments[..], more].concat();
        let mut command = command(project, &arguments);
        for name in self.without {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().cloned());
        let said = Said::of(&mut command);
        assert_eq!(said.code, Some(self.code), "{arguments:?}: {said:?}");
        assert_plain(&said, &arguments);
        // What `doctor` found is data.
        if !matches!(self.code, 0 | 3) {
            assert!(
                said.stderr.lines().any(|line| line.starts_with("error: ")),
                "{arguments:?}: {said:?}"
            );
        }
        said
    }

    /// Brings it about in both formats. Gives the document, if there is one.
    #[track_caller]
    fn assert_same_in_both_formats(&self, project: &Project) -> Option<Value> {
        self.run(project, &[]);
        let said = self.run(project, &["--output=json", "--quiet"]);
        if said.stdout.is_empty() {
            return None;
        }
        Some(said.json())
    }
}

/// The kubeconfig of the sandbox with another context, of a server that is nobody's.
fn elsewhere(project: &Project) -> String {
    let real = fs::read_to_string(std::env::var("KUBECONFIG").unwrap()).unwrap();
    let server = real
        .lines()
        .find_map(|line| line.trim().strip_prefix("server: "))
        .expect("a server");
    let other = real
        .replace(server, "https://203.0.113.1:6443")
        .replace("hybrid-sandbox", "elsewhere");
    let path = project.path("kubeconfig");
    fs::write(&path, other).unwrap();
    path.display().to_string()
}

/// A profile whose login has ended.
fn ended_login(project: &Project) -> String {
    let path = project.path("aws-config");
    let profile = "[profile team]\nsso_session = corp\nsso_account_id = 123456789012\n\
         sso_role_name = dev\nregion = eu-central-1\n[sso-session corp]\n\
         sso_region = eu-central-1\nsso_start_url = https://corp.example/start\n";
    fs::write(&path, profile).unwrap();
    path.display().to_string()
}

/// While it lives, no new pod of `search` counts as available.
struct NeverAvailable;

impl NeverAvailable {
    /// Less than the deadline for its progress, as the API server demands.
    const SECONDS: u32 = 20;

    fn begun() -> Self {
        Self::patch(Self::SECONDS).succeeds();
        Self
    }

    fn patch(seconds: u32) -> Said {
        let patch = serde_json::json!({ "spec": { "minReadySeconds": seconds } }).to_string();
        let mut command = Command::new("kubectl");
        command.args(["--namespace", NAMESPACE, "patch"]);
        Said::of(command.args(["deployment", "search", "--patch", &patch]))
    }
}

impl Drop for NeverAvailable {
    fn drop(&mut self) {
        Self::patch(0);
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn each_ending_has_its_code_in_both_formats() {
    let project = Project::deployed();
    let mut shapes = Shapes::kept_in("ending.txt");
    let nobody = format!("unix://{}", project.path("nobody.sock").display());
    let nowhere = format!("sha256:{}", "0".repeat(64));
    let kubeconfig = format!("--kubeconfig={}", elsewhere(&project));

    assert!(
        Ending::of(0, &["version"])
            .assert_same_in_both_formats(&project)
            .is_some()
    );
    for arguments in [
        &["status", "--workspace=nowhere"][..],
        &["deploy", "--no-such-flag"],
        &["logs"],
        &["deploy", "nothing"],
    ] {
        Ending::of(2, arguments).assert_same_in_both_formats(&project);
    }

    let found = Ending::of(3, &["doctor"])
        .with("DOCKER_HOST", &nobody)
        .assert_same_in_both_formats(&project)
        .expect("findings");
    let findings = found["findings"].as_array().unwrap().iter();
    let mut errors = findings.filter(|finding| finding["severity"] == "error");
    shapes.note("doctor, an error", errors.next().expect("an error"));

    for arguments in [
        &["status", &kubeconfig][..],
        &["init", "new"],
        &["unlock", "no-such-lock"],
    ] {
        Ending::of(4, arguments).assert_same_in_both_formats(&project);
    }
    let lock = StateLock::put();
    Ending::of(4, &["unlock", "--yes", lock.id]).assert_same_in_both_formats(&project);
    drop(lock);

    let login = ended_login(&project);
    for arguments in [&["status"][..], &["deploy"], &["workspace", "list"]] {
        Ending::of(5, arguments)
            .with("AWS_CONFIG_FILE", &login)
            .with("AWS_PROFILE", "team")
            .without(&[
                "AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY",
                "AWS_SESSION_TOKEN",
            ])
            .assert_same_in_both_formats(&project);
    }

    Ending::of(7, &["rollback", "web", "--to", &nowhere]).assert_same_in_both_formats(&project);
    let report = Ending::of(7, &["regcred", "sync", "no-such-namespace"])
        .assert_same_in_both_formats(&project)
        .expect("a report");
    shapes.note("regcred sync, a failure", &report);

    let never = NeverAvailable::begun();
    let report = Ending::of(8, &["restart", "search", "--timeout=1s"])
        .assert_same_in_both_formats(&project)
        .expect("a report");
    shapes.note("restart, too slow", &report);
    drop(never);

    project.change_web();
    for arguments in [&["build", "web"][..], &["deploy", "web"]] {
        let ending = Ending::of(6, arguments).with("DOCKER_HOST", &nobody);
        ending.assert_same_in_both_formats(&project);
        // Nobody is told of a build that has not begun.
        let said = ending.run(&project, &[]);
        let begun = |line: &str| line.split_whitespace().nth(1) == Some("build");
        assert!(!said.stderr.lines().any(begun), "{}", said.stderr);
    }
    shapes.assert_kept();
    // What was restarted settles before others look.
    kubectl(&["rollout", "status", "deployment/search", "--timeout=60s"]);
}

/// Ends with the test that failed.
struct Watch(Child);

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn a_command_that_is_interrupted_says_so_in_both_formats() {
    let project = Project::deployed();
    for output in ["text", "json"] {
        let kubectl = command(&project, &[]);
        // Not through kubectl: the child that is interrupted is the watch itself.
        let child = Command::new("kubectl-hybrid")
            .args(["regcred", "watch", "-o", output])
            .current_dir(kubectl.get_current_dir().unwrap())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut watch = Watch(child);
        let mut lines = BufReader::new(watch.0.stderr.take().unwrap()).lines();
        let begun = lines
            .by_ref()
            .map_while(Result::ok)
            .any(|line| line.contains("namespaces are kept"));
        assert!(begun, "{output}");
        kill_process(Pid::from_child(&watch.0), Signal::INT).unwrap();
        assert_eq!(watch.0.wait().unwrap().code(), Some(130), "{output}");
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        assert!(
            rest.iter().any(|line| line == "error: interrupted"),
            "{rest:?}"
        );
        let mut stdout = String::new();
        watch
            .0
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut stdout)
            .unwrap();
        assert_eq!(stdout, "", "{output}");
    }
}
