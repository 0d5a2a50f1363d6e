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

use super::spelling::{is_read, is_spelling};

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

    /// Reads the value of `.dockercfg`, which is the auths without an outer object. With one it is
    /// [`Self::broken`]: the kubelet takes `auths` for the name of a registry.
    pub fn parse_legacy(bytes: &[u8]) -> Self {
        let auths: Members = match serde_json::from_slice(bytes) {
            Ok(auths) => auths,
            Err(error) => {
                return Self {
                    broken: Some(place(&error)),
                    ..Self::default()
                };
            }
        };
        if auths.0.iter().any(|(key, _)| key == "auths") {
            return Self {
                broken: Some("`.dockercfg` has no outer `auths`".to_owned()),
                ..Self::parse(bytes)
            };
        }
        Self {
            auths,
            ..Self::default()
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

    /// The login that the kubelet uses for `registry` as a whole, with its key: the bare host, else
    /// another spelling of it that the kubelet reads.
    pub fn login(&self, registry: &str) -> Option<(&str, Credential)> {
        let login = |key: &str| match self.entry(key) {
            Some(Entry::Login(login)) => Some(login),
            _ => None,
        };
        let bare = self.keys().filter(|key| *key == registry);
        let spelled = self.keys().filter(|key| is_read(key, registry));
        bare.chain(spelled).find_map(|key| Some((key, login(key)?)))
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
mod tests;
