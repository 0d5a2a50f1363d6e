//! A bucket, a table and an initialised root folder for each test.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType,
};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use kubectl_hybrid::project::config::ContractSource;
use kubectl_hybrid::terraform::access::{Access, load_aws};
use kubectl_hybrid::terraform::backend::{Origin, S3Backend};
use kubectl_hybrid::terraform::contract::{ContractRead, ReadError, ReadRequest, read};
use kubectl_hybrid::terraform::keys::Workspace;
use kubectl_hybrid::terraform::lock::{self, Locks, Outcome};
use kubectl_hybrid::terraform::root::{Root, TerraformEnv};
use serde_json::json;

pub(crate) const KEY: &str = "hybrid/terraform.tfstate";
pub(crate) const REGION: &str = "eu-central-1";

/// Which of the lock places the backend uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Table,
    File,
    Both,
}

/// A bucket, a table and an initialised root folder with workspace `dev`.
pub(crate) struct Setting {
    pub(crate) root: Root,
    pub(crate) access: Access,
    pub(crate) backend: S3Backend,
    pub(crate) dev: Workspace,
    pub(crate) cache: tempfile::TempDir,
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) const MAIN: &str = r#"
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
    pub(crate) async fn new(mode: Mode) -> Self {
        Self::with_backend(mode, "", None).await
    }

    /// The same with a program of the test's own choice, and more settings of the backend.
    pub(crate) async fn with_backend(mode: Mode, extra: &str, program: Option<&Path>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let name = format!("tf-{}", dir.path().file_name().unwrap().to_str().unwrap())
            .to_lowercase()
            .replace('.', "");
        std::fs::write(dir.path().join("main.tf"), MAIN).unwrap();
        let table = format!("dynamodb_table = \"{name}\"\n");
        let backend = format!(
            "bucket = \"{name}\"\nregion = \"{REGION}\"\nuse_lockfile = {}\n{}{extra}",
            mode != Mode::Table,
            if mode == Mode::File { "" } else { &table }
        );
        std::fs::write(dir.path().join("backend.hcl"), backend).unwrap();
        let root = Root::open(dir.path(), program, TerraformEnv::from_process()).unwrap();
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

    pub(crate) async fn with_state(mode: Mode) -> Self {
        let setting = Self::new(mode).await;
        setting.make_state();
        setting
    }

    pub(crate) fn make_state(&self) {
        self.terraform_ok(None, &["workspace", "new", "dev"]);
        self.terraform_ok(Some("dev"), &["apply", "-auto-approve"]);
    }

    pub(crate) fn command(&self, workspace: Option<&str>, args: &[&str]) -> Command {
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

    pub(crate) fn terraform(&self, workspace: Option<&str>, args: &[&str]) -> Output {
        self.command(workspace, args).output().unwrap()
    }

    pub(crate) fn terraform_ok(&self, workspace: Option<&str>, args: &[&str]) {
        let output = self.terraform(workspace, args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "terraform {args:?}: {stderr}");
    }

    pub(crate) fn request(&self, source: ContractSource) -> ReadRequest<'_> {
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

    pub(crate) async fn read(&self, source: ContractSource) -> Result<ContractRead, ReadError> {
        read(&self.request(source)).await
    }

    pub(crate) async fn locks(&self) -> Locks {
        lock::read(&self.access, &self.backend, &self.dev)
            .await
            .unwrap()
    }

    pub(crate) async fn release(&self, locks: &Locks, id: &str) -> Vec<Outcome> {
        let released = lock::release(&self.access, &self.backend, locks, id).await;
        released
            .into_iter()
            .map(|released| released.outcome)
            .collect()
    }

    /// A real apply that holds the lock and waits for a person.
    pub(crate) fn waiting_apply(&self) -> Child {
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

    pub(crate) async fn put_state(&self, body: &str) {
        let address = self.backend.address(&self.dev);
        put_object(&self.access, &address.bucket, &address.key, body).await;
    }

    pub(crate) async fn put_lock(&self, in_table: bool, in_file: bool, info: &str) {
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

    pub(crate) async fn keys(&self) -> Vec<String> {
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

pub(crate) async fn put_object(access: &Access, bucket: &str, key: &str, body: &str) {
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

pub(crate) async fn make_storage(access: &Access, name: &str) {
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

pub(crate) fn lock_body(id: &str, operation: &str, path: &str) -> String {
    json!({
        "ID": id, "Operation": operation, "Info": "", "Who": "root@vm", "Version": "1.11.4",
        "Created": "2026-11-23T03:37:21.297445621Z", "Path": path
    })
    .to_string()
}
