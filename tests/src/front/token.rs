//! A token in ECR's own shape.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rand::RngCore as _;
use serde_json::{Value, json};

use crate::digest::sha256;

/// The user name that goes with every token.
pub(super) const USER: &str = "AWS";

/// Bytes of the sealed part; with them a password is 1.4 to 1.9 kB, as most of ECR's are.
const PAYLOAD: std::ops::Range<usize> = 560..820;
/// Bytes of the sealed data key.
const DATA_KEY: usize = 184;

/// What a client sends as its password. It has no `Debug`: it must not reach a log.
pub(super) struct Password(String);

impl Password {
    /// A new random one that says when it expires.
    ///
    /// Base64 of `{"payload","datakey","version":"2","type":"DATA_KEY","expiration":UNIX}`.
    pub(super) fn random(expires: Timestamp) -> Self {
        let mut random = rand::rng();
        let mut sealed = |length: usize| {
            let mut bytes = vec![0; length];
            random.fill_bytes(&mut bytes);
            STANDARD.encode(bytes)
        };
        let payload = sealed(rand::random_range(PAYLOAD));
        let datakey = sealed(DATA_KEY);
        let text = json!({
            "payload": payload,
            "datakey": datakey,
            "version": "2",
            "type": "DATA_KEY",
            "expiration": expires.as_second(),
        })
        .to_string();
        Self(STANDARD.encode(text))
    }

    /// Takes what a client sent.
    pub(super) fn received(text: String) -> Self {
        Self(text)
    }

    /// The value of `authorizationToken`: base64 of `AWS:PASSWORD`.
    pub(super) fn authorization_token(&self) -> String {
        STANDARD.encode(format!("{USER}:{}", self.0))
    }

    /// Whether it has the shape of a token, whoever issued it.
    pub(super) fn has_the_shape(&self) -> bool {
        STANDARD
            .decode(&self.0)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
            .is_some_and(|value| {
                value.get("type").and_then(Value::as_str) == Some("DATA_KEY")
                    && value.get("expiration").is_some_and(Value::is_number)
            })
    }

    /// What it is remembered by: the SHA-256 of it, in hex.
    pub(super) fn fingerprint(&self) -> String {
        sha256(&self.0)
    }
}

/// The user and the password of a `Basic` header.
pub(super) fn from_basic(header: &str) -> Option<(String, Password)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), Password(password.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn a_token_has_the_shape_and_the_size_of_ecrs() {
        for _ in 0..50 {
            let password = Password::random(at(1_795_000_000));
            let text = STANDARD.decode(&password.0).expect("base64");
            let value: Value = serde_json::from_slice(&text).expect("JSON");
            let keys: Vec<&str> = value
                .as_object()
                .expect("an object")
                .keys()
                .map(String::as_str)
                .collect();
            assert_eq!(
                keys,
                ["payload", "datakey", "version", "type", "expiration"]
            );
            assert_eq!(value["version"], "2");
            assert_eq!(value["expiration"], 1_795_000_000);
            assert!(
                (1_400..=1_900).contains(&password.0.len()),
                "{}",
                password.0.len()
            );
            assert!(password.has_the_shape());
        }
    }

    #[test]
    fn no_two_tokens_are_the_same() {
        let (one, two) = (Password::random(at(1)), Password::random(at(1)));
        assert_ne!(one.fingerprint(), two.fingerprint());
        assert_eq!(one.fingerprint().len(), 64);
    }

    #[test]
    fn a_basic_header_gives_back_what_was_handed_out() {
        let password = Password::random(at(1));
        let header = format!("Basic {}", password.authorization_token());
        let (user, received) = from_basic(&header).expect("a user and a password");
        assert_eq!(user, "AWS");
        assert_eq!(received.fingerprint(), password.fingerprint());
    }

    #[test]
    fn anything_else_is_no_token() {
        for header in ["", "Basic", "Bearer QVdTOng=", "Basic !!!", "Basic QVdT"] {
            assert!(from_basic(header).is_none(), "{header}");
        }
        for password in ["", "hunter2", "e30=", "eyJ0eXBlIjoiREFUQV9LRVkifQ=="] {
            assert!(
                !Password::received(password.to_owned()).has_the_shape(),
                "{password}"
            );
        }
    }
}
