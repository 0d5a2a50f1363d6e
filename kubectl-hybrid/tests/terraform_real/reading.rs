//! Reading the contract from the state and from Terraform.

use std::path::Path;
use std::time::{Duration, Instant};

use kubectl_hybrid::project::config::{BackendConfig, ContractSource};
use kubectl_hybrid::terraform::access::load_aws;
use kubectl_hybrid::terraform::cli::CliError;
use kubectl_hybrid::terraform::contract::{Provenance, ReadError, ReadRequest, read};
use kubectl_hybrid::terraform::keys::Workspace;
use kubectl_hybrid::terraform::root::{Root, TerraformEnv};
use kubectl_hybrid::terraform::state::{DigestCheck, StateError, StateFacts};
use kubectl_hybrid::terraform::workspaces;

use crate::setting::{KEY, MAIN, Mode, REGION, Setting};

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn the_state_and_terraform_say_the_same() {
    let setting = Setting::with_state(Mode::Both).await;
    let fresh = setting.read(ContractSource::State).await.unwrap();
    let Provenance::State(first) = &fresh.provenance else {
        unreachable!("it was asked for the state");
    };
    assert_eq!(
        (&first.digest, first.from_cache),
        (&DigestCheck::Matches, false)
    );
    assert!(first.terraform_version.starts_with("1."), "{first:?}");
    let asked = setting.read(ContractSource::Cli).await.unwrap();
    assert_eq!(asked.contract, fresh.contract);
    let again = setting.read(ContractSource::Auto).await.unwrap();
    assert_eq!(again.contract, fresh.contract);
    let Provenance::State(second) = &again.provenance else {
        unreachable!("an S3 backend is read from the state");
    };
    assert_eq!(
        (second.serial, &second.digest, second.from_cache),
        (first.serial, &DigestCheck::Matches, true)
    );
    for file in std::fs::read_dir(setting.cache.path()).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(!text.contains("s3cr3t-value"), "{text}");
    }
    // A new write is seen, and another project's contract is refused.
    setting.terraform_ok(
        Some("dev"),
        &["apply", "-auto-approve", "-var=project=other"],
    );
    let error = setting.read(ContractSource::Auto).await.unwrap_err();
    assert!(matches!(error, ReadError::OtherProject { .. }), "{error}");
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_fresh_clone_is_read_without_init_and_terraform_cannot() {
    let setting = Setting::with_state(Mode::Both).await;
    std::fs::remove_dir_all(setting.root.data_dir()).unwrap();
    assert!(setting.read(ContractSource::Auto).await.is_ok());
    let error = setting.read(ContractSource::Cli).await.unwrap_err();
    assert!(
        matches!(error, ReadError::Cli(CliError::NotInitialised(_))),
        "{error}"
    );
    let settings = BackendConfig {
        bucket: setting.backend.bucket.clone(),
        key: KEY.to_owned(),
        region: Some(REGION.to_owned()),
        ..BackendConfig::default()
    };
    let request = ReadRequest {
        root: None,
        backend: Some(&settings),
        ..setting.request(ContractSource::Auto)
    };
    let without_folder = read(&request).await.unwrap();
    assert!(matches!(
        without_folder.provenance,
        Provenance::State(StateFacts {
            digest: DigestCheck::NoTable,
            ..
        })
    ));
}

const KMS_KEY: &str =
    "arn:aws:kms:eu-central-1:123456789012:key/1f2e3d4c-5b6a-4789-8901-23456789abcd";

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn role_endpoints_keys_and_prefix_of_the_backend_are_honoured() {
    let endpoint = std::env::var("AWS_ENDPOINT_URL").unwrap();
    let more = format!(
        "workspace_key_prefix = \"teams/a\"\nuse_path_style = true\nencrypt = true\n\
         kms_key_id = \"{KMS_KEY}\"\n\
         endpoints = {{ s3 = \"{endpoint}\", dynamodb = \"{endpoint}\", sts = \"{endpoint}\" }}\n\
         assume_role = {{ role_arn = \"arn:aws:iam::123456789012:role/state\", external_id = \"ours\" }}\n"
    );
    let setting = Setting::with_backend(Mode::Both, &more, None).await;
    assert!(setting.backend.role.is_some() && setting.backend.path_style);
    setting.make_state();
    let key = format!("teams/a/dev/{KEY}");
    assert!(setting.keys().await.contains(&key));
    let head = setting.access.s3.head_object();
    let head = head.bucket(&setting.backend.bucket).key(&key).send().await;
    assert_eq!(head.unwrap().ssekms_key_id(), Some(KMS_KEY));
    let read = setting.read(ContractSource::State).await.unwrap();
    let Provenance::State(facts) = &read.provenance else {
        unreachable!("it was asked for the state");
    };
    assert_eq!(facts.digest, DigestCheck::Matches);
    let asked = setting.read(ContractSource::Cli).await.unwrap();
    assert_eq!(asked.contract, read.contract);
    let locks = setting.locks().await;
    assert!(locks.is_free() && locks.findings().is_empty());
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn reading_never_creates_a_workspace() {
    let setting = Setting::with_state(Mode::Both).await;
    let before = setting.keys().await;
    let typo = Workspace::new("typo").unwrap();
    for source in [ContractSource::State, ContractSource::Cli] {
        let request = ReadRequest {
            workspace: &typo,
            ..setting.request(source)
        };
        let error = read(&request).await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("workspace `typo` does not exist"),
            "{error}"
        );
        assert_eq!(error.hint().unwrap(), "These exist: default, dev.");
    }
    assert_eq!(setting.keys().await, before);
    let listed = workspaces::list(&setting.access, &setting.backend)
        .await
        .unwrap();
    let names: Vec<_> = listed.iter().map(Workspace::as_str).collect();
    assert_eq!(names, ["default", "dev"]);
    assert_eq!(workspaces::current(&setting.root).unwrap().as_str(), "dev");
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_state_with_another_digest_is_reported_as_that() {
    let setting = Setting::with_state(Mode::Table).await;
    setting.read(ContractSource::Auto).await.unwrap();
    let state = r#"{"version":4,"terraform_version":"1.11.4","serial":9,"lineage":"x","outputs":{},"resources":[]}"#;
    setting.put_state(state).await;
    let error = setting.read(ContractSource::Auto).await.unwrap_err();
    assert!(
        matches!(error, ReadError::State(StateError::WrongDigest { .. })),
        "{error}"
    );
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn what_is_no_contract_is_one_sentence() {
    let setting = Setting::new(Mode::File).await;
    let cases = [
        ("", "is empty"),
        ("<html>", "is no Terraform state"),
        (
            r#"{"version":4,"outputs":{},"resources":[]}"#,
            "nothing was applied in it",
        ),
        (
            r#"{"version":4,"outputs":{"vpc":{"value":"x"}},"resources":[{}]}"#,
            "has no output `hybrid` (other outputs: 1)",
        ),
        (
            r#"{"version":4,"outputs":{"hybrid":{"value":{"schema_version":2}}}}"#,
            "the contract has schema_version 2",
        ),
        (r#"{"version":3}"#, "has format 3"),
        (
            r#"{"encryption_version":"v0","encrypted_data":""}"#,
            "is encrypted by OpenTofu",
        ),
    ];
    for (body, expected) in cases {
        setting.put_state(body).await;
        let error = setting
            .read(ContractSource::State)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{body}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
    let settings = BackendConfig {
        bucket: "no-such-bucket-of-ours".to_owned(),
        key: KEY.to_owned(),
        region: Some(REGION.to_owned()),
        ..BackendConfig::default()
    };
    let request = ReadRequest {
        backend: Some(&settings),
        ..setting.request(ContractSource::Auto)
    };
    let error = read(&request).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the state bucket `no-such-bucket-of-ours` does not exist"
    );
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_native_read_is_much_faster_than_terraform() {
    let setting = Setting::with_state(Mode::Both).await;
    // With the provider that every real folder has: Terraform checks it even to print an output.
    let providers = "terraform {\n  required_providers {\n    aws = {\n      source = \
                     \"hashicorp/aws\"\n    }\n  }\n}\n";
    std::fs::write(setting.dir.path().join("providers.tf"), providers).unwrap();
    setting.terraform_ok(None, &["init"]);
    let mut native = Vec::new();
    let mut asked = Vec::new();
    for _ in 0..5 {
        let request = ReadRequest {
            cache_dir: None,
            ..setting.request(ContractSource::State)
        };
        let start = Instant::now();
        read(&request).await.unwrap();
        native.push(start.elapsed());
        let start = Instant::now();
        setting.terraform_ok(Some("dev"), &["output", "-json"]);
        asked.push(start.elapsed());
    }
    let (native, asked) = (median(native), median(asked));
    let ratio = native.as_secs_f64() / asked.as_secs_f64();
    println!("native {native:?}, terraform {asked:?}, ratio {ratio:.3}");
    assert!(ratio <= 0.05, "native {native:?}, terraform {asked:?}");
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_folder_that_is_not_initialised_says_so() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(Path::join(dir.path(), "main.tf"), MAIN).unwrap();
    let root = Root::open(dir.path(), None, TerraformEnv::from_process()).unwrap();
    let dev = Workspace::new("dev").unwrap();
    let request = ReadRequest {
        root: Some(&root),
        backend: None,
        workspace: &dev,
        source: ContractSource::Auto,
        project: None,
        cache_dir: None,
        load_aws: &load_aws,
    };
    let error = read(&request).await.unwrap_err().to_string();
    assert!(error.contains("is not initialised"), "{error}");
    assert!(
        error.ends_with("does not name the backend's bucket"),
        "{error}"
    );
}
