//! A token as it is kept: with the key it belongs to, its times, and the hosts it was asked for.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::key::Key;
use crate::secret::Secret;
use crate::token::Token;

/// The version of the format. Entries of any other version are ignored and replaced.
const VERSION: u32 = 1;

/// A kept token.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The token.
    pub token: Token,
    /// The hosts that asked for it, in the form they were asked for.
    pub hosts: Vec<String>,
    /// The identity, named for people.
    pub identity: String,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    key: &'a str,
    identity: &'a str,
    account: Option<&'a str>,
    hosts: &'a [String],
    issued_at: i64,
    expires_at: i64,
    password: &'a str,
}

#[derive(Deserialize)]
struct Read {
    version: u32,
    key: String,
    identity: String,
    account: Option<String>,
    hosts: Vec<String>,
    issued_at: i64,
    expires_at: i64,
    password: String,
}

impl Envelope {
    /// The bytes to keep under a key.
    pub fn to_bytes(&self, key: &Key) -> Zeroizing<Vec<u8>> {
        let written = Written {
            version: VERSION,
            key: key.as_str(),
            identity: &self.identity,
            account: self.token.account(),
            hosts: &self.hosts,
            issued_at: self.token.issued_at().as_second(),
            expires_at: self.token.expires_at().as_second(),
            password: self.token.password().expose(),
        };
        // Room for all of it at once, so that no copy of the password is left behind by growing.
        let room = 1024 + 256 * self.hosts.len() + 2 * written.password.len();
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        // Writing plain strings and numbers to memory cannot fail.
        let _ = serde_json::to_writer(&mut *bytes, &written);
        bytes
    }

    /// Reads what was kept under a key; `None` if it is corrupt, of another version, or of another
    /// key.
    pub fn from_bytes(key: &Key, bytes: &[u8]) -> Option<Self> {
        let read: Read = serde_json::from_slice(bytes).ok()?;
        let password = Secret::new(read.password);
        if read.version != VERSION || read.key != key.as_str() || password.expose().is_empty() {
            return None;
        }
        let token = Token::new(
            password,
            Timestamp::from_second(read.issued_at).ok()?,
            Timestamp::from_second(read.expires_at).ok()?,
            read.account,
        );
        Some(Self {
            token,
            hosts: read.hosts,
            identity: read.identity,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::of_parts(&[name])
    }

    fn envelope() -> Envelope {
        Envelope {
            token: Token::new(
                Secret::new("pass\"word\u{e9}".into()),
                Timestamp::from_second(1_000).unwrap(),
                Timestamp::from_second(44_200).unwrap(),
                Some("111122223333".into()),
            ),
            hosts: vec!["host".into()],
            identity: "profile dev".into(),
        }
    }

    #[test]
    fn an_envelope_comes_back_as_it_was() {
        let bytes = envelope().to_bytes(&key("a"));
        let back = Envelope::from_bytes(&key("a"), &bytes).unwrap();
        assert_eq!(back.token.password().expose(), "pass\"word\u{e9}");
        assert_eq!(back.token.expires_at().as_second(), 44_200);
        assert_eq!(back.token.account(), Some("111122223333"));
        assert_eq!(back.hosts, ["host"]);
    }

    #[test]
    fn a_foreign_key_another_version_and_damage_are_ignored() {
        let bytes = envelope().to_bytes(&key("a"));
        assert!(Envelope::from_bytes(&key("b"), &bytes).is_none());
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let other = text.replace("\"version\":1", "\"version\":2");
        assert!(Envelope::from_bytes(&key("a"), other.as_bytes()).is_none());
        for length in 0..bytes.len() {
            assert!(Envelope::from_bytes(&key("a"), &bytes[..length]).is_none());
        }
        let far = text.replace("44200", "99999999999999999");
        assert!(Envelope::from_bytes(&key("a"), far.as_bytes()).is_none());
    }
}
