//! The state file's format, as far as it concerns the contract.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::StateError;
use crate::terraform::keys::StateAddress;

/// The format that Terraform has written since 0.12 and that `OpenTofu` writes.
pub(super) const STATE_FORMAT: u64 = 4;

/// The parts of a state that concern us; everything else is walked over, not kept.
#[derive(Debug, Default, Deserialize)]
pub(super) struct StateFile {
    #[serde(default)]
    version: Option<u64>,
    #[serde(default)]
    pub(super) serial: u64,
    #[serde(default)]
    pub(super) lineage: String,
    #[serde(default)]
    pub(super) terraform_version: String,
    #[serde(default)]
    pub(super) outputs: Outputs,
    #[serde(default)]
    pub(super) resources: Vec<IgnoredAny>,
    #[serde(default)]
    encryption_version: Option<IgnoredAny>,
    #[serde(default)]
    encrypted_data: Option<IgnoredAny>,
}

#[derive(Debug, Default)]
pub(super) struct Outputs {
    pub(super) hybrid: Option<Value>,
    pub(super) others: usize,
}

impl<'de> Deserialize<'de> for Outputs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OutputsVisitor)
    }
}

/// Other outputs may be secret: their values are never held in memory as values.
struct OutputsVisitor;

impl<'de> Visitor<'de> for OutputsVisitor {
    type Value = Outputs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the outputs of a state")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outputs, A::Error> {
        let mut outputs = Outputs::default();
        while let Some(name) = map.next_key::<String>()? {
            if name == crate::project::contract::OUTPUT {
                outputs.hybrid = map.next_value::<BTreeMap<String, Value>>()?.remove("value");
            } else {
                map.next_value::<IgnoredAny>()?;
                outputs.others += 1;
            }
        }
        Ok(outputs)
    }
}

pub(super) fn parse(address: &StateAddress, body: &[u8]) -> Result<StateFile, StateError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(StateError::Empty(address.clone()));
    }
    let file: StateFile = serde_json::from_slice(body).map_err(|error| StateError::NotAState {
        address: address.clone(),
        // Its own text may quote a value of the state.
        message: format!("line {}, column {}", error.line(), error.column()),
    })?;
    if file.encryption_version.is_some() || file.encrypted_data.is_some() {
        return Err(StateError::Encrypted(address.clone()));
    }
    match file.version {
        Some(STATE_FORMAT) => Ok(file),
        Some(found) => Err(StateError::Format {
            address: address.clone(),
            found,
        }),
        None => Err(StateError::NotAState {
            address: address.clone(),
            message: "it has no format version".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<StateFile, StateError> {
        parse(
            &StateAddress {
                bucket: "b".to_owned(),
                key: "k".to_owned(),
            },
            text.as_bytes(),
        )
    }

    #[test]
    fn only_our_output_is_kept() {
        let file = parsed(
            r#"{"version":4,"terraform_version":"1.11.4","serial":7,"lineage":"l",
                "outputs":{"db":{"value":"s3cr3t","type":"string","sensitive":true},
                           "hybrid":{"value":{"schema_version":1},"type":["object",{}]}},
                "resources":[{"mode":"managed","x":{}},{}],"check_results":null}"#,
        )
        .unwrap();
        assert_eq!(
            file.outputs.hybrid,
            Some(serde_json::json!({"schema_version": 1}))
        );
        assert_eq!(
            (file.outputs.others, file.resources.len(), file.serial),
            (1, 2, 7)
        );
        assert!(!format!("{file:?}").contains("s3cr3t"));
    }

    #[test]
    fn what_is_no_readable_state_is_told_apart() {
        type Check = fn(&StateError) -> bool;
        let cases: [(&str, Check, bool); 7] = [
            ("", |e| matches!(e, StateError::Empty(_)), false),
            (" \n", |e| matches!(e, StateError::Empty(_)), false),
            (
                "<html>",
                |e| matches!(e, StateError::NotAState { .. }),
                false,
            ),
            ("{}", |e| matches!(e, StateError::NotAState { .. }), false),
            (
                r#"{"version":3}"#,
                |e| matches!(e, StateError::Format { found: 3, .. }),
                true,
            ),
            (
                r#"{"version":5}"#,
                |e| matches!(e, StateError::Format { found: 5, .. }),
                true,
            ),
            (
                r#"{"meta":{},"encrypted_data":"x","encryption_version":"v0"}"#,
                |e| matches!(e, StateError::Encrypted(_)),
                true,
            ),
        ];
        for (text, is_expected, needs_terraform) in cases {
            let error = parsed(text).unwrap_err();
            assert!(is_expected(&error), "{text}: {error}");
            assert_eq!(error.needs_terraform(), needs_terraform, "{text}");
        }
    }
}
