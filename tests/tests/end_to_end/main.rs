//! The whole on real parts: a deploy as a developer types it, and what then runs.
//!
//! Every test deploys a copy of the example of its own first, so that their order does not matter.
//! They share one cluster and one front: run them one at a time.

#![cfg(test)]

mod asked;
mod bad_input;
#[path = "../deployed/mod.rs"]
mod deployed;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployed::{
    NAMESPACE, Project, assert_web_shows, front, image_of, in_the_registry, kubectl, kubectl_json,
};
use hybrid_tests::bucket::{every_version, states};
use hybrid_tests::said::{Said, list, text};
use memchr::memmem;
use serde_json::Value;

const SERVICES: [&str; 3] = ["api", "search", "web"];
/// The passwords in the cluster's pull secret.
fn regcred_passwords() -> Vec<String> {
    let secret = kubectl_json(&["get", "secret", "regcred"]);
    let config = STANDARD
        .decode(text(&secret["data"][".dockerconfigjson"]))
        .unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    let registries = config["auths"].as_object().unwrap();
    assert!(!registries.is_empty(), "regcred names no registry");
    registries
        .values()
        .map(|login| {
            let auth = STANDARD.decode(text(&login["auth"])).unwrap();
            let auth = String::from_utf8(auth).unwrap();
            auth.strip_prefix("AWS:").expect("user AWS").to_owned()
        })
        .collect()
}

#[track_caller]
fn assert_regcred_is_alive() {
    for password in regcred_passwords() {
        let check = front().check_token(&password).unwrap();
        assert!(check.issued && check.alive, "{check:?}");
    }
}

/// What nobody may change who was refused: the pull secret, and what the deployments ask for.
fn written() -> Vec<(String, String)> {
    let secret = kubectl_json(&["get", "secret", "regcred"]);
    let version = text(&secret["metadata"]["resourceVersion"]).to_owned();
    let mut all = vec![("regcred".to_owned(), version)];
    let deployments = kubectl_json(&["get", "deployments"]);
    let deployments = list(&deployments["items"]);
    assert_eq!(deployments.len(), SERVICES.len());
    for deployment in deployments {
        let metadata = &deployment["metadata"];
        all.push((
            text(&metadata["name"]).to_owned(),
            metadata["generation"].to_string(),
        ));
    }
    all
}

/// The services of a deploy's report of which `what` is true.
fn of_which<'a>(report: &'a Value, what: &str) -> Vec<&'a str> {
    list(&report["services"])
        .iter()
        .filter(|service| service[what].as_bool().expect(what))
        .map(|service| text(&service["name"]))
        .collect()
}

#[test]
#[ignore = "needs the sandbox"]
fn a_deploy_runs_what_the_registry_holds() {
    let project = Project::copied();
    project.change_web();
    let report = project
        .hybrid(&["deploy", "--output=json"])
        .succeeds()
        .json();
    let deployed = list(&report["services"]);
    let names: Vec<&str> = deployed.iter().map(|it| text(&it["name"])).collect();
    assert_eq!(names, SERVICES);
    for (service, deployed) in SERVICES.iter().zip(deployed) {
        let digest = in_the_registry(service);
        assert!(digest.starts_with("sha256:"), "{digest}");
        assert_eq!(text(&deployed["digest"]), digest, "{service}");
        let pinned = format!("@{digest}");

        let image = image_of(service);
        assert!(image.ends_with(&pinned), "{image} is not {digest}");

        let selector = format!("--selector=app.kubernetes.io/name={service}");
        let pods = kubectl_json(&["get", "pods", &selector]);
        let running: Vec<&Value> = list(&pods["items"])
            .iter()
            .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
            .collect();
        assert!(!running.is_empty(), "{service} has no pod");
        for pod in running {
            let id = text(&pod["status"]["containerStatuses"][0]["imageID"]);
            assert!(id.ends_with(&pinned), "{id} is not {digest}");
        }
    }
    assert_regcred_is_alive();
}

#[test]
#[ignore = "needs the sandbox"]
fn a_changed_file_builds_and_rolls_only_its_service() {
    let project = Project::deployed();
    let text = project.change_web();
    let report = project
        .hybrid(&["deploy", "--output=json"])
        .succeeds()
        .json();
    assert_eq!(of_which(&report, "built"), ["web"]);
    assert_eq!(of_which(&report, "rolled"), ["web"]);
    assert_web_shows(&text);
}

/// Takes the dead tokens out of the stores in the end: by their dates they would live for hours. And
/// a dead pull secret when a test fails, so that the next deploy writes another.
struct Expired;

impl Drop for Expired {
    fn drop(&mut self) {
        let mut helper = Command::new("docker-credential-ecr-hybrid");
        let cleared = helper.args(["cache", "clear"]).output();
        if thread::panicking() {
            let mut command = Command::new("kubectl");
            command.args(["--namespace", NAMESPACE, "delete", "secret", "regcred"]);
            // The test has failed already, and says why.
            drop(command.output());
        } else {
            assert!(cleared.is_ok_and(|output| output.status.success()));
        }
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn an_expired_token_is_healed_by_one_deploy() {
    let project = Project::deployed();
    assert_regcred_is_alive();
    let _expired = Expired;
    assert!(front().expire_tokens().unwrap() > 0);
    for password in regcred_passwords() {
        assert!(!front().check_token(&password).unwrap().alive);
    }
    let text = project.change_web();
    project.hybrid(&["deploy"]).succeeds();
    assert_regcred_is_alive();
    assert_web_shows(&text);
}

#[test]
#[ignore = "needs the sandbox"]
fn a_wrong_context_is_refused_and_nothing_is_written() {
    let project = Project::deployed();
    let before = written();
    let digest = in_the_registry("web");

    let real = std::env::var("KUBECONFIG").expect("the sandbox's environment");
    let real = fs::read_to_string(real).unwrap();
    let server = "https://203.0.113.1:6443";
    let elsewhere: String = real
        .replace("hybrid-sandbox", "elsewhere")
        .lines()
        .map(|line| match line.split_once("server:") {
            Some((indent, _)) => format!("{indent}server: {server}\n"),
            None => format!("{line}\n"),
        })
        .collect();
    assert!(elsewhere.contains(server) && elsewhere.contains("current-context: elsewhere"));
    let kubeconfig = project.path("kubeconfig");
    fs::write(&kubeconfig, elsewhere).unwrap();

    project.change_web();
    let mut command = project.command(&["deploy"]);
    command.env("KUBECONFIG", &kubeconfig);
    let sentence = Said::of(&mut command).fails(4);
    assert!(sentence.contains("elsewhere"), "{sentence}");
    assert_eq!(written(), before);
    assert_eq!(in_the_registry("web"), digest);
}

/// Asserts that none of `secrets` is in `content`, without showing either.
#[track_caller]
fn assert_without(secrets: &[String], content: &[u8], place: &str) {
    for secret in secrets {
        let found = memmem::find(content, secret.as_bytes());
        assert!(found.is_none(), "a token is in {place}");
    }
}

/// Asserts it of every file below `folder`, and returns how many there were.
#[track_caller]
fn assert_folder_without(secrets: &[String], folder: &Path) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += assert_folder_without(secrets, &path);
        } else {
            let content = fs::read(&path).unwrap();
            assert_without(secrets, &content, &path.display().to_string());
            files += 1;
        }
    }
    files
}

#[test]
#[ignore = "needs the sandbox"]
fn no_token_is_in_state_config_or_logs() {
    let project = Project::deployed();
    // So that the deploy writes a pull secret, and pushes.
    kubectl(&["delete", "secret", "regcred"]);
    project.change_web();
    let said = project.hybrid(&["deploy"]).succeeds();

    let passwords = regcred_passwords();
    assert!(passwords.iter().all(|password| password.len() > 64));
    // As a password, and as what ECR and Docker call the authorisation.
    let secrets: Vec<String> = passwords
        .iter()
        .flat_map(|password| [password.clone(), STANDARD.encode(format!("AWS:{password}"))])
        .collect();

    assert_without(&secrets, said.stdout.as_bytes(), "stdout");
    assert_without(&secrets, said.stderr.as_bytes(), "stderr");

    let objects = every_version(&states());
    // The first version of a state has nothing in it yet.
    let is_ours = |(place, content): &(String, Vec<u8>)| {
        place.ends_with(".tfstate") && memmem::find(content, NAMESPACE.as_bytes()).is_some()
    };
    assert!(objects.iter().any(is_ours), "no state in a bucket");
    for (place, content) in &objects {
        assert_without(&secrets, content, place);
    }

    let variable = |name: &str| PathBuf::from(std::env::var_os(name).expect(name));
    let config = variable("DOCKER_CONFIG").join("config.json");
    assert_without(&secrets, &fs::read(config).unwrap(), "Docker's config.json");
    let sandbox = variable("HYBRID_SANDBOX_DIR").join("log");
    assert!(assert_folder_without(&secrets, &sandbox) > 0);
    let builds = variable("HOME").join(".cache/kubectl-hybrid/logs");
    assert!(builds.join("knowledge-repo/web-push.log").is_file());
    assert_folder_without(&secrets, &builds);
}

/// Releases what a failed test would leave locked.
struct Locked<'a> {
    project: &'a Project,
    id: String,
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let command = &mut self.project.command(&["unlock", "--yes", &self.id]);
        // It has been released when the test went well.
        drop(command.output());
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn a_stuck_lock_is_released_by_its_id() {
    let project = Project::deployed();
    let mut leave = Command::new(env!("CARGO_BIN_EXE_hybrid-sandbox"));
    Said::of(leave.args(["lock", "leave"])).succeeds();

    let shown = project
        .hybrid(&["unlock", "--output=json"])
        .succeeds()
        .json();
    let id = text(&shown["locks"][0]["id"]).to_owned();
    let locked = Locked {
        project: &project,
        id,
    };
    let id = locked.id.as_str();
    let places: Vec<&str> = list(&shown["locks"])
        .iter()
        .map(|it| text(&it["place"]))
        .collect();
    assert_eq!(places.len(), 2, "{places:?}");
    assert_ne!(places[0], places[1]);
    assert_eq!(text(&shown["locks"][1]["id"]), id);

    let findings = project.hybrid(&["doctor", "--output=json"]).json();
    // Its holder was killed on this machine: nobody will release it.
    let told = list(&findings["findings"])
        .iter()
        .any(|it| it["id"] == "HYB-TF010" && it["severity"] == "error");
    assert!(told, "doctor does not see the dead lock: {findings}");

    // A deploy takes no lock, so that it neither waits nor fails; it mentions it.
    let said = project.hybrid(&["deploy"]).succeeds();
    assert!(
        said.stderr.contains(id) && said.stderr.contains("takes no lock"),
        "{}",
        said.stderr
    );

    project.hybrid(&["unlock", "--yes", id]).succeeds();
    let after = project.hybrid(&["unlock"]).succeeds();
    let after = after.stdout + &after.stderr;
    assert!(after.contains("is not locked"), "{after}");
    let left = project
        .hybrid(&["unlock", "--output=json"])
        .succeeds()
        .json();
    assert_eq!(list(&left["locks"]).len(), 0, "{left}");
}
