//! Roll-outs that are killed, that fail, and that go back, on real parts.
//!
//! They share one cluster and one front with the other tests of the whole: run them one at a time.

#![cfg(test)]

mod buildkit;
mod builds;
#[path = "../deployed/mod.rs"]
mod deployed;
mod engine_of_today;
mod hooks;
mod killed;
mod sign_on;

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use deployed::{
    NAMESPACE, PATIENCE, Project, WEB, assert_web_shows, front, image_of, in_the_registry, page,
};
use hybrid_tests::bucket::aws;
use hybrid_tests::said::{Said, list, text};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Starts the plugin itself, without kubectl before it, and listens to its steps.
fn start(project: &Project, arguments: &[&str]) -> (Child, impl Iterator<Item = String> + use<>) {
    let kubectl = project.command(arguments);
    let mut command = Command::new("kubectl-hybrid");
    command
        .args(arguments)
        .current_dir(kubectl.get_current_dir().unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    (child, lines.map_while(Result::ok))
}

/// `hybrid-sandbox exec`: where the registry's name is known.
fn inside(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hybrid-sandbox"));
    command.arg("exec").args(words);
    command
}

/// Asks a program of a test to end, and waits until it has.
fn terminate(child: &mut Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::TERM);
    }
    drop(child.wait());
}

/// Waits until something holds; `why_not` is what is known when it does not.
#[track_caller]
fn until(mut holds: impl FnMut() -> bool, why_not: impl FnOnce() -> String) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(
            Instant::now() < end,
            "not within {PATIENCE:?}: {}",
            why_not()
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// `plan` of `  0.5s plan       web is unchanged`.
fn step(line: &str) -> &str {
    line.split_whitespace().nth(1).unwrap_or_default()
}

/// The candidates of `web`, newest first.
fn candidates(project: &Project) -> Vec<Value> {
    let shown = project
        .hybrid(&["rollback", "web", "--output=json"])
        .succeeds()
        .json();
    list(&shown[0]["candidates"]).clone()
}

#[test]
#[ignore = "needs the sandbox"]
fn a_rollback_goes_back_and_refuses_what_the_registry_lost() {
    let project = Project::copied();
    let first = project.change_web();
    project.hybrid(&["deploy"]).succeeds();
    let first_digest = in_the_registry("web");
    let second = project.change_web();
    project.hybrid(&["deploy"]).succeeds();
    assert_web_shows(&second);
    let second_digest = in_the_registry("web");

    let found = candidates(&project);
    let (now, before) = (&found[0], &found[1]);
    assert_eq!(
        (text(&now["digest"]), &now["current"], &now["inRegistry"]),
        (
            second_digest.as_str(),
            &Value::Bool(true),
            &Value::Bool(true)
        )
    );
    assert_eq!(text(&before["digest"]), first_digest);
    let tag = text(&before["tag"]);
    assert_eq!(
        text(&before["changeCause"]),
        format!("kubectl hybrid deploy {NAMESPACE}/web:{tag}")
    );
    assert!(before["madeAt"].is_string() && before["revision"].is_number());
    let shown = project.hybrid(&["rollback", "web"]).succeeds();
    assert!(shown.stdout.contains(tag), "{}", shown.stdout);

    let digits = &first_digest["sha256:".len()..][..12];
    let planned = || {
        let arguments = [
            "rollback",
            "web",
            "--to",
            digits,
            "--dry-run",
            "--output=json",
        ];
        project.hybrid(&arguments).succeeds().json()["plan"].clone()
    };
    let plan = planned();
    assert_eq!(plan["movesTag"], Value::from("dev"));
    assert_eq!(list(&plan["pullSecrets"]).len(), 1, "{plan}");
    project
        .hybrid(&["rollback", "web", "--to", digits])
        .succeeds();
    assert_eq!(planned()["movesTag"], Value::Null);
    assert_web_shows(&first);
    assert!(image_of("web").ends_with(&first_digest));
    // What --no-build deploys is what runs.
    assert_eq!(in_the_registry("web"), first_digest);

    let repository = format!("{NAMESPACE}/web");
    let id = format!("imageDigest={second_digest}");
    aws(&[
        "ecr",
        "batch-delete-image",
        "--repository-name",
        &repository,
        "--image-ids",
        &id,
    ]);
    let found = candidates(&project);
    let gone = found
        .iter()
        .find(|it| it["digest"] == second_digest.as_str())
        .unwrap();
    assert_eq!(gone["inRegistry"], Value::Bool(false));
    let revision = gone["revision"].to_string();
    let sentence = project
        .hybrid(&["rollback", "web", "--to", &revision])
        .fails(7);
    assert!(sentence.contains("is not in repository"), "{sentence}");
    let sentence = project
        .hybrid(&["rollback", "web", "--to", "99999"])
        .fails(2);
    assert!(
        sentence.contains("no revision or digest `99999`"),
        "{sentence}"
    );
    assert_web_shows(&first);
    project.hybrid(&["deploy"]).succeeds();
    assert_web_shows(&second);
}

#[test]
#[ignore = "needs the sandbox"]
fn an_atomic_deploy_that_fails_goes_back_and_any_other_stays() {
    let project = Project::copied();
    let old = project.change_web();
    project.hybrid(&["deploy"]).succeeds();
    let (web, search) = (image_of("web"), image_of("search"));
    let tagged = in_the_registry("web");
    let new = project.change_web();
    let dockerfile = project.path("search/Dockerfile");
    let good = fs::read_to_string(&dockerfile).unwrap();
    let kept = good.lines().filter(|line| !line.starts_with("CMD"));
    let mut broken: Vec<&str> = kept.collect();
    broken.push("CMD [\"/no/such/command\"]\n");
    let broken = broken.join("\n");
    fs::write(&dockerfile, broken).unwrap();

    let said = project.hybrid(&["deploy", "--atomic"]);
    let sentence = said.fails(7);
    assert!(
        sentence.contains("deployment/search") && sentence.contains("cannot be started"),
        "{sentence}"
    );
    assert!(
        said.stderr.contains("hint: see `kubectl -n"),
        "{}",
        said.stderr
    );
    assert_eq!((image_of("web"), image_of("search")), (web, search.clone()));
    assert_eq!(in_the_registry("web"), tagged);
    assert_web_shows(&old);

    let said = project.hybrid(&["deploy"]);
    said.fails(7);
    // Those that are good stay, and the broken one keeps its old pods.
    assert_web_shows(&new);
    assert_ne!(image_of("search"), search);
    let status = project
        .hybrid(&["status", "--output=json"])
        .succeeds()
        .json();
    let of_search = list(&status["services"])
        .iter()
        .find(|it| it["name"] == "search")
        .unwrap();
    assert!(of_search["rolling"].is_string(), "{of_search}");
    assert_eq!(of_search["ready"], 1);

    fs::write(&dockerfile, good).unwrap();
    project.hybrid(&["deploy", "--atomic"]).succeeds();
    assert_eq!(image_of("search"), search);
}

/// A way to the API server that can be cut.
struct Way {
    port: u16,
    cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Way {
    fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(AtomicBool::new(false));
        let open = Arc::new(Mutex::new(Vec::new()));
        let (is_cut, streams, server) = (cut.clone(), open.clone(), server.to_owned());
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let far = TcpStream::connect(&server).unwrap();
                let ends = [near.try_clone().unwrap(), far.try_clone().unwrap()];
                streams.lock().unwrap().extend(ends);
                for (mut from, mut to) in [
                    (near.try_clone().unwrap(), far.try_clone().unwrap()),
                    (far, near),
                ] {
                    thread::spawn(move || {
                        // It ends when either side does.
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { port, cut, open }
    }

    /// Cuts the way for a while, as a restart of the server does.
    fn interrupt(&self, time: Duration) {
        self.cut.store(true, Ordering::SeqCst);
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        thread::sleep(time);
        self.cut.store(false, Ordering::SeqCst);
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn a_roll_out_outlasts_an_api_server_that_restarts_and_a_context_that_is_removed() {
    let project = Project::deployed();
    let text = project.change_web();
    let real = std::env::var("KUBECONFIG").expect("the sandbox's environment");
    let real = fs::read_to_string(real).unwrap();
    let server = real
        .lines()
        .find_map(|line| line.trim().strip_prefix("server: https://"))
        .expect("a server");
    let way = Way::to(server);
    let kubeconfig = project.path("kubeconfig");
    let through = real.replace(server, &format!("127.0.0.1:{}", way.port));
    fs::write(&kubeconfig, through).unwrap();
    let path = kubeconfig.to_str().unwrap();
    let (child, lines) = start(&project, &["deploy", "web", "--kubeconfig", path]);
    let mut said = String::new();
    let mut interrupted = false;
    for line in lines {
        said.push_str(&line);
        said.push('\n');
        if !interrupted && step(&line) == "roll-out" {
            fs::remove_file(&kubeconfig).unwrap();
            way.interrupt(Duration::from_secs(3));
            interrupted = true;
        }
    }
    let ended = child.wait_with_output().unwrap();
    assert!(interrupted && ended.status.success(), "{said}");
    assert!(
        said.contains("the API server does not answer at the moment"),
        "{said}"
    );
    assert_web_shows(&text);
    let sentence = project.hybrid(&["status", "--kubeconfig", path]).fails(2);
    assert!(sentence.contains("no kubeconfig found"), "{sentence}");
}

#[test]
#[ignore = "needs the sandbox"]
fn credentials_that_end_half_way_are_named_and_the_next_deploy_goes_on() {
    let project = Project::deployed();
    let text = project.change_web();
    let before = image_of("web");
    // The image is pushed already when the tag is moved.
    let fault = "ecr:PutImage=ExpiredTokenException";
    let faults = front().faulty().failing(fault).unwrap();
    let said = project.hybrid(&["deploy"]);
    let sentence = said.fails(5);
    assert!(sentence.contains("set a tag in"), "{sentence}");
    assert!(said.stderr.contains("hint:"), "{}", said.stderr);
    assert_eq!(image_of("web"), before);
    drop(faults);
    let report = project
        .hybrid(&["deploy", "--output=json"])
        .succeeds()
        .json();
    let web = list(&report["services"])
        .iter()
        .find(|it| it["name"] == "web")
        .unwrap();
    assert_eq!(
        (&web["built"], &web["rolled"]),
        (&Value::Bool(false), &Value::Bool(true))
    );
    assert_web_shows(&text);
}

#[test]
#[ignore = "needs the sandbox"]
fn status_restart_and_logs_know_the_service() {
    let project = Project::deployed();
    let status = project
        .hybrid(&["status", "--output=json"])
        .succeeds()
        .json();
    assert_eq!(text(&status["workspace"]), "dev");
    assert_eq!(text(&status["namespace"]), NAMESPACE);
    assert!(status["contractWrittenAt"].is_string() && status["tokenExpiresAt"].is_string());
    assert_eq!(list(&status["locks"]).len(), 0);
    assert_eq!(list(&status["unknown"]).len(), 0, "{status}");
    for service in list(&status["services"]) {
        assert_eq!(text(&service["registry"]), "same", "{service}");
        assert_eq!(service["ready"], service["desired"]);
        assert!(
            service["rolling"].is_null() && service["rolledAt"].is_string(),
            "{service}"
        );
        assert!(text(&service["tag"]).len() > 3 && text(&service["digest"]).len() == 71);
    }
    let screen = project.hybrid(&["status"]).succeeds().stdout;
    for part in [
        "Workspace",
        "Context",
        "Contract",
        "Lock",
        "Token",
        "http://127.0.0.1:30300/",
    ] {
        assert!(screen.contains(part), "{screen}");
    }

    let restarted = |arguments: &[&str]| -> Vec<String> {
        let report = project.hybrid(arguments).succeeds().json();
        list(&report)
            .iter()
            .map(|it| text(&it["workload"]).to_owned())
            .collect()
    };
    let labels = "app.kubernetes.io/name=web";
    assert_eq!(
        restarted(&["restart", "-l", labels, "--output=json"]),
        ["deployment/web"]
    );
    let all = restarted(&["restart", "-n", NAMESPACE, "--output=json"]);
    assert_eq!(all.len(), 3, "{all:?}");
    let sentence = project.hybrid(&["restart", "-l", "app=nothing"]).fails(2);
    assert!(
        sentence.contains("no workload with labels `app=nothing`"),
        "{sentence}"
    );

    assert!(page(WEB).is_ok());
    let said: Said = project.hybrid(&["logs", "web", "--", "--tail=1"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    // What kubectl does not know it says itself.
    let said = project.hybrid(&["logs", "web", "--", "--no-such-flag"]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.stderr.contains("unknown flag: --no-such-flag"),
        "{}",
        said.stderr
    );
}
