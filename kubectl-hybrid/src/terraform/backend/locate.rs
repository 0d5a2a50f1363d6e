//! Finds the backend's configuration on disk.

use std::path::Path;

use serde_json::{Map, Value};

use super::{Backend, BackendError, Origin, S3Backend, is_set};
use crate::project::config::BackendConfig;
use crate::terraform::hcl;
use crate::terraform::root::{Root, is_configuration};

/// The file that partial backends are initialised with, beside the configuration.
const BACKEND_FILE: &str = "backend.hcl";

/// Finds the backend: `settings` win, then what `init` left, then the configuration.
pub fn locate(
    root: Option<&Root>,
    settings: Option<&BackendConfig>,
) -> Result<Backend, BackendError> {
    if let Some(settings) = settings {
        return Ok(Backend::S3(Box::new(S3Backend::from_settings(settings))));
    }
    let root = root.ok_or(BackendError::Nowhere)?;
    match initialised(root)? {
        Some(backend) => Ok(backend),
        None => configured(root),
    }
}

/// What `terraform init` wrote, when it ran.
fn initialised(root: &Root) -> Result<Option<Backend>, BackendError> {
    let path = root.data_dir().join("terraform.tfstate");
    let Some(text) = read_if_there(&path)? else {
        return Ok(None);
    };
    let file: Value = serde_json::from_str(&text).map_err(|error| BackendError::Malformed {
        path: path.clone(),
        format: "JSON",
        // serde_json's own text may quote a value.
        message: format!("line {}, column {}", error.line(), error.column()),
    })?;
    if file.get("state_store").is_some_and(is_set) {
        return Ok(Some(Backend::Other {
            kind: "state_store".to_owned(),
        }));
    }
    let Some(backend) = file.get("backend").filter(|backend| !backend.is_null()) else {
        return Ok(None);
    };
    let kind = backend
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let Some(config) = backend
        .get("config")
        .and_then(Value::as_object)
        .filter(|_| kind == "s3")
    else {
        return Ok(Some(Backend::Other {
            kind: kind.to_owned(),
        }));
    };
    S3Backend::from_map(config, Origin::Initialised(path.clone()))
        .map(|backend| Some(Backend::S3(Box::new(backend))))
        .map_err(|missing| BackendError::Incomplete { path, missing })
}

/// The backend block of the configuration, completed with `backend.hcl`.
fn configured(root: &Root) -> Result<Backend, BackendError> {
    let unreadable = |source| BackendError::Unreadable {
        path: root.dir().into(),
        source,
    };
    let mut files = Vec::new();
    for entry in root.dir().read_dir().map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if is_configuration(&entry.file_name()) {
            files.push(entry.path());
        }
    }
    files.sort();
    for path in files {
        let Some(text) = read_if_there(&path)? else {
            continue;
        };
        // A file that is not understood holds no backend for this tool; Terraform says the rest.
        let block = if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            json_block(&text)
        } else {
            hcl::backend_block(&text).ok().flatten()
        };
        let Some(block) = block else { continue };
        if block.kind != "s3" {
            return Ok(Backend::Other { kind: block.kind });
        }
        let mut config = block.config;
        config.extend(backend_file(&root.dir().join(BACKEND_FILE))?);
        return S3Backend::from_map(&config, Origin::Configuration(path))
            .map(|backend| Backend::S3(Box::new(backend)))
            .map_err(|missing| BackendError::NotInitialised {
                dir: root.dir().into(),
                missing,
            });
    }
    Err(BackendError::NoBackend(root.dir().into()))
}

fn backend_file(path: &Path) -> Result<Map<String, Value>, BackendError> {
    let Some(text) = read_if_there(path)? else {
        return Ok(Map::new());
    };
    hcl::attributes(&text).map_err(|error| BackendError::Malformed {
        path: path.into(),
        format: "HCL",
        message: error.to_string(),
    })
}

/// The JSON form of a configuration: each block may be an object or a list of one.
fn json_block(text: &str) -> Option<hcl::BackendBlock> {
    fn first(value: &Value) -> &Value {
        value
            .as_array()
            .and_then(|values| values.first())
            .unwrap_or(value)
    }
    let file: Value = serde_json::from_str(text).ok()?;
    let terraform = first(file.get("terraform")?);
    let (kind, config) = first(terraform.get("backend")?)
        .as_object()?
        .iter()
        .next()?;
    let config = first(config).as_object().cloned().unwrap_or_default();
    Some(hcl::BackendBlock {
        kind: kind.clone(),
        config,
    })
}

fn read_if_there(path: &Path) -> Result<Option<String>, BackendError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(BackendError::Unreadable {
            path: path.into(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::terraform::root::TerraformEnv;

    fn root(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".terraform")).unwrap();
        std::fs::write(dir.path().join("variables.tf"), "variable \"a\" {}\n").unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let root = Root::open(dir.path(), None, TerraformEnv::default()).unwrap();
        (dir, root)
    }

    fn s3(backend: Backend) -> S3Backend {
        match backend {
            Backend::S3(backend) => *backend,
            other @ Backend::Other { .. } => panic!("{other:?}"),
        }
    }

    fn initialised_with(config: &Value) -> String {
        json!({"version": 3, "backend": {"type": "s3", "config": config, "hash": 1}}).to_string()
    }

    #[test]
    fn what_init_left_is_read_and_null_means_unset() {
        let text = initialised_with(&json!({
            "bucket": "b", "key": "k", "region": null, "dynamodb_table": "t",
            "use_lockfile": "true", "workspace_key_prefix": null, "profile": "dev",
            "assume_role": {"role_arn": "arn:aws:iam::1:role/r", "external_id": "x", "tags": null},
            "endpoints": {"s3": "http://127.0.0.1:9", "dynamodb": null}, "access_key": null,
            "use_path_style": true
        }));
        let (_dir, root) = root(&[(".terraform/terraform.tfstate", &text)]);
        let backend = s3(locate(Some(&root), None).unwrap());
        assert_eq!((backend.bucket.as_str(), backend.key.as_str()), ("b", "k"));
        assert_eq!(backend.region, None);
        assert_eq!(backend.workspace_key_prefix, "env:");
        assert_eq!(backend.lock_table.as_deref(), Some("t"));
        assert!(backend.use_lockfile && backend.path_style);
        assert_eq!(backend.s3_endpoint.as_deref(), Some("http://127.0.0.1:9"));
        assert_eq!(backend.dynamodb_endpoint, None);
        let role = backend.role.unwrap();
        assert_eq!(
            (role.arn.as_str(), role.external_id.as_deref()),
            ("arn:aws:iam::1:role/r", Some("x"))
        );
        assert_eq!(backend.only_terraform, None);
        assert!(matches!(backend.origin, Origin::Initialised(_)));
    }

    #[test]
    fn settings_that_only_terraform_honours_are_named_without_their_values() {
        for (setting, value) in [
            ("access_key", json!("AKIAEXAMPLESECRET")),
            ("sse_customer_key", json!("AKIAEXAMPLESECRET")),
            ("shared_credentials_files", json!(["AKIAEXAMPLESECRET"])),
            ("allowed_account_ids", json!(["AKIAEXAMPLESECRET"])),
            ("https_proxy", json!("http://AKIAEXAMPLESECRET@proxy")),
            ("use_fips_endpoint", json!(true)),
            (
                "assume_role",
                json!({"role_arn": "r", "policy": "AKIAEXAMPLESECRET"}),
            ),
        ] {
            let mut config = json!({"bucket": "b", "key": "k"});
            config[setting] = value;
            let text = initialised_with(&config);
            let (_dir, root) = root(&[(".terraform/terraform.tfstate", &text)]);
            let backend = s3(locate(Some(&root), None).unwrap());
            assert_eq!(backend.only_terraform, Some(setting));
            assert!(
                !format!("{backend:?}").contains("AKIAEXAMPLESECRET"),
                "{setting}"
            );
        }
    }

    #[test]
    fn a_fresh_clone_is_read_from_its_configuration() {
        let main =
            "terraform {\n  backend \"s3\" {\n    key = \"hybrid/terraform.tfstate\"\n  }\n}\n";
        let hcl = "bucket = \"tf-1\"\nregion = \"eu-central-1\"\nuse_lockfile = true\n";
        let (_dir, partial) = root(&[("main.tf", main), ("backend.hcl", hcl)]);
        let backend = s3(locate(Some(&partial), None).unwrap());
        assert_eq!(backend.bucket, "tf-1");
        assert_eq!(backend.key, "hybrid/terraform.tfstate");
        assert!(matches!(backend.origin, Origin::Configuration(_)));
        let (_dir, without_file) = root(&[("main.tf", main)]);
        let error = locate(Some(&without_file), None).unwrap_err();
        assert!(
            matches!(
                error,
                BackendError::NotInitialised {
                    missing: "bucket",
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn the_json_form_is_read_too() {
        let main = r#"{"terraform": [{"backend": {"s3": {"bucket": "b", "key": "k"}}}]}"#;
        let (_dir, root) = root(&[("main.tf.json", main)]);
        assert_eq!(s3(locate(Some(&root), None).unwrap()).bucket, "b");
    }

    #[test]
    fn settings_win_over_what_is_initialised() {
        let text = initialised_with(&json!({"bucket": "b", "key": "k"}));
        let (_dir, root) = root(&[(".terraform/terraform.tfstate", &text)]);
        let settings = BackendConfig {
            bucket: "mine".to_owned(),
            key: "k2".to_owned(),
            ..BackendConfig::default()
        };
        let backend = s3(locate(Some(&root), Some(&settings)).unwrap());
        assert_eq!(
            (backend.bucket.as_str(), backend.origin),
            ("mine", Origin::Settings)
        );
    }

    #[test]
    fn other_backends_are_left_to_terraform() {
        let cases = [
            (
                r#"{"backend": {"type": "gcs", "config": {"bucket": "b"}}}"#,
                "gcs",
            ),
            (r#"{"state_store": {"type": "x"}}"#, "state_store"),
        ];
        for (text, expected) in cases {
            let (_dir, root) = root(&[(".terraform/terraform.tfstate", text)]);
            let backend = locate(Some(&root), None).unwrap();
            assert_eq!(
                backend,
                Backend::Other {
                    kind: expected.to_owned()
                }
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_one_sentence() {
        let (_dir, empty) = root(&[]);
        let error = locate(Some(&empty), None).unwrap_err();
        assert!(matches!(error, BackendError::NoBackend(_)), "{error}");
        let (_dir, broken) = root(&[(".terraform/terraform.tfstate", "{\"backend\": SECRET")]);
        let error = locate(Some(&broken), None).unwrap_err().to_string();
        assert!(
            error.ends_with("is not readable as JSON: line 1, column 13"),
            "{error}"
        );
        let text = initialised_with(&json!({"key": "k"}));
        let (_dir, incomplete) = root(&[(".terraform/terraform.tfstate", &text)]);
        let error = locate(Some(&incomplete), None).unwrap_err();
        assert!(
            matches!(
                error,
                BackendError::Incomplete {
                    missing: "bucket",
                    ..
                }
            ),
            "{error}"
        );
    }
}
