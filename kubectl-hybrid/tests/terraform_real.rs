//! The Terraform room against a real Terraform, and S3 and `DynamoDB` as the sandbox has them.
//!
//! They need `terraform` on PATH and the sandbox's AWS environment; each makes a bucket, a table
//! and a root folder of its own. One also needs the AWS provider, installed or from a mirror.

#![expect(
    clippy::unwrap_used,
    reason = "A test ends where something is not as it should be."
)]

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType,
};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use kubectl_hybrid::project::config::{BackendConfig, ContractSource};
use kubectl_hybrid::terraform::access::{Access, load_aws};
use kubectl_hybrid::terraform::backend::{Origin, S3Backend};
use kubectl_hybrid::terraform::cli::CliError;
use kubectl_hybrid::terraform::contract::{ContractRead, Provenance, ReadError, ReadRequest, read};
use kubectl_hybrid::terraform::keys::Workspace;
use kubectl_hybrid::terraform::lock::{self, Finding, Here, Liveness, Locks, Outcome, of_holder};
use kubectl_hybrid::terraform::root::{Root, TerraformEnv};
use kubectl_hybrid::terraform::state::{DigestCheck, StateError, StateFacts};
use kubectl_hybrid::terraform::workspaces;
use serde_json::json;

const KEY: &str = "hybrid/terraform.tfstate";
const REGION: &str = "eu-central-1";

/// Which of the lock places the backend uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Table,
    File,
    Both,
}

/// A bucket, a table and an initialised root folder with workspace `dev`.
struct Setting {
    root: Root,
    access: Access,
    backend: S3Backend,
    dev: Workspace,
    cache: tempfile::TempDir,
    dir: tempfile::TempDir,
}

const MAIN: &str = r#"
terraform {
  backend "s3" {
    key = "hybrid/terraform.tfstate"
  }
}
variable "project" { default = "knowledge-repo" }
resource "terraform_data" "any" { input = var.project }
output "secret" {
  value     = "s3cr3t-value"
  sensitive = true
}
output "hybrid" {
  value = {
    schema_version = 1
    project        = var.project
    environment    = "dev"
    workspace      = terraform.workspace
    aws = {
      account_id = "123456789012"
      region     = "eu-central-1"
      registry   = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
    }
    state    = { lock = "both", lock_table = "t" }
    cluster  = { namespace = "knowledge-repo-dev" }
    services = {}
  }
}
"#;

impl Setting {
    /// Without a state; the workspace is made by [`Self::with_state`].
    async fn new(mode: Mode) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let name = format!("tf-{}", dir.path().file_name().unwrap().to_str().unwrap())
            .to_lowercase()
            .replace('.', "");
        std::fs::write(dir.path().join("main.tf"), MAIN).unwrap();
        let table = format!("dynamodb_table = \"{name}\"\n");
        let backend = format!(
            "bucket = \"{name}\"\nregion = \"{REGION}\"\nuse_lockfile = {}\n{}",
            mode != Mode::Table,
            if mode == Mode::File { "" } else { &table }
        );
        std::fs::write(dir.path().join("backend.hcl"), backend).unwrap();
        let root = Root::open(dir.path(), None, TerraformEnv::from_process()).unwrap();
        let (access, backend) = lock::open(Some(&root), None, &load_aws).await.unwrap();
        assert!(matches!(backend.origin, Origin::Configuration(_)));
        make_storage(&access, &name).await;
        let dev = Workspace::new("dev").unwrap();
        let cache = tempfile::tempdir().unwrap();
        let setting = Self {
            root,
            access,
            backend,
            dev,
            cache,
            dir,
        };
        setting.terraform_ok(None, &["init", "-backend-config=backend.hcl"]);
        setting
    }

    async fn with_state(mode: Mode) -> Self {
        let setting = Self::new(mode).await;
        setting.terraform_ok(None, &["workspace", "new", "dev"]);
        setting.terraform_ok(Some("dev"), &["apply", "-auto-approve"]);
        setting
    }

    fn command(&self, workspace: Option<&str>, args: &[&str]) -> Command {
        let mut command = Command::new(self.root.binary().unwrap());
        command
            .arg(format!("-chdir={}", self.dir.path().display()))
            .args(args)
            .env_remove("TF_INPUT")
            .env_remove("TF_WORKSPACE")
            .env("CHECKPOINT_DISABLE", "1")
            .stdin(Stdio::null());
        if let Some(workspace) = workspace {
            command.env("TF_WORKSPACE", workspace);
        }
        command
    }

    fn terraform(&self, workspace: Option<&str>, args: &[&str]) -> Output {
        self.command(workspace, args).output().unwrap()
    }

    fn terraform_ok(&self, workspace: Option<&str>, args: &[&str]) {
        let output = self.terraform(workspace, args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "terraform {args:?}: {stderr}");
    }

    fn request(&self, source: ContractSource) -> ReadRequest<'_> {
        ReadRequest {
            root: Some(&self.root),
            backend: None,
            workspace: &self.dev,
            source,
            project: Some("knowledge-repo"),
            cache_dir: Some(self.cache.path()),
            load_aws: &load_aws,
        }
    }

    async fn read(&self, source: ContractSource) -> Result<ContractRead, ReadError> {
        read(&self.request(source)).await
    }

    async fn locks(&self) -> Locks {
        lock::read(&self.access, &self.backend, &self.dev)
            .await
            .unwrap()
    }

    async fn release(&self, locks: &Locks, id: &str) -> Vec<Outcome> {
        let released = lock::release(&self.access, &self.backend, locks, id).await;
        released
            .into_iter()
            .map(|released| released.outcome)
            .collect()
    }

    /// A real apply that holds the lock and waits for a person.
    fn waiting_apply(&self) -> Child {
        let mut child = self
            .command(Some("dev"), &["apply", "-no-color", "-var=project=other"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut seen = String::new();
        let mut stdout = child.stdout.take().unwrap();
        let mut byte = [0];
        while !seen.contains("Enter a value") {
            assert_eq!(stdout.read(&mut byte).unwrap(), 1, "it ended: {seen}");
            seen.push(char::from(byte[0]));
        }
        child.stdout = Some(stdout);
        child
    }

    async fn put_state(&self, body: &str) {
        let address = self.backend.address(&self.dev);
        put_object(&self.access, &address.bucket, &address.key, body).await;
    }

    async fn put_lock(&self, in_table: bool, in_file: bool, info: &str) {
        let address = self.backend.address(&self.dev);
        if in_table {
            self.access
                .dynamodb
                .put_item()
                .table_name(self.backend.lock_table.as_ref().unwrap())
                .item("LockID", AttributeValue::S(address.lock_id()))
                .item("Info", AttributeValue::S(info.to_owned()))
                .send()
                .await
                .unwrap();
        }
        if in_file {
            put_object(
                &self.access,
                &address.bucket,
                &address.lock_file_key(),
                info,
            )
            .await;
        }
    }

    async fn keys(&self) -> Vec<String> {
        let all = self
            .access
            .s3
            .list_objects_v2()
            .bucket(&self.backend.bucket)
            .send()
            .await
            .unwrap();
        all.contents()
            .iter()
            .map(|object| object.key().unwrap().to_owned())
            .collect()
    }
}

async fn put_object(access: &Access, bucket: &str, key: &str, body: &str) {
    let body = ByteStream::from(body.as_bytes().to_vec());
    access
        .s3
        .put_object()
        .bucket(bucket)
        .key(key)
        .body(body)
        .send()
        .await
        .unwrap();
}

async fn make_storage(access: &Access, name: &str) {
    let place = CreateBucketConfiguration::builder()
        .location_constraint(BucketLocationConstraint::EuCentral1)
        .build();
    access
        .s3
        .create_bucket()
        .bucket(name)
        .create_bucket_configuration(place)
        .send()
        .await
        .unwrap();
    let attribute = AttributeDefinition::builder()
        .attribute_name("LockID")
        .attribute_type(ScalarAttributeType::S)
        .build()
        .unwrap();
    let key = KeySchemaElement::builder()
        .attribute_name("LockID")
        .key_type(KeyType::Hash)
        .build()
        .unwrap();
    access
        .dynamodb
        .create_table()
        .table_name(name)
        .attribute_definitions(attribute)
        .key_schema(key)
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await
        .unwrap();
}

fn lock_body(id: &str, operation: &str, path: &str) -> String {
    json!({
        "ID": id, "Operation": operation, "Info": "", "Who": "root@vm", "Version": "1.11.4",
        "Created": "2026-11-23T03:37:21.297445621Z", "Path": path
    })
    .to_string()
}

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
async fn the_lock_of_a_killed_apply_is_released_in_every_mode() {
    for mode in [Mode::Table, Mode::File, Mode::Both] {
        let setting = Setting::with_state(mode).await;
        assert!(setting.locks().await.is_free(), "{mode:?}");
        let mut apply = setting.waiting_apply();
        let seen = setting.locks().await;
        assert_eq!(seen.dynamodb.is_some(), mode != Mode::File, "{mode:?}");
        assert_eq!(seen.lock_file.is_some(), mode != Mode::Table, "{mode:?}");
        assert_eq!(seen.findings(), [], "{mode:?}");
        let id = seen.ids().first().copied().unwrap().to_owned();
        let info = seen.held().next().unwrap().info.clone().unwrap();
        assert_eq!(info.doing(), "apply");
        let here = Here::of_process();
        let alive = of_holder(&info, &here, Some(setting.root.dir()));
        assert_eq!(alive, Liveness::Alive { pid: apply.id() });
        apply.kill().unwrap();
        apply.wait().unwrap();
        assert_eq!(
            of_holder(&info, &here, Some(setting.root.dir())),
            Liveness::Dead
        );

        let start = Instant::now();
        let blocked = setting.terraform(Some("dev"), &["plan", "-no-color"]);
        let by_plan = start.elapsed();
        let start = Instant::now();
        assert_eq!(setting.locks().await, seen);
        println!(
            "{mode:?}: locks {:?}, a plan that fails on them {by_plan:?}",
            start.elapsed()
        );
        let stderr = String::from_utf8_lossy(&blocked.stderr).into_owned();
        assert!(
            stderr.contains("Error acquiring the state lock") && stderr.contains(&id),
            "{stderr}"
        );
        assert!(
            setting.read(ContractSource::State).await.is_ok(),
            "reading needs no lock"
        );

        assert!(setting.release(&seen, "another-id").await.is_empty());
        let outcomes = setting.release(&seen, &id).await;
        assert_eq!(outcomes.len(), if mode == Mode::Both { 2 } else { 1 });
        assert!(
            outcomes.iter().all(|o| matches!(o, Outcome::Released)),
            "{outcomes:?}"
        );
        assert!(setting.locks().await.is_free(), "{mode:?}");
        setting.terraform_ok(Some("dev"), &["plan"]);
    }
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn half_a_lock_is_told_and_released() {
    let setting = Setting::with_state(Mode::Both).await;
    let path = setting.backend.address(&setting.dev).lock_id();
    for (in_table, in_file) in [(true, false), (false, true)] {
        setting
            .put_lock(
                in_table,
                in_file,
                &lock_body("half", "OperationTypePlan", &path),
            )
            .await;
        let seen = setting.locks().await;
        assert_eq!(
            seen.findings(),
            [Finding::Half {
                id: "half".to_owned()
            }]
        );
        assert!(!setting.terraform(Some("dev"), &["plan"]).status.success());
        let outcomes = setting.release(&seen, "half").await;
        assert!(matches!(outcomes[..], [Outcome::Released]), "{outcomes:?}");
        setting.terraform_ok(Some("dev"), &["plan"]);
    }
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn only_the_lock_that_was_seen_is_released() {
    let setting = Setting::with_state(Mode::Both).await;
    let path = setting.backend.address(&setting.dev).lock_id();
    let old = lock_body("old", "OperationTypeApply", &path);
    setting.put_lock(true, true, &old).await;
    let seen = setting.locks().await;
    // Someone else came in between, in both places.
    setting
        .put_lock(true, true, &lock_body("new", "OperationTypeApply", &path))
        .await;
    let outcomes = setting.release(&seen, "old").await;
    assert_eq!(outcomes.len(), 2);
    for outcome in outcomes {
        assert!(
            matches!(&outcome, Outcome::Changed { now } if now == "new"),
            "{outcome:?}"
        );
    }
    let now = setting.locks().await;
    assert_eq!(now.ids(), ["new"]);
    // The same id twice: the second time there is nothing left.
    assert_eq!(setting.release(&now, "new").await.len(), 2);
    let outcomes = setting.release(&now, "new").await;
    assert!(matches!(outcomes[0], Outcome::AlreadyGone), "{outcomes:?}");
    assert!(setting.locks().await.is_free());
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_lock_without_a_state_is_released_where_terraform_cannot() {
    let setting = Setting::new(Mode::Both).await;
    let path = setting.backend.address(&setting.dev).lock_id();
    setting
        .put_lock(true, true, &lock_body("init-lock", "init", &path))
        .await;
    let seen = setting.locks().await;
    assert_eq!(
        seen.findings(),
        [Finding::NoState {
            id: "init-lock".to_owned()
        }]
    );
    let unlock = setting.terraform(Some("dev"), &["force-unlock", "-force", "init-lock"]);
    assert!(!unlock.status.success());
    assert_eq!(setting.locks().await.ids(), ["init-lock"]);
    assert_eq!(setting.release(&seen, "init-lock").await.len(), 2);
    setting.terraform_ok(None, &["workspace", "new", "dev"]);
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn unreadable_and_foreign_locks_are_told_and_released() {
    let setting = Setting::with_state(Mode::Both).await;
    setting.put_lock(true, true, "not json").await;
    let seen = setting.locks().await;
    let findings = seen.findings();
    assert!(
        findings
            .iter()
            .all(|f| matches!(f, Finding::Unreadable { .. })),
        "{findings:?}"
    );
    let id = seen.ids()[0].to_owned();
    assert_eq!(setting.release(&seen, &id).await.len(), 2);
    assert!(setting.locks().await.is_free());
    setting
        .put_lock(
            true,
            true,
            &lock_body("x", "OperationTypePlan", "other/state"),
        )
        .await;
    let findings = setting.locks().await.findings();
    assert!(
        findings
            .iter()
            .all(|f| matches!(f, Finding::ForeignPath { .. })),
        "{findings:?}"
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
