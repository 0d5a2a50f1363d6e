//! `kubectl hybrid regcred` on real parts: many namespaces, somebody who breaks secrets, an API
//! server that goes away, and an agent that runs.
//!
//! They share one cluster: run them one at a time.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hybrid_tests::front::Admin;
use hybrid_tests::said::Said;
use hybrid_tests::source_tree;
use serde_json::{Value, json};

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

/// A `regcred watch` that ends with the test.
struct Watch {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Watch {
    fn begun(arguments: &[&str], kubeconfig: Option<&Path>) -> Self {
        // Not through kubectl: the child that is killed is the watch itself.
        let mut command = Command::new("kubectl-hybrid");
        command
            .args(["regcred", "watch"])
            .args(arguments)
            .current_dir(source_tree().join("examples/knowledge-repo"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if let Some(kubeconfig) = kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        let mut child = command.spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&said);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                heard.lock().unwrap().push_str(&text);
            }
        });
        let watch = Self { child, said };
        until("the watch", || {
            watch.has_said("namespaces are kept").then_some(())
        });
        watch
    }

    fn has_said(&self, text: &str) -> bool {
        self.said.lock().unwrap().contains(text)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            eprintln!("the watch said:\n{}", self.said.lock().unwrap());
        }
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
fn a_watch_writes_what_is_new_deleted_or_broken() {
    let made = Namespaces::made(&["w-first"]);
    let glob = made.name(0).replace("first", "*");
    let watch = Watch::begun(&[&glob, "--service-account=default"], None);
    let alive = |namespace: &str| {
        until("a living token", || {
            password(namespace, HOST).filter(|it| front().check_token(it).is_ok_and(|it| it.alive))
        })
    };
    alive(made.name(0));
    let new = Namespaces::made(&["w-new", "other"]);
    alive(new.name(0));
    until("the account names it", || {
        account_names_it(new.name(0), "default").then_some(())
    });
    kubectl(&["-n", new.name(0), "delete", "secret", "regcred"]);
    alive(new.name(0));
    let broken = r#"{"data":{".dockerconfigjson":"e30="}}"#;
    kubectl(&[
        "-n",
        new.name(0),
        "patch",
        "secret",
        "regcred",
        "-p",
        broken,
    ]);
    alive(new.name(0));
    assert!(secret(new.name(1)).is_none());
    drop(watch);
}

/// A way to the API server that can be cut.
struct Way {
    server: String,
    port: u16,
    listener: Arc<Mutex<Option<TcpListener>>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Way {
    fn to_the_api_server() -> Self {
        let path = "-o=jsonpath={.clusters[0].cluster.server}";
        let server = kubectl(&["config", "view", "--minify", path]);
        let way = Self {
            server: server.trim_start_matches("https://").to_owned(),
            port: TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port(),
            listener: Arc::default(),
            open: Arc::default(),
        };
        way.open();
        way
    }

    fn open(&self) {
        let listener = until("the port is free", || {
            TcpListener::bind(("127.0.0.1", self.port)).ok()
        });
        listener.set_nonblocking(true).unwrap();
        *self.listener.lock().unwrap() = Some(listener);
        let (slot, open) = (Arc::clone(&self.listener), Arc::clone(&self.open));
        let server = self.server.clone();
        thread::spawn(move || {
            loop {
                let accepted = match slot.lock().unwrap().as_ref() {
                    Some(listener) => listener.accept(),
                    None => return,
                };
                match accepted {
                    Ok((near, _)) => join(&near, &TcpStream::connect(&server).unwrap(), &open),
                    Err(_) => thread::sleep(Duration::from_millis(2)),
                }
            }
        });
    }

    /// Ends every connection and takes no more.
    fn cut(&self) {
        drop(self.listener.lock().unwrap().take());
        for stream in self.open.lock().unwrap().drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    fn kubeconfig(&self, folder: &Path) -> std::path::PathBuf {
        let real = fs::read_to_string(std::env::var("KUBECONFIG").unwrap()).unwrap();
        let path = folder.join("kubeconfig");
        fs::write(
            &path,
            real.replace(&self.server, &format!("127.0.0.1:{}", self.port)),
        )
        .unwrap();
        path
    }
}

fn join(near: &TcpStream, far: &TcpStream, open: &Mutex<Vec<TcpStream>>) {
    near.set_nonblocking(false).unwrap();
    let mut kept = open.lock().unwrap();
    for (from, to) in [(near, far), (far, near)] {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        kept.push(from.try_clone().unwrap());
        thread::spawn(move || {
            drop(std::io::copy(&mut from, &mut to));
            drop(to.shutdown(Shutdown::Both));
        });
    }
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

#[test]
#[ignore = "needs the sandbox"]
fn a_watch_survives_an_api_server_that_restarts() {
    let made = Namespaces::made(&["away"]);
    let folder = tempfile::tempdir().unwrap();
    let way = Way::to_the_api_server();
    let kubeconfig = way.kubeconfig(folder.path());
    let watch = Watch::begun(&[made.name(0)], Some(&kubeconfig));
    until("the secret", || secret(made.name(0)));
    way.cut();
    // While it is away somebody deletes the secret.
    kubectl(&["-n", made.name(0), "delete", "secret", "regcred"]);
    until("a complaint", || {
        watch.has_said("is tried again").then_some(())
    });
    assert!(secret(made.name(0)).is_none());
    way.open();
    until("the secret again", || secret(made.name(0)));
    until("the good news", || {
        watch.has_said("answers again").then_some(())
    });
    drop(watch);
}

/// Runs in a mount namespace of its own: `/run` is empty there, and no systemd of the machine is
/// disturbed.
const AGENT: &str = r#"set -eu
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/user/0
chmod 700 /run/user/0
export XDG_RUNTIME_DIR=/run/user/0 XDG_CONFIG_HOME="$FOLDER/config"
mkdir -p "$XDG_CONFIG_HOME"
"$SYSTEMD" --user >"$FOLDER/systemd.log" 2>&1 &
manager=$!
trap 'systemctl --user exit 2>/dev/null || kill $manager; wait $manager' EXIT
for try in $(seq 100); do
  systemctl --user is-system-running >/dev/null 2>&1 && break
  sleep 0.1
done
kubectl-hybrid regcred agent status
kubectl-hybrid regcred agent install "$NAMESPACE"
kubectl-hybrid regcred agent status
for try in $(seq 200); do
  kubectl -n "$NAMESPACE" get secret regcred -o name 2>/dev/null && break
  sleep 0.1
done
cat "$XDG_CONFIG_HOME"/systemd/user/*.service
systemctl --user show -p NRestarts 'kubectl-hybrid-*'
kubectl-hybrid regcred agent remove
kubectl-hybrid regcred agent status
"#;

#[test]
#[ignore = "needs the sandbox"]
fn an_agent_keeps_the_secret_under_a_real_systemd_and_goes_without_a_trace() {
    let systemd = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    let can_mount = Command::new("unshare").args(["--mount", "true"]).status();
    let (Some(systemd), true) = (systemd, can_mount.is_ok_and(|status| status.success())) else {
        eprintln!("skipped: there is no systemd on this machine, or no right to mount");
        return;
    };
    let made = Namespaces::made(&["agent"]);
    let folder = tempfile::tempdir().unwrap();
    // The keys of the environment do not get into the unit: the agent has a profile.
    let credentials = folder.path().join("credentials");
    let profile = "[default]\naws_access_key_id = testing\naws_secret_access_key = testing\n";
    fs::write(&credentials, profile).unwrap();
    let mut command = Command::new("unshare");
    command
        .env("AWS_SHARED_CREDENTIALS_FILE", &credentials)
        .args(["--mount", "sh", "-c", AGENT])
        .current_dir(source_tree().join("examples/knowledge-repo"))
        .env("FOLDER", folder.path())
        .env("SYSTEMD", systemd)
        .env("NAMESPACE", made.name(0));
    let said = Said::of(&mut command).ends(0);
    let lines: Vec<&str> = said
        .stdout
        .lines()
        .filter(|line| line.starts_with("systemd user unit") || line.starts_with("secret/"))
        .collect();
    let agent = "systemd user unit kubectl-hybrid-knowledge-repo-dev";
    assert_eq!(
        lines,
        [
            format!("{agent}: not installed"),
            format!("{agent}: running"),
            "secret/regcred".to_owned(),
            format!("{agent}: not installed"),
        ],
        "{}{}",
        said.stdout,
        said.stderr
    );
    assert!(said.stdout.contains("NRestarts=0"), "{}", said.stdout);
    for key in ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"] {
        assert!(!said.stdout.contains(key), "the unit holds {key}");
    }
    let left = fs::read_dir(folder.path().join("config/systemd/user")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().ends_with(".service")),
        "{left:?}"
    );
}

/// The pods of a namespace by what they are for: uid, phase, and why the container waits.
fn pods_by_use(namespace: &str) -> BTreeMap<String, (String, String, String)> {
    let pods = kubectl(&["-n", namespace, "get", "pods", "-o=json"]);
    let pods: Value = serde_json::from_str(&pods).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pods = pods["items"].as_array().unwrap().iter();
    pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .map(|pod| {
            let (metadata, status) = (&pod["metadata"], &pod["status"]);
            let waiting = &status["containerStatuses"][0]["state"]["waiting"]["reason"];
            let about = (
                text(&metadata["uid"]),
                text(&status["phase"]),
                text(waiting),
            );
            (text(&metadata["labels"]["use"]), about)
        })
        .collect()
}

#[test]
#[ignore = "needs the sandbox"]
fn only_pods_that_are_made_anew_are_recreated_and_the_others_are_left_to_the_kubelet() {
    let mut deploy = Command::new("kubectl");
    deploy
        .args(["hybrid", "deploy", "web"])
        .current_dir(source_tree().join("examples/knowledge-repo"));
    Said::of(&mut deploy).ends(0);
    let made = Namespaces::made(&["stuck"]);
    let namespace = made.name(0);
    let template = |purpose: &str, command: &str, policy: &str| {
        let secrets = if purpose == "unlinked" {
            json!([])
        } else {
            json!([{ "name": "regcred" }])
        };
        json!({ "metadata": { "labels": { "use": purpose } }, "spec": {
            "imagePullSecrets": secrets, "restartPolicy": policy,
            "terminationGracePeriodSeconds": 0,
            "containers": [{ "name": "it", "image": format!("{HOST}/knowledge-repo-dev/web:dev"),
                "imagePullPolicy": "Always", "command": ["sh", "-c", command] }] } })
    };
    let workload = |kind: &str, purpose: &str| {
        json!({ "apiVersion": "apps/v1", "kind": kind,
            "metadata": { "name": purpose, "namespace": namespace },
            "spec": { "replicas": 1, "serviceName": purpose,
                "selector": { "matchLabels": { "use": purpose } },
                "template": template(purpose, "sleep 3600", "Always") } })
    };
    let mut deployments = ["kept", "unlinked"].map(|purpose| workload("Deployment", purpose));
    for deployment in &mut deployments {
        deployment["spec"]
            .as_object_mut()
            .unwrap()
            .remove("serviceName");
    }
    let mut bare = template("bare", "sleep 3600", "Always");
    bare["apiVersion"] = json!("v1");
    bare["kind"] = json!("Pod");
    bare["metadata"]["name"] = json!("bare");
    bare["metadata"]["namespace"] = json!(namespace);
    // A pod that is deleted would be its one failure.
    let job = json!({ "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": "once", "namespace": namespace },
        "spec": { "backoffLimit": 0, "template": template("once", "true", "Never") } });
    apply(&deployments);
    apply(&[workload("StatefulSet", "ordered"), job, bare]);
    let uses = ["bare", "kept", "once", "ordered", "unlinked"];
    let waits = |reason: &str| matches!(reason, "ErrImagePull" | "ImagePullBackOff");
    let before = until("pods without credentials", || {
        let pods = pods_by_use(namespace);
        let all = uses
            .iter()
            .all(|purpose| pods.get(*purpose).is_some_and(|(_, _, why)| waits(why)));
        all.then_some(pods)
    });

    let left = sync(&[namespace, "--no-unstick"]);
    assert_eq!(changes(&left), [(namespace, "created")]);
    assert_eq!(left[namespace]["recreated"].as_array().unwrap().len(), 0);
    let report = sync(&[namespace]);
    assert_eq!(changes(&report), [(namespace, "unchanged")]);
    let recreated = report[namespace]["recreated"].as_array().unwrap();
    assert_eq!(recreated.len(), 2, "{report:?}");

    let after = until("pods that run", || {
        let pods = pods_by_use(namespace);
        let phase = |purpose: &str, phase: &str| {
            pods.get(purpose)
                .is_some_and(|(_, found, _)| found == phase)
        };
        let run = ["bare", "kept", "ordered"]
            .iter()
            .all(|purpose| phase(purpose, "Running"));
        (run && phase("once", "Succeeded")).then_some(pods)
    });
    for purpose in uses {
        let is_new = before[purpose].0 != after[purpose].0;
        let expected = matches!(purpose, "kept" | "ordered");
        assert_eq!(is_new, expected, "{purpose}");
    }
    assert!(waits(&after["unlinked"].2), "{:?}", after["unlinked"]);
}
