//! Bad input: each time one sentence that names the thing, its own exit code, and nothing written.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::deployed::{Project, kubectl_json};
use super::written;
use hybrid_tests::bucket::aws;
use hybrid_tests::said::{Said, list, text};

#[test]
#[ignore = "needs the sandbox"]
fn bad_input_is_one_sentence() {
    let project = Project::deployed();
    let before = written();
    let cases: [(&[&str], i32, &str); 3] = [
        (&["deploy", "--workspace=nowhere"], 2, "`nowhere`"),
        (&["deploy", "nothing"], 2, "`nothing`"),
        (&["deploy", "--context=nobody"], 2, "`nobody`"),
    ];
    for (arguments, code, names) in cases {
        let sentence = project.hybrid(arguments).fails(code);
        assert!(sentence.contains(names), "{arguments:?}: {sentence}");
    }

    // Without a change Docker is not asked at all.
    project.change_web();
    let socket = format!("unix://{}", project.path("dead.sock").display());
    let mut command = project.command(&["deploy"]);
    command.env("DOCKER_HOST", &socket);
    let sentence = Said::of(&mut command).fails(6);
    assert!(sentence.contains(&socket), "{sentence}");

    fs::write(
        project.path("web/Dockerfile"),
        "FROM busybox:1.36\nRUN exit 3\n",
    )
    .unwrap();
    let sentence = project.hybrid(&["deploy"]).fails(6);
    assert!(sentence.contains("web"), "{sentence}");

    fs::write(
        project.path("hybrid.toml"),
        "project = \"knowledge-repo\"\nworkspace = = 3\n",
    )
    .unwrap();
    let sentence = project.hybrid(&["deploy"]).fails(2);
    assert!(sentence.contains("hybrid.toml:2:13: "), "{sentence}");

    fs::remove_file(project.path("hybrid.toml")).unwrap();
    let sentence = project.hybrid(&["deploy"]).fails(2);
    assert!(sentence.contains("no hybrid.toml"), "{sentence}");

    assert_eq!(written(), before);
}

/// A state of another workspace, made from that of `dev`. It is gone when the test ends.
struct State {
    bucket: String,
    key: String,
}

impl State {
    /// Puts the state of `dev`, changed by `edit`, where the workspace's is expected.
    fn put(workspace: &str, edit: impl FnOnce(&mut Value)) -> Self {
        let buckets = aws(&["s3api", "list-buckets"]);
        let (bucket, dev) = list(&buckets["Buckets"])
            .iter()
            .find_map(|bucket| {
                let bucket = text(&bucket["Name"]);
                let objects = aws(&["s3api", "list-objects-v2", "--bucket", bucket]);
                let objects = objects["Contents"].as_array().cloned().unwrap_or_default();
                let mut keys = objects.iter().map(|object| text(&object["Key"]).to_owned());
                let key = keys.find(|key| key.starts_with("env:/dev/"))?;
                Some((bucket.to_owned(), key))
            })
            .expect("a state of the workspace dev");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state");
        let file = file.to_str().unwrap();
        aws(&[
            "s3api",
            "get-object",
            "--bucket",
            &bucket,
            "--key",
            &dev,
            file,
        ]);
        let mut state: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        edit(&mut state);
        fs::write(file, state.to_string()).unwrap();
        let key = dev.replacen("env:/dev/", &format!("env:/{workspace}/"), 1);
        let put = ["s3api", "put-object", "--bucket", &bucket, "--key", &key];
        aws(&[&put[..], &["--body", file]].concat());
        Self { bucket, key }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let mut command = Command::new("aws");
        command.args(["s3api", "delete-object", "--bucket", &self.bucket]);
        // A workspace too many harms no other test.
        drop(command.args(["--key", &self.key]).output());
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn a_state_that_is_no_contract_is_one_sentence() {
    let project = Project::copied();
    let empty = State::put("bad-empty", |state| {
        state["outputs"] = Value::Object(serde_json::Map::new());
    });
    let sentence = project
        .hybrid(&["deploy", "--workspace=bad-empty"])
        .fails(2);
    assert!(sentence.contains("`hybrid`"), "{sentence}");
    drop(empty);

    let newer = State::put("bad-newer", |state| {
        state["outputs"]["hybrid"]["value"]["schema_version"] = 99.into();
    });
    let sentence = project
        .hybrid(&["deploy", "--workspace=bad-newer"])
        .fails(2);
    assert!(sentence.contains("99"), "{sentence}");
    drop(newer);

    let no_repository = State::put("bad-repository", |state| {
        let contract = &mut state["outputs"]["hybrid"]["value"];
        contract["workspace"] = "bad-repository".into();
        let web = &mut contract["services"]["web"];
        let url = text(&web["repository_url"]);
        let registry = url.split('/').next().unwrap_or_default();
        web["repository_url"] = format!("{registry}/no/such-repository").into();
        web["repository"] = "no/such-repository".into();
    });
    let sentence = project
        .hybrid(&["deploy", "web", "--workspace=bad-repository"])
        .fails(6);
    assert!(sentence.contains("no/such-repository"), "{sentence}");
    drop(no_repository);
}

#[test]
#[ignore = "needs the sandbox"]
fn a_cluster_that_is_not_there_is_one_sentence() {
    let project = Project::copied();
    let config = kubectl_config();
    let gone = config.replace(":16443", ":1");
    assert_ne!(gone, config);
    fs::write(project.path("kubeconfig"), gone).unwrap();
    let path = project.path("kubeconfig");
    let said = project.hybrid(&["deploy", &format!("--kubeconfig={}", path.display())]);
    assert_eq!(said.code, Some(7), "{}", said.stderr);
    assert!(said.stderr.contains("127.0.0.1:1"), "{}", said.stderr);
}

fn kubectl_config() -> String {
    let mut command = Command::new("kubectl");
    Said::of(command.args(["config", "view", "--raw"]))
        .succeeds()
        .stdout
}

#[test]
#[ignore = "needs the sandbox"]
fn an_expired_login_names_the_command_that_renews_it() {
    let project = Project::copied();
    let config = project.path("aws-config");
    fs::write(
        &config,
        "[profile team]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = dev\n\
         region = eu-central-1\n[sso-session corp]\nsso_region = eu-central-1\n\
         sso_start_url = https://corp.example/start\n",
    )
    .unwrap();
    let mut command = project.command(&["deploy"]);
    command
        .env("AWS_CONFIG_FILE", &config)
        .env("AWS_PROFILE", "team")
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY");
    let said = Said::of(&mut command);
    said.fails(5);
    assert!(
        said.stderr.contains("aws sso login --profile team"),
        "{}",
        said.stderr
    );
}

#[test]
#[ignore = "needs the sandbox"]
fn an_image_that_crashes_on_start_is_named_with_its_last_words() {
    let project = Project::deployed();
    fs::write(
        project.path("search/Dockerfile"),
        "FROM busybox:1.36\nCMD [\"sh\", \"-c\", \"echo cannot open the index; exit 9\"]\n",
    )
    .unwrap();
    let said = project.hybrid(&["deploy", "search"]);
    let sentence = said.fails(7);
    assert!(sentence.contains("search"), "{sentence}");
    assert!(
        said.stderr.contains("cannot open the index"),
        "{}",
        said.stderr
    );

    // The pods of before still serve, and the next good deploy takes over.
    let deployment = kubectl_json(&["get", "deployment", "search"]);
    assert_ne!(deployment["status"]["availableReplicas"], Value::Null);
    Project::deployed();
}
