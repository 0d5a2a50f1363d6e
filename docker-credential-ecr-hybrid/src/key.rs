//! The name under which a token is kept.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::host::Service;
use crate::identity::Identity;

/// A hash of identity, service, region, and endpoint: everything that decides which token AWS gives
/// out, and nothing that does not. Fit for a file name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

impl Key {
    /// The key of a token.
    pub fn new(
        identity: &Identity,
        service: Service,
        region: &str,
        endpoint: Option<&str>,
    ) -> Self {
        let mut parts = vec![service.name(), region, endpoint.unwrap_or_default()];
        parts.extend(identity.parts());
        Self::of_parts(&parts)
    }

    pub(crate) fn of_parts(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            // The length keeps ("ab", "c") apart from ("a", "bc").
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let mut text = String::with_capacity(40);
        for byte in &hash.finalize()[..20] {
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// Takes a key from a file name or a key's description, if it is one.
    pub fn from_text(text: &str) -> Option<Self> {
        let is_key = text.len() == 40
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_key.then(|| Self(text.to_owned()))
    }

    /// The key as forty lower-case hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_border_between_parts_makes_another_key() {
        assert_ne!(Key::of_parts(&["ab", "c"]), Key::of_parts(&["a", "bc"]));
        assert_ne!(Key::of_parts(&["a"]), Key::of_parts(&["a", ""]));
    }

    #[test]
    fn a_key_is_known_by_its_form() {
        let key = Key::of_parts(&["a"]);
        assert_eq!(Key::from_text(key.as_str()), Some(key));
        for other in ["", "../x", "ABCDEF", &"g".repeat(40)] {
            assert_eq!(Key::from_text(other), None);
        }
    }
}
