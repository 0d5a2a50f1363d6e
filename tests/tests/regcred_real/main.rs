//! `kubectl hybrid regcred` on real parts: many namespaces, somebody who breaks secrets, an API
//! server that goes away, and an agent that runs.
//!
//! They share one cluster: run them one at a time.

#![cfg(test)]

mod agent;
mod pods;
mod status;
mod watch;
mod way;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hybrid_tests::front::Admin;
use hybrid_tests::said::Said;
use hybrid_tests::source_tree;
use serde_json::{Value, json};
use way::Way;

const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
const OTHER_REGION: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
/// How long something may take that is on its way.
const PATIENCE: Duration = Duration::from_mins(1);

fn regcred(arguments: &[&str]) -> Command {
    let mut command = Command::new("kubectl");
    command
        .args(["hybrid", "regcred"])
        .args(arguments)
        .current_dir(source_tree().join("examples/knowledge-repo"));
    command
}

/// What `sync` reports, by namespace.
#[track_caller]
fn sync(arguments: &[&str]) -> BTreeMap<String, Value> {
    let said = Said::of(&mut regcred(&[&["sync", "-o=json"], arguments].concat())).ends(0);
    by_namespace(&said.json())
}

fn by_namespace(reports: &Value) -> BTreeMap<String, Value> {
    let reports = reports.as_array().unwrap().iter();
    reports
        .map(|report| {
            (
                report["namespace"].as_str().unwrap().to_owned(),
                report.clone(),
            )
        })
        .collect()
}

fn changes(reports: &BTreeMap<String, Value>) -> Vec<(&str, &str)> {
    reports
        .iter()
        .map(|(name, report)| (name.as_str(), report["change"].as_str().unwrap()))
        .collect()
}

#[track_caller]
fn kubectl(arguments: &[&str]) -> String {
    Said::of(Command::new("kubectl").args(arguments))
        .ends(0)
        .stdout
}

#[track_caller]
fn apply(objects: &[Value]) {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    let mut child = Command::new("kubectl")
        .args(["apply", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(list.to_string().as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
}

fn front() -> Admin {
    Admin::new(std::env::var("AWS_ENDPOINT_URL").expect("the sandbox's environment"))
}

/// Asks until the answer is there.
#[track_caller]
fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} did not happen");
        thread::sleep(Duration::from_millis(200));
    }
}

fn secret(namespace: &str) -> Option<Value> {
    let mut command = Command::new("kubectl");
    command.args(["-n", namespace, "get", "secret", "regcred", "-o=json"]);
    let said = Said::of(&mut command);
    (said.code == Some(0)).then(|| said.json())
}

fn version(namespace: &str) -> String {
    let secret = secret(namespace).unwrap();
    secret["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The login for a registry, when the secret can be read and has one.
fn password(namespace: &str, host: &str) -> Option<String> {
    let config = STANDARD
        .decode(secret(namespace)?["data"][".dockerconfigjson"].as_str()?)
        .ok()?;
    let config: Value = serde_json::from_slice(&config).ok()?;
    Some(config["auths"][host]["password"].as_str()?.to_owned())
}

/// The login for the contract's registry, once it is there and the registry takes it.
#[track_caller]
fn living(namespace: &str) -> String {
    until("a living token", || {
        password(namespace, HOST).filter(|it| front().check_token(it).is_ok_and(|it| it.alive))
    })
}

fn account_names_it(namespace: &str, account: &str) -> bool {
    let path = "-o=jsonpath={.imagePullSecrets[*].name}";
    let mut command = Command::new("kubectl");
    command.args(["-n", namespace, "get", "serviceaccount", account, path]);
    Said::of(&mut command)
        .stdout
        .split(' ')
        .any(|name| name == "regcred")
}

/// Namespaces of one test. They are deleted at the end, whatever happened.
struct Namespaces(Vec<String>);

impl Namespaces {
    fn made(names: &[&str]) -> Self {
        let own = std::process::id();
        let names: Vec<String> = names.iter().map(|name| format!("rc{own}-{name}")).collect();
        let objects: Vec<Value> = names
            .iter()
            .map(|name| {
                json!({ "apiVersion": "v1", "kind": "Namespace",
                    "metadata": { "name": name, "labels": { "of-test": name } } })
            })
            .collect();
        apply(&objects);
        Self(names)
    }

    fn name(&self, index: usize) -> &str {
        &self.0[index]
    }

    /// They are gone at once; the API server needs a while.
    fn delete(names: &[String]) {
        let mut command = Command::new("kubectl");
        command
            .args(["delete", "namespace", "--wait=false", "--ignore-not-found"])
            .args(names);
        drop(command.output());
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        Self::delete(&self.0);
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn names_globs_and_labels_are_synced_once_and_a_second_run_writes_nothing() {
    let made = Namespaces::made(&["team-a", "team-b", "team-x", "labelled", "named"]);
    let glob = made.name(0).replace("team-a", "team-*");
    let label = format!("of-test={}", made.name(3));
    let arguments = [
        glob.as_str(),
        made.name(4),
        "-l",
        &label,
        "--exclude",
        made.name(2),
        "--registry",
        OTHER_REGION,
        "--service-account",
        "default",
    ];
    let dry = [&arguments[..], &["--dry-run"]].concat();
    assert_eq!(sync(&dry).len(), 4);
    assert!(secret(made.name(0)).is_none());

    let reports = sync(&arguments);
    let mut expected = [0, 1, 3, 4].map(|index| (made.name(index), "created"));
    expected.sort_unstable();
    assert_eq!(changes(&reports), expected);
    let before: Vec<String> = expected.iter().map(|(name, _)| version(name)).collect();
    for (name, _) in expected {
        assert!(account_names_it(name, "default"), "{name}");
        for host in [HOST, OTHER_REGION] {
            let password = password(name, host).unwrap();
            assert!(front().check_token(&password).unwrap().alive, "{host}");
        }
    }
    assert!(secret(made.name(2)).is_none());

    let again = sync(&arguments);
    assert!(
        changes(&again)
            .iter()
            .all(|(_, change)| *change == "unchanged")
    );
    let after: Vec<String> = expected.iter().map(|(name, _)| version(name)).collect();
    assert_eq!(before, after);
}

#[test]
#[ignore = "needs the sandbox"]
fn of_ten_namespaces_nine_are_done_and_the_forbidden_one_is_named() {
    let names: Vec<String> = (0..10).map(|number| format!("ten{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let made = Namespaces::made(&names);
    let mut rules = Vec::new();
    for (index, namespace) in made.0.iter().enumerate() {
        let resources: &[&str] = if index == 6 {
            &["pods"]
        } else {
            &["pods", "secrets"]
        };
        let meta = json!({ "name": "dev", "namespace": namespace });
        rules.push(
            json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": meta, "rules": [{ "apiGroups": [""], "resources": resources,
                "verbs": ["get", "list", "create", "patch"] }] }),
        );
        rules.push(
            json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "dev" },
            "subjects": [{ "kind": "User", "name": "dev",
                "apiGroup": "rbac.authorization.k8s.io" }] }),
        );
    }
    apply(&rules);
    let all: Vec<&str> = made.0.iter().map(String::as_str).collect();
    let arguments = [&["sync", "-o=json", "--as=dev"], &all[..]].concat();
    let said = until("the authorizer has read the roles", || {
        let said = Said::of(&mut regcred(&arguments));
        let reports = by_namespace(&said.json());
        let failed = changes(&reports)
            .iter()
            .filter(|(_, change)| *change == "failed")
            .count();
        (failed == 1).then_some(said)
    })
    .ends(7);
    let reports = by_namespace(&said.json());
    for (name, change) in changes(&reports) {
        assert_eq!(change == "failed", name == made.name(6), "{name} {change}");
        assert_eq!(secret(name).is_some(), name != made.name(6), "{name}");
    }
    let errors: Vec<&str> = said
        .stderr
        .lines()
        .filter(|line| line.starts_with("error:"))
        .collect();
    assert_eq!(errors.len(), 1, "{}", said.stderr);
    assert!(errors[0].contains(made.name(6)), "{}", said.stderr);

    // What would be done is told of all ten as well.
    let arguments = [&arguments[..], &["--dry-run"]].concat();
    let said = Said::of(&mut regcred(&arguments)).ends(7);
    let plans = by_namespace(&said.json());
    assert_eq!(plans.len(), 10);
    for (name, plan) in &plans {
        assert_eq!(plan["error"].is_string(), name == made.name(6), "{plan}");
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn a_namespace_that_is_being_deleted_does_not_hold_up_the_others() {
    let made = Namespaces::made(&["end", "stay"]);
    let ending = made.name(0).to_owned();
    // A finalizer keeps it in its end for as long as the test looks.
    apply(&[
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": {
        "name": "held", "namespace": ending, "finalizers": ["hybrid.test/held"] } }),
    ]);
    Namespaces::delete(std::slice::from_ref(&ending));
    let glob = ending.replace("-end", "-*");
    let reports = sync(&[&glob]);
    assert_eq!(changes(&reports), [(made.name(1), "created")]);
    // Who names it is told.
    let said = Said::of(&mut regcred(&["sync", &ending, made.name(1)])).ends(7);
    let free = r#"{"metadata":{"finalizers":null}}"#;
    kubectl(&[
        "-n",
        &ending,
        "patch",
        "configmap",
        "held",
        "--type=merge",
        "-p",
        free,
    ]);
    assert!(said.stderr.contains("is being deleted"), "{}", said.stderr);
    assert!(said.stderr.contains(&ending), "{}", said.stderr);
}

#[test]
#[ignore = "needs the sandbox"]
fn an_api_server_that_restarts_in_the_middle_loses_nothing() {
    let names: Vec<String> = (0..60).map(|number| format!("mid{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let made = Namespaces::made(&names);
    let folder = tempfile::tempdir().unwrap();
    let way = Way::to_the_api_server();
    let kubeconfig = way.kubeconfig(folder.path());
    let glob = made.name(0).replace("mid0", "mid*");
    let mut command = regcred(&["sync", "-o=json", &glob]);
    command
        .env("KUBECONFIG", &kubeconfig)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let written = || {
        let path = "-o=jsonpath={.items[*].metadata.namespace}";
        let all = kubectl(&[
            "get",
            "secrets",
            "-A",
            "--field-selector=metadata.name=regcred",
            path,
        ]);
        let prefix = glob.trim_end_matches('*');
        all.split(' ')
            .filter(|name| name.starts_with(prefix))
            .count()
    };
    until("the first secret", || (written() > 0).then_some(()));
    way.cut();
    thread::sleep(Duration::from_secs(2));
    way.open();
    let output = child.wait_with_output().unwrap();
    let said = Said {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
    .ends(0);
    assert_eq!(by_namespace(&said.json()).len(), 60);
    assert_eq!(written(), 60);
}
