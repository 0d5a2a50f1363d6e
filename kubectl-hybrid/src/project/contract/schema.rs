//! The JSON schema of the contract: made from the types, kept in `docs/` for people who write the
//! output with a Terraform configuration of their own.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::parse::tests::{sample, with};
use super::{Contract, OUTPUT};

/// RFC 1123, as Kubernetes reads it.
pub(super) const LABEL: &str = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$";
/// Labels joined by dots.
pub(super) const SUBDOMAIN: &str =
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// `CreateRepository`'s pattern.
pub(super) const REPOSITORY: &str = r"^[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*$";

fn generated() -> Value {
    let mut schema = schemars::schema_for!(Contract).to_value();
    schema["title"] = json!("The Terraform output `hybrid`");
    // A service's name becomes a part of other names.
    schema["properties"]["services"]["propertyNames"] = json!({ "pattern": LABEL });
    schema
}

fn file() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/contract.schema.json"
    ))
}

/// `HYBRID_WRITE_SCHEMA=1 cargo test -p kubectl-hybrid --lib schema` writes the file anew.
#[test]
fn the_schema_in_docs_is_that_of_the_types() {
    let text = serde_json::to_string_pretty(&generated()).unwrap() + "\n";
    if std::env::var_os("HYBRID_WRITE_SCHEMA").is_some() {
        std::fs::write(file(), &text).unwrap();
    }
    let kept = std::fs::read_to_string(file()).unwrap();
    assert_eq!(kept.replace("\r\n", "\n"), text);
}

#[test]
fn the_schema_and_the_reader_take_and_refuse_the_same() {
    let schema = jsonschema::validator_for(&generated()).unwrap();
    let cases = [
        ("/project", json!("knowledge-repo"), true),
        ("/unknown", json!({"weight": 10}), true),
        ("/cluster/pull_secret", json!("my.secret"), true),
        ("/aws/pull_role_arn", json!(null), true),
        ("/services/web/service", json!(null), true),
        ("/services", json!({}), true),
        ("/schema_version", json!(2), false),
        ("/schema_version", json!("1"), false),
        ("/project", json!(""), false),
        ("/project", json!(7), false),
        ("/aws/account_id", json!("12345"), false),
        ("/aws/region", json!("Frankfurt"), false),
        ("/aws/registry", json!("https://r.example.com"), false),
        ("/state/lock", json!("file"), false),
        ("/cluster/namespace", json!("Upper"), false),
        ("/cluster/namespace", json!("a".repeat(64)), false),
        ("/cluster/contexts", json!("kind-dev"), false),
        ("/services/web/repository", json!("Upper/web"), false),
        ("/services/web/tag_mutability", json!("SOMETIMES"), false),
        ("/services/web/workload/kind", json!("CronJob"), false),
        ("/services/web/workload/name", json!("web_1"), false),
        ("/services/web/service/port", json!(0), false),
        ("/services/web/service/port", json!(70000), false),
        ("/services/web/service/port", json!("3000"), false),
        ("/services/Web", sample()["services"]["api"].clone(), false),
    ];
    for (pointer, value, expected) in cases {
        let contract = with(pointer, value.clone());
        let by_schema = schema.is_valid(&contract);
        let by_reader = Contract::from_output(&contract).is_ok();
        assert_eq!(
            (by_schema, by_reader),
            (expected, expected),
            "{pointer} = {value}"
        );
    }
    for field in ["project", "aws", "state", "cluster", "services"] {
        let mut contract = sample();
        contract.as_object_mut().unwrap().remove(field);
        assert!(!schema.is_valid(&contract), "{field}");
    }
}

/// What the documentation shows is what is read.
#[test]
fn the_contract_in_the_documentation_is_one() {
    let text = include_str!("../../../../docs/contract.md");
    let (_, rest) = text.split_once("```json\n").unwrap();
    let shown: Value = serde_json::from_str(rest.split_once("```").unwrap().0).unwrap();
    Contract::from_output(&shown).unwrap();
    assert!(jsonschema::is_valid(&generated(), &shown), "{OUTPUT}");
}
