//! From the output's JSON to a [`Contract`]: the version first, then the shape, then the names.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Contract, LockKind, SCHEMA_VERSION, Service};

/// The name of the Terraform output that holds the contract.
pub const OUTPUT: &str = "hybrid";

/// Why the output `hybrid` is not a contract that this tool can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// There are outputs, or none at all, but none is called `hybrid`.
    #[error("there is no output `hybrid`")]
    Missing,
    /// The output is a string, a list or the like.
    #[error("the output `hybrid` is {found}, it must be an object")]
    NotAnObject {
        /// What it is, with its article.
        found: &'static str,
    },
    /// `schema_version` is absent or no whole number above zero.
    #[error(
        "the output `hybrid` has no usable `schema_version`: it must be a whole number, 1 or more"
    )]
    NoVersion,
    /// The configuration was written for a later tool.
    #[error(
        "the contract has schema_version {found}, kubectl-hybrid {} reads version {SCHEMA_VERSION}",
        env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// The version of the contract.
        found: u64,
    },
    /// A field is absent or of another type.
    #[error("the contract is wrong at `{path}`: {message}")]
    Field {
        /// The JSON path, from the output's name on.
        path: String,
        /// What is wrong there.
        message: String,
    },
}

impl ContractError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Missing => {
                "Declare the output `hybrid` in the root module and run `terraform apply`."
            }
            Self::Newer { .. } => "Install a kubectl-hybrid that reads this version.",
            Self::NotAnObject { .. } | Self::NoVersion | Self::Field { .. } => {
                "Correct the output `hybrid` in the root module and run `terraform apply`."
            }
        }
    }
}

impl Contract {
    /// Reads the value of the output `hybrid`.
    ///
    /// Unknown fields are tolerated. Names are checked against the rules of AWS and Kubernetes, so
    /// that a bad one is found before anything is written.
    pub fn from_output(value: &Value) -> Result<Self, ContractError> {
        let Value::Object(fields) = value else {
            return Err(ContractError::NotAnObject {
                found: kind_of(value),
            });
        };
        // The version comes first: what a newer version left out is not an error of this one.
        match fields.get("schema_version").and_then(whole_number) {
            None | Some(0) => return Err(ContractError::NoVersion),
            Some(found) if found > SCHEMA_VERSION => return Err(ContractError::Newer { found }),
            Some(_) => {}
        }
        let contract: Self = serde_path_to_error::deserialize(value).map_err(|error| {
            let path = match error.path().to_string().as_str() {
                "." => OUTPUT.to_owned(),
                path => format!("{OUTPUT}.{path}"),
            };
            from_serde(path, &error.into_inner().to_string())
        })?;
        contract.check()?;
        Ok(contract)
    }

    fn check(&self) -> Result<(), ContractError> {
        for (path, name) in [
            ("project", &self.project),
            ("environment", &self.environment),
            ("workspace", &self.workspace),
        ] {
            require(!name.trim().is_empty(), path, || {
                "it must not be empty".to_owned()
            })?;
        }
        let account = &self.aws.account_id;
        require(
            account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()),
            "aws.account_id",
            || format!("`{account}` is no AWS account id, which has 12 digits"),
        )?;
        let region = &self.aws.region;
        require(
            is_dns_label(region, 63) && region.matches('-').count() >= 2,
            "aws.region",
            || format!("`{region}` is no AWS region"),
        )?;
        let registry = &self.aws.registry;
        require(
            registry.contains('.') && registry.split('.').all(|label| is_dns_label(label, 63)),
            "aws.registry",
            || format!("`{registry}` is no host name; it is written without scheme and path"),
        )?;
        let locks_in_table = matches!(self.state.lock, LockKind::Dynamodb | LockKind::Both);
        require(
            !locks_in_table
                || self
                    .state
                    .lock_table
                    .as_deref()
                    .is_some_and(|table| !table.is_empty()),
            "state.lock_table",
            || "it names the DynamoDB table when `state.lock` is `dynamodb` or `both`".to_owned(),
        )?;
        label("cluster.namespace", &self.cluster.namespace)?;
        subdomain("cluster.pull_secret", &self.cluster.pull_secret)?;
        subdomain("cluster.service_account", &self.cluster.service_account)?;
        for (name, service) in &self.services {
            self.check_service(name, service)?;
        }
        self.check_shared()
    }

    fn check_service(&self, name: &str, service: &Service) -> Result<(), ContractError> {
        let at = |field: &str| format!("services.{name}.{field}");
        require(is_dns_label(name, 63), &format!("services.{name}"), || {
            format!("`{name}` is no service name: lower-case letters, digits and `-`, 63 at most")
        })?;
        let repository = &service.repository;
        require(is_repository(repository), &at("repository"), || {
            format!(
                "`{repository}` is no ECR repository name: 2 to 256 lower-case letters, digits, \
                 `.`, `_`, `-` and `/`"
            )
        })?;
        let url = format!("{}/{repository}", self.aws.registry);
        require(service.repository_url == url, &at("repository_url"), || {
            format!("`{}` should be `{url}`", service.repository_url)
        })?;
        subdomain(&at("workload.name"), &service.workload.name)?;
        label(&at("workload.container"), &service.workload.container)?;
        if let Some(namespace) = &service.workload.namespace {
            label(&at("workload.namespace"), namespace)?;
        }
        if let Some(port) = &service.service {
            label(&at("service.name"), &port.name)?;
            require(port.port != 0, &at("service.port"), || {
                "0 is no port".to_owned()
            })?;
            require(port.node_port != Some(0), &at("service.node_port"), || {
                "0 is no port".to_owned()
            })?;
        }
        Ok(())
    }

    /// What two services cannot both have: a node's port, and a container of a workload.
    fn check_shared(&self) -> Result<(), ContractError> {
        let mut ports = BTreeMap::new();
        let mut containers = BTreeMap::new();
        for (name, service) in &self.services {
            if let Some(port) = service.service.as_ref().and_then(|port| port.node_port)
                && let Some(other) = ports.insert(port, name)
            {
                return Err(field(&format!("services.{name}.service.node_port"), || {
                    format!("{port} is the node port of service `{other}` as well")
                }));
            }
            let workload = &service.workload;
            let key = (
                workload.kind,
                &workload.namespace,
                &workload.name,
                &workload.container,
            );
            if let Some(other) = containers.insert(key, name) {
                return Err(field(&format!("services.{name}.workload"), || {
                    format!("service `{other}` runs in the same container")
                }));
            }
        }
        Ok(())
    }
}

/// Terraform writes whole numbers as they are; other writers may add `.0`.
fn whole_number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        value
            .as_f64()
            .and_then(|number| format!("{number}").parse().ok())
    })
}

fn from_serde(path: String, message: &str) -> ContractError {
    // serde names the object that lacks a field, people look for the field.
    let missing = message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next())
        .map(|name| format!("{path}.{name}"));
    match missing {
        Some(path) => ContractError::Field {
            path,
            message: "it is missing".to_owned(),
        },
        None => ContractError::Field {
            path,
            message: message.to_owned(),
        },
    }
}

fn field(path: &str, message: impl FnOnce() -> String) -> ContractError {
    ContractError::Field {
        path: format!("{OUTPUT}.{path}"),
        message: message(),
    }
}

fn require(holds: bool, path: &str, message: impl FnOnce() -> String) -> Result<(), ContractError> {
    if holds {
        Ok(())
    } else {
        Err(field(path, message))
    }
}

fn label(path: &str, name: &str) -> Result<(), ContractError> {
    require(is_dns_label(name, 63), path, || {
        format!("`{name}` is no Kubernetes name: lower-case letters, digits and `-`, 63 at most")
    })
}

fn subdomain(path: &str, name: &str) -> Result<(), ContractError> {
    let holds = name.len() <= 253 && name.split('.').all(|part| is_dns_label(part, 253));
    require(holds, path, || {
        format!(
            "`{name}` is no Kubernetes name: lower-case letters, digits, `-` and `.`, 253 at most"
        )
    })
}

/// RFC 1123, as Kubernetes reads it.
fn is_dns_label(name: &str, most: usize) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    (1..=most).contains(&bytes.len())
        && bytes.iter().all(|&byte| inner(byte) || byte == b'-')
        && bytes.first().is_some_and(|&byte| inner(byte))
        && bytes.last().is_some_and(|&byte| inner(byte))
}

/// `CreateRepository`'s pattern: words of lower-case letters and digits, joined by one `.`, `_` or
/// `-`, in parts joined by `/`.
fn is_repository(name: &str) -> bool {
    (2..=256).contains(&name.len())
        && name.split('/').all(|part| {
            part.split(['.', '_', '-']).all(|word| {
                !word.is_empty()
                    && word
                        .bytes()
                        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            })
        })
}

const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub(in super::super) fn sample() -> Value {
        json!({
            "schema_version": 1,
            "project": "knowledge-repo", "environment": "dev", "workspace": "dev",
            "aws": {
                "account_id": "123456789012", "region": "eu-central-1",
                "registry": "123456789012.dkr.ecr.eu-central-1.amazonaws.com",
                "pull_role_arn": null
            },
            "state": {"lock": "both", "lock_table": "hybrid-tflock"},
            "cluster": {"namespace": "knowledge-repo-dev"},
            "services": {
                "web": {
                    "repository": "knowledge-repo-dev/web",
                    "repository_url": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/knowledge-repo-dev/web",
                    "tag_mutability": "MUTABLE",
                    "workload": {"kind": "Deployment", "name": "web", "container": "web"},
                    "service": {"name": "web", "port": 3000, "node_port": 30300}
                },
                "api": {
                    "repository": "knowledge-repo-dev/api",
                    "repository_url": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/knowledge-repo-dev/api",
                    "workload": {"name": "api", "container": "api"}
                }
            }
        })
    }

    /// The sample with one place changed; `null` at a key that is absent adds it.
    pub(in super::super) fn with(pointer: &str, value: Value) -> Value {
        let mut output = sample();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = output.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        parent.insert(key.to_owned(), value);
        output
    }

    fn message(output: &Value) -> String {
        Contract::from_output(output).unwrap_err().to_string()
    }

    #[test]
    fn a_contract_is_read_with_its_defaults() {
        let contract = Contract::from_output(&sample()).unwrap();
        assert_eq!(contract.cluster.pull_secret, "regcred");
        assert_eq!(contract.cluster.service_account, "default");
        assert_eq!(contract.state.lock, LockKind::Both);
        assert_eq!(
            contract.services["web"].service.as_ref().unwrap().node_port,
            Some(30300)
        );
        assert_eq!(contract.services["api"].service, None);
    }

    #[test]
    fn unknown_fields_are_tolerated() {
        let output = with("/services/web/canary", json!({"weight": 10}));
        assert!(Contract::from_output(&output).is_ok());
    }

    #[test]
    fn what_is_no_object_is_named() {
        for (value, kind) in [
            (json!("x"), "a string"),
            (json!([1]), "a list"),
            (json!(null), "null"),
            (json!(3), "a number"),
            (json!(true), "a boolean"),
        ] {
            assert_eq!(
                message(&value),
                format!("the output `hybrid` is {kind}, it must be an object")
            );
        }
    }

    #[test]
    fn a_newer_version_is_refused_before_its_fields_are_looked_at() {
        let error = Contract::from_output(&json!({"schema_version": 2})).unwrap_err();
        assert_eq!(error, ContractError::Newer { found: 2 });
        let text = error.to_string();
        assert!(text.contains("schema_version 2"), "{text}");
        assert!(
            text.contains(concat!("kubectl-hybrid ", env!("CARGO_PKG_VERSION"))),
            "{text}"
        );
        assert!(text.ends_with("reads version 1"), "{text}");
    }

    #[test]
    fn a_version_must_be_a_whole_number() {
        for version in [json!(null), json!("1"), json!(0), json!(-1), json!(1.5)] {
            let output = with("/schema_version", version.clone());
            assert_eq!(
                Contract::from_output(&output),
                Err(ContractError::NoVersion),
                "{version}"
            );
        }
        assert_eq!(
            Contract::from_output(&json!({})),
            Err(ContractError::NoVersion)
        );
    }

    #[test]
    fn a_missing_field_is_named_by_its_path() {
        let mut output = sample();
        output["services"]["web"]
            .as_object_mut()
            .unwrap()
            .remove("repository");
        assert_eq!(
            message(&output),
            "the contract is wrong at `hybrid.services.web.repository`: it is missing"
        );
        let mut output = sample();
        output.as_object_mut().unwrap().remove("aws");
        assert_eq!(
            message(&output),
            "the contract is wrong at `hybrid.aws`: it is missing"
        );
    }

    #[test]
    fn a_bad_value_is_named_by_its_path() {
        let cases = [
            ("/aws/account_id", json!("12345"), "aws.account_id"),
            ("/aws/account_id", json!(12), "aws.account_id"),
            ("/aws/region", json!("Frankfurt"), "aws.region"),
            (
                "/aws/registry",
                json!("https://x.example.com/v2"),
                "aws.registry",
            ),
            ("/aws/registry", json!("localhost"), "aws.registry"),
            ("/state/lock_table", json!(null), "state.lock_table"),
            ("/state/lock", json!("consul"), "state.lock"),
            ("/cluster/namespace", json!("Dev"), "cluster.namespace"),
            (
                "/cluster/pull_secret",
                json!("reg_cred"),
                "cluster.pull_secret",
            ),
            ("/project", json!(""), "project"),
            (
                "/services/web/repository",
                json!("Web"),
                "services.web.repository",
            ),
            (
                "/services/web/repository_url",
                json!("x/web"),
                "services.web.repository_url",
            ),
            (
                "/services/web/workload/kind",
                json!("CronJob"),
                "services.web.workload.kind",
            ),
            (
                "/services/web/workload/name",
                json!("-web"),
                "services.web.workload.name",
            ),
            (
                "/services/web/service/port",
                json!(70000),
                "services.web.service.port",
            ),
            (
                "/services/web/service/port",
                json!(0),
                "services.web.service.port",
            ),
        ];
        for (pointer, value, path) in cases {
            let text = message(&with(pointer, value));
            assert!(
                text.contains(&format!("`hybrid.{path}`")),
                "{pointer}: {text}"
            );
        }
    }

    #[test]
    fn two_services_on_one_node_port_are_refused() {
        let output = with(
            "/services/api/service",
            json!({"name": "api", "port": 1, "node_port": 30300}),
        );
        assert_eq!(
            message(&output),
            "the contract is wrong at `hybrid.services.web.service.node_port`: \
             30300 is the node port of service `api` as well"
        );
    }

    #[test]
    fn two_services_in_one_container_are_refused() {
        let output = with(
            "/services/api/workload",
            json!({"name": "web", "container": "web"}),
        );
        assert!(message(&output).contains("service `api` runs in the same container"));
    }

    #[test]
    fn repository_names_follow_ecr() {
        for good in ["ab", "team/web", "a.b_c-d/e1", "0/1"] {
            assert!(is_repository(good), "{good}");
        }
        for bad in [
            "a",
            "",
            "Team/web",
            "team//web",
            "/web",
            "web/",
            "a..b",
            "web-",
            "a b",
        ] {
            assert!(!is_repository(bad), "{bad}");
        }
        assert!(!is_repository(&"a".repeat(257)));
    }
}
