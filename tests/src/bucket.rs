//! What is in the bucket of the states, for tests: read beside Terraform and the tool.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says with a panic what it did not find"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use serde_json::Value;

use crate::said::{Said, text};
use crate::sandbox::endpoints::{ACCOUNT, REGION};

/// The bucket that the sandbox keeps its states in.
pub fn states() -> String {
    format!("hybrid-tfstate-{ACCOUNT}")
}

/// The key of the state of a workspace of the project.
pub fn state_key(workspace: &str) -> String {
    format!("env:/{workspace}/hybrid/terraform.tfstate")
}

/// What the AWS command line says.
///
/// # Panics
/// When the sandbox does not answer as it should.
#[track_caller]
pub fn aws(arguments: &[&str]) -> Value {
    let mut command = Command::new("aws");
    command.args(arguments).arg("--output=json");
    let said = Said::of(&mut command).succeeds();
    if said.stdout.trim().is_empty() {
        return Value::Null;
    }
    said.json()
}

/// An object, in its newest version or a given one; `None` when there is none.
///
/// # Panics
/// When the sandbox does not answer as it should.
pub fn object(bucket: &str, key: &str, version: Option<&str>) -> Option<Vec<u8>> {
    let endpoint = std::env::var("AWS_ENDPOINT_URL").unwrap();
    let address = endpoint.trim_start_matches("http://").trim_end_matches('/');
    let query = version.map_or_else(String::new, |version| format!("?versionId={version}"));
    let target = format!("/{bucket}/{}{query}", key.replace(':', "%3A"));
    let mut stream = TcpStream::connect(address).unwrap();
    // The emulator asks for somebody's name and does not check the signature.
    write!(
        stream,
        "GET {target} HTTP/1.0\r\nHost: {address}\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential=testing/20260101/{REGION}/s3/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    let status = String::from_utf8_lossy(&answer[..end]).into_owned();
    match status.split(' ').nth(1) {
        Some("200") => Some(answer.split_off(end + 4)),
        Some("404") => None,
        _ => panic!("{target}: {status}"),
    }
}

/// The state of a workspace of the project.
///
/// # Panics
/// When the sandbox does not answer as it should.
#[track_caller]
pub fn state(workspace: &str) -> Value {
    let key = state_key(workspace);
    let bytes = object(&states(), &key, None).unwrap_or_else(|| panic!("no state at {key}"));
    serde_json::from_slice(&bytes).unwrap()
}

/// Key and version of everything that the bucket holds or has held.
///
/// # Panics
/// When the sandbox does not answer as it should.
pub fn versions(bucket: &str) -> Vec<(String, String)> {
    let answer = aws(&["s3api", "list-object-versions", "--bucket", bucket]);
    let mut versions: Vec<_> = ["Versions", "DeleteMarkers"]
        .iter()
        .flat_map(|kind| answer[*kind].as_array().into_iter().flatten())
        .map(|it| {
            (
                text(&it["Key"]).to_owned(),
                text(&it["VersionId"]).to_owned(),
            )
        })
        .collect();
    versions.sort();
    versions
}

/// Every version of every object that the bucket holds or has held, with its key.
///
/// # Panics
/// When the sandbox does not answer as it should.
pub fn every_version(bucket: &str) -> Vec<(String, Vec<u8>)> {
    versions(bucket)
        .into_iter()
        .filter_map(|(key, version)| {
            let content = object(bucket, &key, Some(&version))?;
            Some((key, content))
        })
        .collect()
}

/// Every state that the bucket has ever held, with its key.
///
/// # Panics
/// When the sandbox does not answer as it should.
pub fn every_state(bucket: &str) -> Vec<(String, Vec<u8>)> {
    let mut all = every_version(bucket);
    all.retain(|(key, _)| key.ends_with(".tfstate"));
    all
}
