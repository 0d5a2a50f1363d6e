//! The workspace that the sandbox has applied: what a plan sees of the tool's work, what a state
//! holds of the pull secret, and what is refused.

use std::process::Command;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hybrid_tests::sandbox::endpoints::NAMESPACE;
use hybrid_tests::source_tree;
use serde_json::Value;

use super::folder::{copy, kubectl, variable};
use hybrid_tests::bucket::{every_state, state, states, versions};
use hybrid_tests::said::{Said, text};

/// Terraform in the folder that the sandbox has applied.
fn terraform(arguments: &[&str]) -> Command {
    let mut command = Command::new("terraform");
    command
        .args(arguments)
        .current_dir(variable("HYBRID_TERRAFORM_DIR"));
    command
}

fn get(what: &[&str]) -> Value {
    let mut arguments = vec!["--namespace", NAMESPACE, "get", "--output=json"];
    arguments.extend(what);
    serde_json::from_str(&kubectl(&variable("KUBECONFIG"), &arguments)).unwrap()
}

/// Everything that must not be in a state: the pull secret as it is, and the tokens in it.
fn secrets() -> Vec<String> {
    let secret = get(&["secret", "regcred"]);
    let whole = text(&secret["data"][".dockerconfigjson"]).to_owned();
    let config = STANDARD.decode(&whole).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    let logins = config["auths"].as_object().unwrap();
    assert!(!logins.is_empty(), "regcred names no registry");
    let mut secrets = vec![whole];
    for login in logins.values() {
        let password = text(&login["password"]);
        assert!(password.len() > 64);
        secrets.push(password.to_owned());
        secrets.push(text(&login["auth"]).to_owned());
        // A part of it would be too much.
        secrets.push(password[..64].to_owned());
    }
    secrets
}

fn holds(content: &[u8], secret: &str) -> bool {
    content
        .windows(secret.len())
        .any(|window| window == secret.as_bytes())
}

/// Gives `api` its one replica back, also when a test fails.
struct Scaled;

impl Scaled {
    fn to(replicas: u32) {
        let replicas = format!("--replicas={replicas}");
        let scale = ["--namespace", NAMESPACE, "scale", "deployment/api"];
        kubectl(
            &variable("KUBECONFIG"),
            &[&scale[..], &[&replicas]].concat(),
        );
    }
}

impl Drop for Scaled {
    fn drop(&mut self) {
        if !thread::panicking() {
            Self::to(1);
        }
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn a_plan_takes_nothing_back_and_no_state_ever_holds_a_token() {
    let project = tempfile::tempdir().unwrap();
    let example = source_tree().join("examples/knowledge-repo");
    copy(&example, project.path(), &|_| true);
    let hybrid = |arguments: &[&str]| {
        let mut command = Command::new("kubectl");
        command.arg("hybrid").args(arguments);
        Said::of(command.current_dir(project.path())).succeeds()
    };
    hybrid(&["deploy"]);
    let mut all = secrets();
    hybrid(&["restart", "web"]);
    let _scaled = Scaled;
    Scaled::to(2);
    hybrid(&["regcred", "sync", "--force"]);
    let after = secrets();
    assert_ne!(all[0], after[0], "the token is the same");
    all.extend(after);

    let web = get(&["deployment", "web"]);
    let template = &web["spec"]["template"];
    let image = text(&template["spec"]["containers"][0]["image"]);
    assert!(image.contains("@sha256:"), "{image}");
    let annotations = &template["metadata"]["annotations"];
    assert!(
        annotations["kubectl.kubernetes.io/restartedAt"].is_string(),
        "{annotations}"
    );
    assert_eq!(get(&["deployment", "api"])["spec"]["replicas"], 2);

    let plan = ["plan", "-no-color", "-detailed-exitcode"];
    Said::of(&mut terraform(&plan)).succeeds();

    // A refresh writes what is live into the state: the image, and whatever else is not write-only.
    let refresh = ["apply", "-no-color", "-auto-approve", "-refresh-only"];
    Said::of(&mut terraform(&refresh)).succeeds();
    let newest = state("dev").to_string();
    assert!(newest.contains(image), "the refresh has written nothing");
    assert!(newest.contains("kubernetes_secret_v1"), "the shell is gone");
    let states = every_state(&states());
    assert!(states.len() > 1);
    for (key, content) in states {
        for secret in &all {
            assert!(!holds(&content, secret), "a token is in {key}");
        }
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn a_workspace_or_context_that_is_not_meant_is_refused_before_anything_is_written() {
    let before = versions(&states());
    let refused = |command: &mut Command| {
        let said = Said::of(command);
        assert_eq!(said.code, Some(1), "{}{}", said.stdout, said.stderr);
        // Terraform breaks lines where the terminal would.
        said.stderr.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let plan = ["plan", "-no-color", "-lock=false"];
    let sentence = refused(terraform(&plan).env("TF_WORKSPACE", "default"));
    let expected = "The workspace \"default\" does not belong to the environment \"dev\"";
    assert!(sentence.contains(expected), "{sentence}");

    let remote = "-var=kube_context=arn:aws:eks:eu-central-1:123456789012:cluster/prod";
    let sentence = refused(&mut terraform(&[&plan[..], &[remote]].concat()));
    assert!(
        sentence.contains("is not that of a local cluster"),
        "{sentence}"
    );
    assert_eq!(versions(&states()), before);
}
