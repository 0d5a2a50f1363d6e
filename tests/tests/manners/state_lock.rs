//! A lock of the workspace's state, as Terraform on another machine would hold it.

use std::fs;
use std::process::Command;

use hybrid_tests::bucket::{aws, state_key, states};
use jiff::Timestamp;

use super::deployed::WORKSPACE;

/// The lock. It is released when this value is dropped.
pub(crate) struct StateLock {
    pub(crate) id: &'static str,
    key: String,
}

impl StateLock {
    /// Takes it, just now.
    pub(crate) fn put() -> Self {
        let lock = Self {
            id: "0b9d6f2e-7a51-4c38-9f0d-5d1c2e3f4a5b",
            key: format!("{}.tflock", state_key(WORKSPACE)),
        };
        let info = serde_json::json!({
            "ID": lock.id,
            "Operation": "OperationTypeApply",
            "Info": "",
            "Who": "ann@elsewhere",
            "Version": "1.13.0",
            "Created": Timestamp::now().to_string(),
            "Path": format!("{}/{}", states(), state_key(WORKSPACE)),
        });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lock");
        fs::write(&file, info.to_string()).unwrap();
        let body = file.to_str().unwrap();
        let bucket = states();
        let put = ["s3api", "put-object", "--bucket", &bucket];
        aws(&[&put[..], &["--key", &lock.key, "--body", body]].concat());
        lock
    }
}

impl Drop for StateLock {
    fn drop(&mut self) {
        let mut command = Command::new("aws");
        command.args(["s3api", "delete-object", "--bucket", &states()]);
        // A test that failed has said why already.
        drop(command.args(["--key", &self.key]).output());
    }
}
