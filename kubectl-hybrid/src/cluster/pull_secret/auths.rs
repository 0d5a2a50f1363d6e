//! The JSON inside a pull secret, read as the kubelet reads it.
//!
//! Entries of other registries are kept as the bytes they came in. Source of the rules: Kubernetes
//! `pkg/credentialprovider/config.go`.

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ecr_hybrid::secret::Secret;
use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::cluster::keyring;

/// The auths of a pull secret, in their order, with everything around them.
///
/// It has no `Debug`: what is inside is secret.
#[derive(Clone, Default)]
pub struct Document {
    /// Members of the outer object beside `auths`, as they came.
    around: Members,
    /// The entries, as they came.
    auths: Members,
    /// Why the document as a whole cannot be read, when it cannot.
    broken: Option<String>,
}

/// One entry, read as the kubelet reads it.
pub enum Entry {
    /// A login.
    Login(Credential),
    /// Neither a user nor a password: what Docker writes when a credential store has the login.
    Empty,
    /// The kubelet fails on it, and with it on every other entry of the pod.
    Broken(String),
}

/// A user name and a password.
pub struct Credential {
    /// The user name. For Amazon ECR it is `AWS`.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// When a login ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// The password itself says so.
    InPassword(Timestamp),
    /// The annotation of the secret says so.
    Annotated(Timestamp),
    /// Nothing says so.
    Unknown,
}

impl Expiry {
    /// The moment, when it is known.
    pub fn at(self) -> Option<Timestamp> {
        match self {
            Self::InPassword(at) | Self::Annotated(at) => Some(at),
            Self::Unknown => None,
        }
    }

    /// The expiry that `password` carries, else the annotated one.
    pub fn of(password: &Secret, annotated: Option<Timestamp>) -> Self {
        match (expiry_of(password), annotated) {
            (Some(at), _) => Self::InPassword(at),
            (None, Some(at)) => Self::Annotated(at),
            (None, None) => Self::Unknown,
        }
    }
}

impl Document {
    /// Reads the value of `.dockerconfigjson`. A document that cannot be read is [`Self::broken`].
    pub fn parse(bytes: &[u8]) -> Self {
        match parse(bytes) {
            Ok(document) => document,
            Err(why) => Self {
                broken: Some(why),
                ..Self::default()
            },
        }
    }

    /// Reads the value of `.dockercfg`, which is the auths without an outer object.
    pub fn parse_legacy(bytes: &[u8]) -> Self {
        match serde_json::from_slice(bytes) {
            Ok(auths) => Self {
                auths,
                ..Self::default()
            },
            Err(error) => Self {
                broken: Some(place(&error)),
                ..Self::default()
            },
        }
    }

    /// Why the document as a whole cannot be read. Never contains what is inside.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// The keys of the entries, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.auths.0.iter().map(|(key, _)| key.as_str())
    }

    /// The entries, in their order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Entry)> {
        self.auths
            .0
            .iter()
            .map(|(key, raw)| (key.as_str(), entry(raw)))
    }

    /// The entry under exactly this key. Where a key stands twice the last one counts, as in Go.
    pub fn entry(&self, key: &str) -> Option<Entry> {
        self.auths
            .0
            .iter()
            .rev()
            .find(|(found, _)| found == key)
            .map(|(_, raw)| entry(raw))
    }

    /// Whether the outer object names credential stores, which no kubelet asks.
    pub fn names_stores(&self) -> bool {
        self.around
            .0
            .iter()
            .any(|(key, _)| key == "credsStore" || key == "credHelpers")
    }

    /// Keys beside the bare host that stand for `registry` as a whole: `https://HOST`, `HOST/`,
    /// `https://HOST/v1/`, and the host in other letters.
    pub fn other_spellings(&self, registry: &str) -> Vec<&str> {
        self.keys()
            .filter(|key| *key != registry && is_spelling(key, registry))
            .collect()
    }

    /// Puts a login under the bare host, in the place of the entry that stood there, and drops
    /// other spellings of the host. Two keys for one host lead to two tries by the kubelet and, in
    /// Docker, to the older of the two.
    pub fn put(&mut self, registry: &str, username: &str, password: &Secret) {
        let raw = login(username, password);
        let place = self
            .auths
            .0
            .iter()
            .position(|(key, _)| key == registry)
            .or_else(|| {
                self.auths
                    .0
                    .iter()
                    .position(|(key, _)| is_spelling(key, registry))
            });
        let at = place.map_or(self.auths.0.len(), |place| {
            let earlier = &self.auths.0[..place];
            place
                - earlier
                    .iter()
                    .filter(|(key, _)| is_spelling(key, registry))
                    .count()
        });
        self.auths.0.retain(|(key, _)| !is_spelling(key, registry));
        if let Some(raw) = raw {
            self.auths
                .0
                .insert(at.min(self.auths.0.len()), (registry.to_owned(), raw));
        }
    }

    /// Drops the entries that the kubelet fails on, and says which.
    pub fn drop_broken(&mut self) -> Vec<String> {
        let mut dropped = Vec::new();
        self.auths.0.retain(|(key, raw)| match entry(raw) {
            Entry::Broken(_) => {
                dropped.push(key.clone());
                false
            }
            Entry::Login(_) | Entry::Empty => true,
        });
        dropped
    }

    /// The bytes to write.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Serialising strings and raw values that were parsed before cannot fail.
        serde_json::to_vec(self).unwrap_or_else(|_| b"{\"auths\":{}}".to_vec())
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.around.0.len() + 1))?;
        map.serialize_entry("auths", &self.auths)?;
        for (key, raw) in &self.around.0 {
            map.serialize_entry(key, raw)?;
        }
        map.end()
    }
}

fn parse(bytes: &[u8]) -> Result<Document, String> {
    let mut around: Members = serde_json::from_slice(bytes).map_err(|error| place(&error))?;
    let mut auths = None;
    // Go matches field names whatever their case, and the last one wins.
    around.0.retain(|(key, raw)| {
        let ours = key.eq_ignore_ascii_case("auths");
        if ours {
            auths = Some(raw.clone());
        }
        !ours
    });
    let auths = match auths {
        Some(raw) if raw.get() != "null" => serde_json::from_str(raw.get())
            .map_err(|error| format!("`auths` is no object ({})", place(&error)))?,
        _ => Members::default(),
    };
    Ok(Document {
        around,
        auths,
        broken: None,
    })
}

/// Where a JSON text is wrong, without the text.
fn place(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "the JSON ends too early",
        serde_json::error::Category::Data => "the JSON is no object",
        _ => "it is no JSON",
    };
    format!("{what}, line {} column {}", error.line(), error.column())
}

fn is_spelling(key: &str, registry: &str) -> bool {
    keyring::normal_key(&key.trim().to_ascii_lowercase())
        .is_some_and(|host| matches!(host.strip_prefix(registry), Some("" | "/v1" | "/v2")))
}

fn entry(raw: &RawValue) -> Entry {
    if raw.get() == "null" {
        return Entry::Empty;
    }
    let Ok(members) = serde_json::from_str::<Members>(raw.get()) else {
        return Entry::Broken("it is no object".to_owned());
    };
    let (mut username, mut password, mut auth) = (String::new(), String::new(), String::new());
    for (key, raw) in &members.0 {
        let field = match key.to_ascii_lowercase().as_str() {
            "username" => &mut username,
            "password" => &mut password,
            "auth" => &mut auth,
            _ => continue,
        };
        match serde_json::from_str::<Option<String>>(raw.get()) {
            Ok(Some(text)) => *field = text,
            Ok(None) => {}
            Err(_) => return Entry::Broken(format!("`{}` is no text", key.to_ascii_lowercase())),
        }
    }
    if !auth.is_empty() {
        // `auth` wins over the two fields beside it.
        return match decode_auth(&auth) {
            Ok((username, password)) => Entry::Login(Credential {
                username,
                password: Secret::new(password),
            }),
            Err(why) => Entry::Broken(why.to_owned()),
        };
    }
    if username.is_empty() && password.is_empty() {
        return Entry::Empty;
    }
    Entry::Login(Credential {
        username,
        password: Secret::new(password),
    })
}

fn decode_auth(auth: &str) -> Result<(String, String), &'static str> {
    let text: String = auth.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let padding = if text.trim().ends_with('=') {
        DecodePaddingMode::RequireCanonical
    } else {
        DecodePaddingMode::RequireNone
    };
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(padding)
        .with_decode_allow_trailing_bits(true);
    let bytes = GeneralPurpose::new(&alphabet::STANDARD, config)
        .decode(text.as_bytes())
        .map_err(|_| "`auth` is no base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "`auth` is no text")?;
    match text.split_once(':') {
        Some((username, password)) => Ok((username.to_owned(), password.to_owned())),
        None => Err("`auth` has no colon between user and password"),
    }
}

fn login(username: &str, password: &Secret) -> Option<Box<RawValue>> {
    #[derive(serde::Serialize)]
    struct Login<'a> {
        username: &'a str,
        password: &'a str,
        auth: &'a str,
    }
    let password = password.expose();
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
    serde_json::value::to_raw_value(&Login {
        username,
        password,
        auth: &auth,
    })
    .ok()
}

/// The expiry that the password itself carries.
pub(super) fn expiry_of(password: &Secret) -> Option<Timestamp> {
    ecr_hybrid::token::expiry_of_password(password.expose())
}

/// The members of a JSON object: their order, their bytes, and keys that stand twice.
#[derive(Clone, Default)]
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Walk)
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, raw)| (key, raw)))
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

    fn text(document: &Document) -> String {
        String::from_utf8(document.to_bytes()).unwrap()
    }

    fn password() -> Secret {
        Secret::new("pass".to_owned())
    }

    fn ours() -> String {
        format!(
            "\"{HOST}\":{{\"username\":\"AWS\",\"password\":\"pass\",\"auth\":\"QVdTOnBhc3M=\"}}"
        )
    }

    #[test]
    fn foreign_entries_and_everything_around_stay_byte_for_byte() {
        let strange = r#"{"HttpHeaders": {"X":  "1"},"auths":{"z.example":{ "auth" : "dTpw" , "n":1.0e5,"é":"\u00e9"},"a.example":{}},"credHelpers":{"h":"x"}}"#;
        let mut document = Document::parse(strange.as_bytes());
        document.put(HOST, "AWS", &password());
        assert_eq!(
            text(&document),
            format!(
                "{}{}{}",
                r#"{"auths":{"z.example":{ "auth" : "dTpw" , "n":1.0e5,"é":"\u00e9"},"a.example":{},"#,
                ours(),
                r#"},"HttpHeaders":{"X":  "1"},"credHelpers":{"h":"x"}}"#
            )
        );
    }

    #[test]
    fn the_entry_of_the_host_is_replaced_where_it_stood() {
        let before =
            format!(r#"{{"auths":{{"a":{{}},"{HOST}":{{"auth":"b2xkOm9sZA=="}},"z":{{}}}}}}"#);
        let mut document = Document::parse(before.as_bytes());
        document.put(HOST, "AWS", &password());
        assert_eq!(
            text(&document),
            format!(r#"{{"auths":{{"a":{{}},{},"z":{{}}}}}}"#, ours())
        );
    }

    #[test]
    fn other_spellings_of_the_host_go_and_other_hosts_stay() {
        let table = [
            ("https://HOST", true),
            ("http://HOST", true),
            ("HOST/", true),
            ("https://HOST/", true),
            ("https://HOST/v1/", true),
            ("https://HOST/v2/", true),
            ("https://HOST/v2", true),
            (" https://HOST", true),
            ("HOST\n", true),
            ("HOST/team", false),
            ("HOST:443", false),
            ("*.dkr.ecr.eu-central-1.amazonaws.com", false),
            ("HOST.example", false),
            ("xHOST", false),
        ];
        for (key, dropped) in table {
            let key = key.replace("HOST", HOST);
            let mut document = Document::default();
            document
                .auths
                .0
                .push((key.clone(), RawValue::from_string("{}".to_owned()).unwrap()));
            assert_eq!(
                !document.other_spellings(HOST).is_empty(),
                dropped,
                "{key:?}"
            );
            document.put(HOST, "AWS", &password());
            assert_eq!(document.keys().any(|left| left == key), !dropped, "{key:?}");
            assert!(document.entry(HOST).is_some());
        }
    }

    #[test]
    fn an_entry_is_read_as_the_kubelet_reads_it() {
        let table = [
            (r#"{"auth":"QVdTOnBhOnNz"}"#, Ok(Some(("AWS", "pa:ss")))),
            (r#"{"auth":"QVdTOnA="}"#, Ok(Some(("AWS", "p")))),
            (r#"{"auth":"QVdTOnA"}"#, Ok(Some(("AWS", "p")))),
            ("{\"auth\":\"QVdT\\nOnA=\"}", Ok(Some(("AWS", "p")))),
            (r#"{"username":"u","password":"p"}"#, Ok(Some(("u", "p")))),
            (r#"{"Username":"u","PASSWORD":"p"}"#, Ok(Some(("u", "p")))),
            (
                r#"{"username":"u","password":"p","auth":"QVdTOnA="}"#,
                Ok(Some(("AWS", "p"))),
            ),
            (
                r#"{"username":"u","password":"p","auth":""}"#,
                Ok(Some(("u", "p"))),
            ),
            (r"{}", Ok(None)),
            ("null", Ok(None)),
            (r#"{"email":"x@example.com"}"#, Ok(None)),
            (r#"{"auth":"%%%"}"#, Err("`auth` is no base64")),
            (
                r#"{"auth":"QVdT"}"#,
                Err("`auth` has no colon between user and password"),
            ),
            (r#"{"auth":1}"#, Err("`auth` is no text")),
            (r#""text""#, Err("it is no object")),
            ("[]", Err("it is no object")),
        ];
        for (raw, expected) in table {
            let raw = RawValue::from_string(raw.to_owned()).unwrap();
            let found = entry(&raw);
            let found = match &found {
                Entry::Login(login) => Ok(Some((login.username.as_str(), login.password.expose()))),
                Entry::Empty => Ok(None),
                Entry::Broken(why) => Err(why.as_str()),
            };
            assert_eq!(found, expected, "{raw}");
        }
    }

    #[test]
    fn a_broken_document_says_where_and_never_what() {
        for (bytes, expected) in [
            ("", "the JSON ends too early, line 1 column 0"),
            ("hunter2", "it is no JSON, line 1 column 1"),
            ("{\"auths\":", "the JSON ends too early, line 1 column 9"),
            ("[]", "the JSON is no object, line 1 column 0"),
            (
                r#"{"auths":"hunter2"}"#,
                "`auths` is no object (the JSON is no object, line 1 column 9)",
            ),
        ] {
            let document = Document::parse(bytes.as_bytes());
            let why = document.broken().unwrap();
            assert_eq!(why, expected, "{bytes}");
            assert!(!why.contains("hunter2"));
        }
        assert!(Document::parse(b"{}").broken().is_none());
        assert!(Document::parse(br#"{"auths":null}"#).broken().is_none());
        assert!(Document::parse(&[0xff, 0xfe]).broken().is_some());
    }

    #[test]
    fn broken_entries_are_dropped_by_name() {
        let mut document =
            Document::parse(br#"{"auths":{"good":{"auth":"dTpw"},"bad":{"auth":"%"},"none":{}}}"#);
        assert_eq!(document.drop_broken(), ["bad"]);
        assert_eq!(document.keys().collect::<Vec<_>>(), ["good", "none"]);
    }

    #[test]
    fn the_legacy_form_has_no_outer_object() {
        let document = Document::parse_legacy(br#"{"r.example":{"auth":"dTpw"}}"#);
        assert_eq!(document.keys().collect::<Vec<_>>(), ["r.example"]);
    }
}
