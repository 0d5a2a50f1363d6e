//! What the AWS emulator was told. It keeps everything in memory and forgets it when it ends; what
//! changed something is kept in a file and told again.
//!
//! The file has the emulator's own format, one JSON object for each request.

use std::fs::{self, OpenOptions};
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::http::{Endpoint, Request};
use super::{Settings, TerraformError, configuration};

/// One request as the emulator's recorder writes it.
#[derive(Debug, Deserialize)]
struct Entry {
    method: String,
    url: String,
    headers: serde_json::Map<String, Value>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    body_encoded: bool,
}

/// Lets the emulator note every request from now on.
pub(super) fn record(endpoint: Endpoint) -> Result<(), TerraformError> {
    recorder(endpoint, "reset-recording")?;
    recorder(endpoint, "start-recording")?;
    Ok(())
}

/// Adds what changed something since [`record`] to the file, and ends the recording.
pub(super) fn keep(settings: &Settings, endpoint: Endpoint) -> Result<(), TerraformError> {
    recorder(endpoint, "stop-recording")?;
    let recording = recorder(endpoint, "download-recording")?;
    let mut kept = String::new();
    for line in String::from_utf8_lossy(&recording).lines() {
        if parse(line).is_some_and(|request| changes_something(&request)) {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    let file = &settings.memory;
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(TerraformError::io("create", folder))?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .and_then(|mut open| open.write_all(kept.as_bytes()))
        .map_err(TerraformError::io("write", file))
}

/// Tells an emulator that has forgotten everything again. False when there is nothing to tell.
pub(super) fn recall(settings: &Settings, endpoint: Endpoint) -> Result<bool, TerraformError> {
    let Ok(text) = fs::read_to_string(&settings.memory) else {
        return Ok(false);
    };
    let mut any = false;
    // A last line that was cut off by a kill is no request.
    for request in text.lines().filter_map(parse) {
        endpoint.send("take back what it had", &request)?;
        any = true;
    }
    Ok(any)
}

/// Empties the emulator and the file.
pub(super) fn forget(settings: &Settings, endpoint: Endpoint) -> Result<(), TerraformError> {
    configuration::remove(&settings.memory)?;
    endpoint.expect("forget", &Request::new("POST", "/moto-api/reset"))?;
    Ok(())
}

fn recorder(endpoint: Endpoint, verb: &str) -> Result<Vec<u8>, TerraformError> {
    let method = if verb == "download-recording" {
        "GET"
    } else {
        "POST"
    };
    let request = Request::new(method, format!("/moto-api/recorder/{verb}"));
    Ok(endpoint.expect(verb, &request)?.body)
}

fn parse(line: &str) -> Option<Request> {
    let entry: Entry = serde_json::from_str(line).ok()?;
    let body = if entry.body_encoded {
        STANDARD.decode(&entry.body).ok()?
    } else {
        entry.body.into_bytes()
    };
    let (_, rest) = entry.url.split_once("://")?;
    let target = rest.find('/').map_or("/", |at| &rest[at..]).to_owned();
    let headers = entry
        .headers
        .into_iter()
        .filter(|(name, _)| !is_of_the_connection(name))
        .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
        .collect();
    Some(Request {
        method: entry.method,
        target,
        headers,
        body,
    })
}

fn is_of_the_connection(name: &str) -> bool {
    [
        "host",
        "content-length",
        "connection",
        "transfer-encoding",
        "accept-encoding",
    ]
    .iter()
    .any(|known| name.eq_ignore_ascii_case(known))
}

fn changes_something(request: &Request) -> bool {
    const READS: [&str; 4] = ["Get", "List", "Describe", "Batch"];
    if ["GET", "HEAD"].contains(&request.method.as_str()) {
        return false;
    }
    let target = request
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("x-amz-target"));
    let body = String::from_utf8_lossy(&request.body);
    let action = match target {
        Some((_, target)) => target.rsplit_once('.').map(|(_, action)| action),
        None => body
            .split('&')
            .find_map(|pair| pair.strip_prefix("Action=")),
    };
    // Without an action it is S3, where the method says it all.
    action.is_none_or(|action| !READS.iter().any(|read| action.starts_with(read)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(method: &str, target: Option<&str>, body: &str) -> String {
        serde_json::json!({
            "headers": {
                "Host": "127.0.0.1:14567",
                "X-Amz-Target": target,
                "Authorization": "AWS4-HMAC-SHA256 Credential=testing/1/eu-central-1/ecr/aws4_request",
            },
            "method": method,
            "url": "http://127.0.0.1:14567/bucket/env%3A/dev/x?versioning=",
            "body": STANDARD.encode(body),
            "body_encoded": true,
        })
        .to_string()
    }

    #[test]
    fn a_request_is_told_again_as_it_was_and_to_whoever_listens_now() {
        let request = parse(&line("PUT", None, "{\"version\":4}")).unwrap();
        assert_eq!(request.target, "/bucket/env%3A/dev/x?versioning=");
        assert_eq!(request.body, b"{\"version\":4}");
        let names: Vec<&str> = request
            .headers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["Authorization"]);
        assert_eq!(parse("{\"method\": \"PUT\", \"ur"), None);
    }

    #[test]
    fn only_what_changed_something_is_kept() {
        let ecr = |action| Some(format!("AmazonEC2ContainerRegistry_V20150921.{action}"));
        let cases = [
            ("GET", None, "", false),
            ("HEAD", None, "", false),
            ("PUT", None, "state", true),
            ("DELETE", None, "", true),
            ("POST", ecr("CreateRepository"), "{}", true),
            ("POST", ecr("DescribeRepositories"), "{}", false),
            ("POST", ecr("GetLifecyclePolicy"), "{}", false),
            ("POST", None, "Action=CreateRole&Version=2010-05-08", true),
            (
                "POST",
                None,
                "Version=2011-06-15&Action=GetCallerIdentity",
                false,
            ),
        ];
        for (method, target, body, expected) in cases {
            let request = parse(&line(method, target.as_deref(), body)).unwrap();
            assert_eq!(
                changes_something(&request),
                expected,
                "{method} {target:?} {body}"
            );
        }
    }
}
