//! `terraform/bootstrap`, twice, and its own state moved into the bucket.

use std::fs;
use std::process::Command;

use hybrid_tests::sandbox::endpoints::ACCOUNT;
use hybrid_tests::source_tree;

use super::folder::Folder;
use hybrid_tests::bucket::{aws, object, versions};

/// All of it that the emulator can take: it ignores conditions of policies, so that the one about
/// TLS would deny everything, and drops a part of the life cycle.
const TARGETS: [&str; 7] = [
    "-target=aws_s3_bucket_versioning.state",
    "-target=aws_s3_bucket_server_side_encryption_configuration.state",
    "-target=aws_s3_bucket_public_access_block.state",
    "-target=aws_s3_bucket_ownership_controls.state",
    "-target=aws_dynamodb_table.lock",
    "-target=data.aws_region.current",
    "-target=terraform_data.backend_file",
];

/// Bucket and table of a bootstrap that nothing else uses. Both are protected against a destroy.
struct Trial {
    name: String,
}

impl Trial {
    fn bucket(&self) -> String {
        format!("{}-tfstate-{ACCOUNT}", self.name)
    }

    fn table(&self) -> String {
        format!("{}-tflock", self.name)
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let aws = |arguments: &[&str]| {
            let mut command = Command::new("aws");
            // The test has its result already; what is left is in nobody's way.
            drop(command.args(arguments).output());
        };
        let (bucket, table) = (self.bucket(), self.table());
        for (key, version) in versions(&bucket) {
            let object = ["--bucket", &bucket, "--key", &key, "--version-id", &version];
            aws(&[&["s3api", "delete-object"], &object[..]].concat());
        }
        aws(&["s3api", "delete-bucket", "--bucket", &bucket]);
        let named = ["--table-name", table.as_str()];
        let unprotected = ["--no-deletion-protection-enabled"];
        aws(&[&["dynamodb", "update-table"], &named[..], &unprotected[..]].concat());
        aws(&[&["dynamodb", "delete-table"], &named[..]].concat());
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn bootstrap_runs_twice_and_its_own_state_moves_into_the_bucket() {
    let source = source_tree().join("terraform/bootstrap");
    let folder = Folder::copied(&source, "terraform/bootstrap");
    let trial = Trial {
        name: format!("trial-{}", std::process::id()),
    };
    folder.write("trial.auto.tfvars", &format!("name = {:?}\n", trial.name));
    let apply = [&["apply", "-no-color", "-auto-approve"], &TARGETS[..]].concat();

    folder.run(&["init", "-no-color"]).succeeds();
    folder.run(&apply).succeeds();
    let file = folder.above().join("terraform/backend.hcl");
    let backend = fs::read_to_string(&file).unwrap();
    let output = folder.run(&["output", "-raw", "backend_hcl"]).succeeds();
    assert_eq!(backend, output.stdout);
    for line in [
        format!("bucket         = {:?}\n", trial.bucket()),
        format!("dynamodb_table = {:?}\n", trial.table()),
        "use_lockfile   = true\n".to_owned(),
    ] {
        assert!(backend.contains(&line), "{line}{backend}");
    }

    // The README says how, with the block that it shows.
    let readme = fs::read_to_string(source.join("README.md")).unwrap();
    let block = readme.split("```hcl\n").nth(1).unwrap();
    let block = block.split("```").next().unwrap();
    folder.write("backend.tf", block);
    let migrate = "init -migrate-state -backend-config=../backend.hcl";
    assert!(readme.contains(&format!("terraform {migrate}")));
    let mut arguments: Vec<&str> = migrate.split(' ').collect();
    // Nobody is there to say yes.
    arguments.extend(["-force-copy", "-no-color"]);
    folder.run(&arguments).succeeds();
    let key = "bootstrap/terraform.tfstate";
    let moved = object(&trial.bucket(), key, None).expect("the state is in the bucket");
    assert!(String::from_utf8_lossy(&moved).contains("aws_dynamodb_table"));
    let left = fs::read(folder.path("terraform.tfstate")).unwrap_or_default();
    assert!(left.is_empty(), "the state is in two places");

    // The second run is from the bucket, locked in both places of its own making.
    let again = folder.run(&apply).succeeds().stdout;
    let nothing = "Resources: 0 added, 0 changed, 0 destroyed.";
    assert!(again.contains(nothing), "{again}");
    let digest = format!("{}/{key}-md5", trial.bucket());
    let row = serde_json::json!({"LockID": {"S": digest}}).to_string();
    let table = trial.table();
    let row = aws(&[
        "dynamodb",
        "get-item",
        "--table-name",
        &table,
        "--key",
        &row,
    ]);
    assert!(row["Item"]["Digest"]["S"].is_string(), "{row}");
    let lock_file = format!("{key}.tflock");
    assert!(
        versions(&trial.bucket())
            .iter()
            .any(|(key, _)| *key == lock_file)
    );
}
