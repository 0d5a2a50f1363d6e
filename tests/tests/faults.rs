//! What goes wrong on the way of a deploy: each is one sentence, nothing is lost, and the next
//! deploy goes on.
//!
//! They share one cluster and one front: run them one at a time.

#![cfg(test)]

mod deployed;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployed::{
    NAMESPACE, PATIENCE, Project, WORKSPACE, assert_web_shows, front, image_of, in_the_registry,
    kubectl_json,
};
use hybrid_tests::said::{Said, text};
use serde_json::{Value, json};

const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

/// The plugin itself, without kubectl before it.
fn plugin(project: &Project, arguments: &[&str]) -> Command {
    let mut command = Command::new("kubectl-hybrid");
    command.args(arguments).current_dir(project.path(""));
    command
}

/// A number that no other process has in its command line.
fn unique() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("{}", since.as_nanos() % 1_000_000_000 + 1_000_000_000)
}

/// How many processes of this machine have that in their command lines.
fn processes_with(text: &str) -> usize {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read(entry.unwrap().path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(text))
        .count()
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Waits for the end of a process that has been asked to end.
#[track_caller]
fn end_of(child: &mut Child) -> Option<i32> {
    let mut code = None;
    until("the end of the deploy", || {
        let ended = child.try_wait().unwrap();
        code = ended.and_then(|status| status.code());
        ended.is_some()
    });
    code
}

#[test]
#[ignore = "needs the sandbox"]
fn a_deploy_that_is_ended_from_outside_leaves_nothing_behind() {
    let project = Project::deployed();
    let before = image_of("web");
    for (signal, code, why) in [("INT", 130, "interrupted"), ("TERM", 143, "asked to end")] {
        let marker = unique();
        let dockerfile = format!("FROM busybox:1.36\nRUN sleep {marker}\n");
        fs::write(project.path("web/Dockerfile"), dockerfile).unwrap();
        let mut child = plugin(&project, &["deploy", "web"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        until("the step of the build", || processes_with(&marker) > 0);
        let pid = child.id().to_string();
        Said::of(Command::new("kill").args(["-s", signal, &pid])).succeeds();
        assert_eq!(end_of(&mut child), Some(code), "{signal}");
        let mut said = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        assert!(said.contains(&format!("error: {why}\n")), "{said}");

        let folder = project.path("");
        let folder = folder.to_string_lossy();
        assert_eq!(processes_with(folder.trim_end_matches('/')), 0, "{signal}");
        until("the end of the build in the engine", || {
            processes_with(&marker) == 0
        });
        assert_eq!(image_of("web"), before);
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn the_clusters_token_pulls_and_cannot_push() {
    let project = Project::deployed();
    // A login that others wrote would stay for half of its life.
    project.hybrid(&["regcred", "sync", "--force"]).succeeds();
    let login = login_of_the_cluster();
    let check = front().check_token(&password(&login)).unwrap();
    let principal = check.principal.unwrap_or_default();
    let role = format!(":assumed-role/{NAMESPACE}-pull/");
    assert!(principal.contains(&role), "{principal}");

    // Docker with this login and no other.
    let folder = project.path("docker-config");
    fs::create_dir(&folder).unwrap();
    let config = json!({ "auths": { HOST: { "auth": login } } });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let docker = |arguments: &[&str]| {
        let mut command = Command::new("docker");
        command.args(arguments).env("DOCKER_CONFIG", &folder);
        Said::of(&mut command)
    };
    let image = format!("{HOST}/{NAMESPACE}/web:{WORKSPACE}");
    docker(&["pull", "--quiet", &image]).succeeds();
    let other = format!("{HOST}/{NAMESPACE}/web:not-by-the-cluster");
    docker(&["tag", &image, &other]).succeeds();
    let said = docker(&["push", &other]);
    docker(&["image", "rm", &other]).succeeds();
    assert_eq!(said.code, Some(1), "{}{}", said.stdout, said.stderr);
    assert!(
        said.stderr.contains("not authorized to perform: ecr:"),
        "{}",
        said.stderr
    );
}

#[test]
#[ignore = "needs the sandbox"]
fn throttling_and_a_registry_that_stumbles_are_outlasted() {
    let project = Project::deployed();
    let page = project.change_web();
    let mut faults = front().faulty();
    for fault in [
        "ecr:BatchGetImage=ThrottlingException*2",
        "ecr:PutImage=ThrottlingException*1",
        // Not the layers: for those the engine waits by itself, and longer.
        "registry:PutManifest=503*2",
    ] {
        faults = faults.failing(fault).unwrap();
    }
    project.hybrid(&["deploy"]).succeeds();
    drop(faults);
    assert_web_shows(&page);
    assert!(image_of("web").ends_with(&in_the_registry("web")));
}

#[test]
#[ignore = "needs the sandbox"]
fn a_registry_that_takes_no_layers_is_mentioned_at_once_and_the_next_deploy_goes_on() {
    let project = Project::deployed();
    let before = image_of("web");
    let page = project.change_web();
    let faults = front().faulty().failing("registry:push=503").unwrap();
    let mut child = plugin(&project, &["deploy", "web"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let mut lines = stderr.lines().map_while(Result::ok);
    let built = lines.any(|line| line.split_whitespace().nth(1) == Some("built"));
    assert!(built);
    // The engine pauses for 5, 10, 15 and 20 s. Nobody has to sit through that without a word.
    let begun = Instant::now();
    let word = lines.find(|line| line.starts_with("warning: ")).unwrap();
    let after = begun.elapsed();
    assert!(
        word.contains(HOST) && word.contains("tries again in 5 s"),
        "{word}"
    );
    assert!(after < Duration::from_secs(5), "after {after:?}");
    let pid = child.id().to_string();
    Said::of(Command::new("kill").args(["-s", "INT", &pid])).succeeds();
    assert_eq!(end_of(&mut child), Some(130));
    drop(faults);
    assert_eq!(image_of("web"), before);
    project.hybrid(&["deploy", "web"]).succeeds();
    assert_web_shows(&page);
}

#[test]
#[ignore = "needs the sandbox"]
fn a_registry_that_is_down_is_named_and_the_next_deploy_goes_on() {
    let project = Project::deployed();
    let before = image_of("web");
    let page = project.change_web();
    let faults = front()
        .faulty()
        .failing("registry:PutManifest=500")
        .unwrap();
    let said = project.hybrid(&["deploy", "web"]);
    let sentence = said.fails(6);
    assert!(
        sentence.contains("web") && sentence.contains("500"),
        "{sentence}"
    );
    drop(faults);
    assert_eq!(image_of("web"), before);
    project.hybrid(&["deploy"]).succeeds();
    assert_web_shows(&page);
}

/// The cluster's login, as it is in the pull secret.
fn login_of_the_cluster() -> String {
    let secret = kubectl_json(&["get", "secret", "regcred"]);
    let config = STANDARD
        .decode(text(&secret["data"][".dockerconfigjson"]))
        .unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    text(&config["auths"][HOST]["auth"]).to_owned()
}

fn password(login: &str) -> String {
    let login = String::from_utf8(STANDARD.decode(login).unwrap()).unwrap();
    login.strip_prefix("AWS:").unwrap().to_owned()
}

/// Takes the dead tokens of other hosts out of the store: by their dates they would live for hours.
struct DeadTokens;

impl Drop for DeadTokens {
    fn drop(&mut self) {
        let mut helper = Command::new("docker-credential-ecr-hybrid");
        // What is left dead is found dead by whoever needs it.
        drop(helper.args(["cache", "clear"]).output());
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn tokens_that_die_during_a_push_are_minted_again_the_clusters_as_well() {
    let project = Project::deployed();
    let page = project.change_web();
    // The push has shown its token, and waits.
    let _dead = DeadTokens;
    let uploads = || front().count("registry:StartUpload").unwrap();
    let before = uploads();
    let delay = front().faulty();
    let delay = delay.delaying("registry:StartUpload", 1500).unwrap();
    let child = plugin(&project, &["deploy", "web"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("the first layer", || uploads() > before);
    assert!(front().expire_tokens().unwrap() > 0);
    drop(delay);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("did not take the token"), "{said}");
    assert_web_shows(&page);
    // No pod was refused before the cluster got a token that lives.
    let token = password(&login_of_the_cluster());
    assert!(front().check_token(&token).unwrap().alive, "{said}");
    assert!(!said.contains("waited for credentials"), "{said}");
}

/// While it lives, each new pod of `search` asks the registry, whatever the node has.
struct AlwaysPulled;

impl AlwaysPulled {
    fn begun() -> Self {
        Self::patch("Always").succeeds();
        Self
    }

    fn patch(policy: &str) -> Said {
        let field = "/spec/template/spec/containers/0/imagePullPolicy";
        let patch = json!([{ "op": "add", "path": field, "value": policy }]).to_string();
        let mut command = Command::new("kubectl");
        command.args(["--namespace", NAMESPACE, "patch", "deployment", "search"]);
        Said::of(command.args(["--type=json", "--patch", &patch]))
    }
}

impl Drop for AlwaysPulled {
    fn drop(&mut self) {
        Self::patch("IfNotPresent");
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn a_restart_whose_pods_are_refused_renews_the_clusters_login() {
    let project = Project::deployed();
    let _always = AlwaysPulled::begun();
    let _dead = DeadTokens;
    assert!(front().expire_tokens().unwrap() > 0);
    let said = project.hybrid(&["restart", "search"]).succeeds();
    let token = password(&login_of_the_cluster());
    assert!(
        front().check_token(&token).unwrap().alive,
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("regcred updated"), "{}", said.stderr);
}

#[test]
#[ignore = "needs the sandbox"]
fn a_restart_that_leaves_pods_alone_renews_the_clusters_login_and_recreates_none() {
    let project = Project::deployed();
    let _always = AlwaysPulled::begun();
    let _dead = DeadTokens;
    assert!(front().expire_tokens().unwrap() > 0);
    let said = project.hybrid(&["restart", "search", "--no-unstick"]);
    let sentence = said.fails(7);
    let pod = sentence
        .split_once("pod `")
        .and_then(|(_, rest)| rest.split_once('`'))
        .map(|(pod, _)| pod)
        .expect("the pod that was refused");
    assert!(
        said.stderr.contains("the pull secret has a new token"),
        "{}",
        said.stderr
    );
    let token = password(&login_of_the_cluster());
    assert!(
        front().check_token(&token).unwrap().alive,
        "{}",
        said.stderr
    );
    let found = kubectl_json(&["get", "pod", pod]);
    assert!(
        found["metadata"]["deletionTimestamp"].is_null(),
        "{}",
        said.stderr
    );
    project.hybrid(&["restart", "search"]).succeeds();
}

/// A way to the engine that can be cut.
struct Way {
    open: Arc<Mutex<Option<Vec<UnixStream>>>>,
}

impl Way {
    fn to(engine: &Path, at: &Path) -> Self {
        let listener = UnixListener::bind(at).unwrap();
        let open = Arc::new(Mutex::new(Some(Vec::new())));
        let (way, engine) = (Arc::clone(&open), engine.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = UnixStream::connect(&engine) else {
                    return;
                };
                let mut open = way.lock().unwrap();
                let Some(streams) = open.as_mut() else {
                    // Cut: nobody is let in.
                    continue;
                };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    streams.push(from.try_clone().unwrap());
                    thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Write);
                    });
                }
            }
        });
        Self { open }
    }

    fn cut(&self) {
        for stream in self.open.lock().unwrap().take().into_iter().flatten() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn an_engine_that_stops_during_a_build_is_named() {
    let project = Project::deployed();
    let before = image_of("web");
    let marker = unique();
    let dockerfile = format!("FROM busybox:1.36\nRUN sleep {marker}\n");
    fs::write(project.path("web/Dockerfile"), dockerfile).unwrap();
    let engine = std::env::var("DOCKER_HOST").expect("the sandbox's environment");
    let engine = engine.strip_prefix("unix://").unwrap();
    let socket = project.path("engine.sock");
    let way = Way::to(Path::new(engine), &socket);
    let mut command = plugin(&project, &["deploy", "web"]);
    command
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    until("the step of the build", || processes_with(&marker) > 0);
    way.cut();
    let output = child.wait_with_output().unwrap();
    let said = Said {
        code: output.status.code(),
        stdout: String::new(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    let sentence = said.fails(6);
    assert!(
        sentence.contains("engine") || sentence.contains("Docker"),
        "{sentence}"
    );
    until("the end of the build in the engine", || {
        processes_with(&marker) == 0
    });
    assert_eq!(image_of("web"), before);
}

#[test]
#[ignore = "needs the sandbox"]
fn a_full_disk_is_named_with_the_file_that_it_concerns() {
    let project = Project::deployed();
    let before = image_of("web");
    project.change_web();
    let full = project.path("full");
    fs::create_dir(&full).unwrap();
    // In a mount namespace of its own: nothing of it is left when the process ends.
    let script = "mount -t tmpfs -o size=4k full \"$FULL\" && head -c 4096 /dev/zero > \"$FULL/x\"; \
                  exec kubectl-hybrid deploy web";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .env("FULL", &full)
        .env("XDG_CACHE_HOME", &full)
        .current_dir(project.path(""));
    let said = Said::of(&mut command);
    let sentence = said.fails(6);
    assert!(
        sentence.contains("No space left on device") && sentence.contains("full"),
        "{sentence}"
    );
    assert_eq!(image_of("web"), before);
}
