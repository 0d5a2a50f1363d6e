//! A state that is read with an SSO login, as teams have it. There is no identity centre to log in
//! to here: a portal of the test's own hands the role's keys out.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use hybrid_tests::bucket::states;
use hybrid_tests::said::{Said, text};
use hybrid_tests::sandbox::endpoints::{ACCOUNT, NAMESPACE, PROJECT, REGION, WORKSPACE};
use hybrid_tests::source_tree;
use serde_json::json;
use tempfile::TempDir;

/// Where an SSO session called `corp` keeps its login: the SHA-1 of its name.
const LOGIN: &str = "ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
const BEARER: &str = "a-login-of-the-test";

/// A folder with a configuration and a home, where the profile `state` logs in through SSO.
struct Team {
    folder: TempDir,
    portal: String,
}

impl Team {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: String| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        write(
            "terraform/main.tf",
            "terraform {\n  backend \"s3\" {\n    key = \"hybrid/terraform.tfstate\"\n  }\n}\n"
                .to_owned(),
        );
        let bucket = states();
        write(
            "terraform/backend.hcl",
            format!(
                "bucket = \"{bucket}\"\nregion = \"{REGION}\"\nprofile = \"state\"\n\
                 dynamodb_table = \"hybrid-tflock\"\nuse_lockfile = true\nuse_path_style = true\n"
            ),
        );
        write(
            "home/.aws/config",
            format!(
                "[profile state]\nsso_session = corp\nsso_account_id = {ACCOUNT}\n\
                 sso_role_name = Reader\nregion = {REGION}\n\n[sso-session corp]\n\
                 sso_start_url = https://corp.invalid/start\nsso_region = {REGION}\n\
                 sso_registration_scopes = sso:account:access\n"
            ),
        );
        Self {
            folder,
            portal: portal(),
        }
    }

    fn logs_in_until(&self, expires: &str) {
        let folder = self.folder.path().join("home/.aws/sso/cache");
        fs::create_dir_all(&folder).unwrap();
        let login = json!({
            "startUrl": "https://corp.invalid/start", "region": REGION,
            "accessToken": BEARER, "expiresAt": expires,
        });
        fs::write(folder.join(LOGIN), login.to_string()).unwrap();
    }

    fn run(&self, program: &str, arguments: &[&str], folder: &Path) -> Said {
        let home = self.folder.path().join("home");
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(folder)
            .env("HOME", &home)
            .env("HYBRID_TERRAFORM_DIR", self.terraform())
            .env("AWS_ENDPOINT_URL_SSO", &self.portal)
            .env("TF_WORKSPACE", WORKSPACE);
        // Only the profile is left.
        for name in [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_PROFILE",
            "AWS_CONFIG_FILE",
            "AWS_SHARED_CREDENTIALS_FILE",
            "TF_DATA_DIR",
            "XDG_CACHE_HOME",
        ] {
            command.env_remove(name);
        }
        Said::of(&mut command)
    }

    fn terraform(&self) -> std::path::PathBuf {
        self.folder.path().join("terraform")
    }

    fn hybrid(&self, arguments: &[&str]) -> Said {
        let example = source_tree().join("examples/knowledge-repo");
        self.run("kubectl-hybrid", arguments, &example)
    }
}

/// Gives a role's keys to whoever brings the login, and refuses everybody else.
fn portal() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request: Vec<String> = lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let asks = request
                .first()
                .is_some_and(|line| line.starts_with("GET /federation/credentials?"));
            let knows = request.iter().any(|line| line.contains(BEARER));
            let (status, body) = if asks && knows {
                let keys = json!({ "roleCredentials": {
                    "accessKeyId": "ASIAOFTHEREADER", "secretAccessKey": "secret",
                    "sessionToken": "session", "expiration": 4_102_444_800_000_u64,
                } });
                ("200 OK", keys.to_string())
            } else {
                ("401 Unauthorized", json!({ "message": "no" }).to_string())
            };
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    address
}

#[test]
#[ignore = "needs the sandbox"]
fn a_state_is_read_with_the_sso_login_of_the_backends_profile() {
    let team = Team::new();
    team.logs_in_until("2099-01-01T00:00:00Z");
    let status = team
        .hybrid(&["status", "--terraform-source=state", "--output=json"])
        .succeeds()
        .json();
    assert_eq!(text(&status["project"]), PROJECT);
    assert_eq!(text(&status["namespace"]), NAMESPACE);
    assert_eq!(text(&status["workspace"]), WORKSPACE);

    // Terraform reads the same with the same login.
    let terraform = team.terraform();
    let init = ["init", "-no-color", "-backend-config=backend.hcl"];
    team.run("terraform", &init, &terraform).succeeds();
    let output = ["output", "-json", "hybrid"];
    let output = team.run("terraform", &output, &terraform).succeeds().json();
    assert_eq!(output["project"], status["project"]);
    assert_eq!(output["cluster"]["namespace"], status["namespace"]);
}

#[test]
#[ignore = "needs the sandbox"]
fn an_sso_login_that_is_over_names_the_command_that_renews_it() {
    let team = Team::new();
    team.logs_in_until("2026-01-01T00:00:00Z");
    let said = team.hybrid(&["unlock", "--list"]);
    said.fails(5);
    assert!(
        said.stderr.contains("aws sso login --profile state"),
        "{}",
        said.stderr
    );
}
