//! A JSON object as its members stand in the text.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Keys and the bytes of their values, in their order, with keys that stand twice.
pub struct Members(pub Vec<(String, Box<RawValue>)>);

impl Members {
    /// The members of an object; `None` if the bytes are no JSON object.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The value of a key, the last one where it stands twice.
    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(other, _)| other == key);
        found.map(|(_, raw)| raw.get())
    }

    /// Whether a key stands twice.
    pub fn has_twice(&self) -> bool {
        let keys: HashSet<&str> = self.0.iter().map(|(key, _)| key.as_str()).collect();
        keys.len() < self.0.len()
    }

    /// The members whose key is none of these, as text.
    pub fn without<'a>(&'a self, is_out: impl Fn(&str) -> bool) -> Vec<(&'a str, &'a str)> {
        let pairs = self.0.iter().map(|(key, raw)| (key.as_str(), raw.get()));
        pairs.filter(|(key, _)| !is_out(key)).collect()
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
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
