//! A credential process that takes its time: it may wait for a person.

use std::fs;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{answer, root, serve, state};

const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

/// A project whose state and locks are asked for as profile `p`. Its process notes each start and
/// answers after some seconds.
struct Project {
    folder: tempfile::TempDir,
    asked: Arc<AtomicU32>,
    endpoint: String,
}

impl Project {
    fn whose_process_takes(seconds: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let endpoint = serve(Box::new(move |what| {
            count.fetch_add(1, Ordering::SeqCst);
            match what {
                what if what.starts_with("GetItem") => answer(200, "{}"),
                what if what.ends_with("/dev/k") => {
                    let state = state().replace("default", "dev");
                    answer(200, state.replace("r.example.com", HOST))
                }
                "GetAuthorizationToken" => answer(
                    200,
                    r#"{"authorizationData":[{"authorizationToken":"QVdTOnA=","expiresAt":4e9}]}"#,
                ),
                "GET /api/v1/namespaces/n/pods" => answer(200, r#"{"metadata":{},"items":[]}"#),
                "POST /api/v1/namespaces/n/secrets" => {
                    answer(201, r#"{"metadata":{"name":"regcred","namespace":"n"}}"#)
                }
                what if what.starts_with("GET /api/v1/") => answer(
                    404,
                    r#"{"kind":"Status","status":"Failure","reason":"NotFound","code":404}"#,
                ),
                _ => super::s3_error(404, "NoSuchKey"),
            }
        }));
        let terraform = folder.path().join("terraform");
        fs::create_dir(&terraform).unwrap();
        root(&terraform, &endpoint);
        let project = Self {
            folder,
            asked,
            endpoint,
        };
        let script = project.write(
            "process.sh",
            &format!(
                "echo start >> '{}'\n/bin/sleep {seconds}\n\
                 echo '{{\"Version\":1,\"AccessKeyId\":\"AKID\",\"SecretAccessKey\":\"s\"}}'\n",
                project.path("starts").display()
            ),
        );
        project.write(
            "aws-config",
            &format!("[profile p]\ncredential_process = /bin/sh {script}\n"),
        );
        project.write("hybrid.toml", "workspace = \"dev\"\n");
        project
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// A command that asks for contract and lock at the same time, and has no cluster.
    fn deploy(&self, limit: &str) -> Output {
        self.run(&["deploy", "--dry-run"], limit, "/no/such/kubeconfig")
    }

    fn run(&self, arguments: &[&str], limit: &str, kubeconfig: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_kubectl-hybrid"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", "/usr/bin:/bin")
            .env("AWS_CONFIG_FILE", self.path("aws-config"))
            .env("AWS_PROFILE", "p")
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("KUBECONFIG", kubeconfig)
            .env("HYBRID_STORE", "none")
            .env("HYBRID_TIMEOUT", limit)
            .output()
            .unwrap()
    }

    fn starts(&self) -> usize {
        let text = fs::read_to_string(self.path("starts")).unwrap();
        text.lines().count()
    }
}

#[test]
fn a_process_may_take_longer_than_a_call_and_is_started_once() {
    // Longer than the SDK's own patience with credentials.
    let project = Project::whose_process_takes(6);
    let ended = project.deploy("30");
    let said = String::from_utf8(ended.stderr).unwrap();
    // The contract is there, and only the cluster is not.
    assert!(said.contains("no kubeconfig found"), "{said}");
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert_eq!(project.starts(), 1);
    assert!(project.asked.load(Ordering::SeqCst) > 1);
}

#[test]
fn a_process_that_is_too_slow_is_named_and_started_once() {
    let project = Project::whose_process_takes(20);
    let said = String::from_utf8(project.deploy("2").stderr).unwrap();
    let sentence = "the credential process of profile p took longer than 2 s.";
    assert!(said.contains(sentence), "{said}");
    assert!(said.contains("hint: Set HYBRID_TIMEOUT"), "{said}");
    assert_eq!(project.starts(), 1);
    assert_eq!(project.asked.load(Ordering::SeqCst), 0);
}

#[test]
fn a_token_is_minted_with_the_credentials_that_are_there_already() {
    let project = Project::whose_process_takes(0);
    let kubeconfig = project.write(
        "kubeconfig",
        &format!(
            "current-context: c\nclusters: [{{name: it, cluster: {{server: '{}'}}}}]\n\
             users: [{{name: it, user: {{}}}}]\n\
             contexts: [{{name: c, context: {{cluster: it, user: it}}}}]\n",
            project.endpoint
        ),
    );
    let ended = project.run(&["regcred", "sync"], "30", &kubeconfig);
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("n/regcred created"), "{said}");
    assert_eq!(project.starts(), 1, "{said}");
}
