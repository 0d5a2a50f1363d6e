//! The names of objects.

use super::reader::Malformed;

/// The path of an object, such as `/org/freedesktop/secrets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct ObjectPath(String);

impl ObjectPath {
    /// Takes a path that came over the bus. A bus hangs up on whoever sends it a wrong one back.
    pub(in crate::store) fn parse(text: &str) -> Result<Self, Malformed> {
        let is_name = |name: &str| {
            let mut bytes = name.bytes();
            !name.is_empty() && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let names = text.strip_prefix('/').ok_or(Malformed)?;
        if names.is_empty() || names.split('/').all(is_name) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed)
        }
    }

    /// The path as text.
    pub(in crate::store) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `/`, which stands for no object.
    pub(in crate::store) fn is_root(&self) -> bool {
        self.0 == "/"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_known_by_its_form() {
        for good in [
            "/",
            "/a",
            "/org/freedesktop/secrets/collection/login/12",
            "/_/A9",
        ] {
            assert_eq!(ObjectPath::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "", "a", "//", "/a/", "/a//b", "/a-b", "/a b", "/\u{e9}", "/a\0",
        ] {
            assert!(ObjectPath::parse(bad).is_err(), "{bad}");
        }
        assert!(ObjectPath::parse("/").unwrap().is_root());
        assert!(!ObjectPath::parse("/a").unwrap().is_root());
    }
}
