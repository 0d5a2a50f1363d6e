//! Any bytes on standard input, for every word that reads it.

#![no_main]

use std::ffi::OsString;

use ecr_hybrid::command;
use ecr_hybrid::kubelet::Request;
use ecr_hybrid::protocol::{NO_SERVER_URL, NO_USERNAME, NOT_FOUND};
use hybrid_fuzz::grammar;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fn answer(word: &str, input: &[u8]) -> (u8, String, String) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let words = [OsString::from(word)];
    let code = command::run(words, &mut &input[..], &mut stdout, &mut stderr);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (code, text(stdout), text(stderr))
}

/// The lines of the input, joined.
fn url(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let joined = text.replace("\r\n", "\n").replace('\n', "");
    joined.trim().to_owned()
}

/// A registry of ours leads to files and to AWS: that is not this target's subject.
fn is_ours(url: &str) -> bool {
    grammar::read(url).is_some()
}

fuzz_target!(|data: &[u8]| {
    let Some((word, input)) = data.split_first() else {
        return;
    };
    match word % 4 {
        0 => {
            // A carriage return at the very end of a line that is not the last is part of the break.
            let url = url(input);
            if is_ours(&url) || input.contains(&b'\r') {
                return;
            }
            let expected = if url.is_empty() {
                NO_SERVER_URL
            } else {
                NOT_FOUND
            };
            assert_eq!(
                answer("get", input),
                (1, format!("{expected}\n"), String::new())
            );
        }
        1 => {
            let (code, stdout, stderr) = answer("store", input);
            assert!(code <= 1 && stderr.is_empty());
            assert!(
                stdout.is_empty() || stdout.ends_with('\n') && code == 1,
                "{stdout:?}"
            );
            let Ok(Value::Object(given)) = serde_json::from_slice(input) else {
                return;
            };
            let text = |key: &str| given.get(key).and_then(Value::as_str);
            if let (Some(url), Some(user)) = (text("ServerURL"), text("Username")) {
                let told = [
                    (url.trim().is_empty(), NO_SERVER_URL),
                    (user.is_empty(), NO_USERNAME),
                ];
                // A key that stands twice is refused before.
                if let Some((_, expected)) = told.iter().find(|(is_so, _)| *is_so) {
                    assert!(stdout == format!("{expected}\n") || stdout.contains("no JSON object"));
                }
            }
            if let Some(secret) = text("Secret").filter(|secret| secret.len() > 8) {
                let elsewhere = text("ServerURL").is_some_and(|url| {
                    let shown: String = url.escape_debug().collect();
                    url.contains(secret) || shown.contains(secret)
                });
                let ours = "ecr-hybrid keeps no login for : it answers for ECR alone, so make another helper the `credsStore` and name ECR's hosts in `credHelpers`, as `docker-credential-ecr-hybrid configure HOST` does. the credentials are no JSON object of texts";
                assert!(elsewhere || ours.contains(secret) || !stdout.contains(secret));
            }
        }
        2 => {
            let url = url(input);
            if is_ours(&url) || input.contains(&b'\r') {
                return;
            }
            let expected = if url.is_empty() {
                (1, format!("{NO_SERVER_URL}\n"), String::new())
            } else {
                (0, String::new(), String::new())
            };
            assert_eq!(answer("erase", input), expected);
        }
        _ => {
            let request = Request::parse(input);
            if request
                .as_ref()
                .is_ok_and(|request| request.registry().is_some())
            {
                return;
            }
            let (code, stdout, stderr) = answer("kubelet", input);
            match request {
                Ok(_) => {
                    assert_eq!((code, stderr.as_str()), (0, ""));
                    let said: Value = serde_json::from_str(&stdout).expect("an answer");
                    assert_eq!(said["auth"], Value::Object(serde_json::Map::new()));
                }
                Err(_) => {
                    assert_eq!((code, stdout.as_str()), (1, ""));
                    assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr:?}");
                }
            }
        }
    }
});
