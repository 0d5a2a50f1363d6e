//! The ways to write the host of a registry as the key of a login.

use crate::cluster::keyring;

/// Whether `key` stands for `registry` as a whole: `https://HOST`, `HOST/`, `https://HOST/v1/`, the
/// host in other letters, and the bare host itself.
pub(super) fn is_spelling(key: &str, registry: &str) -> bool {
    keyring::normal_key(&key.trim().to_ascii_lowercase())
        .is_some_and(|host| matches!(host.strip_prefix(registry), Some("" | "/v1" | "/v2")))
}

/// Whether it does so for the kubelet, too: other letters and white space make another host of it.
pub(super) fn is_read(key: &str, registry: &str) -> bool {
    is_spelling(key, registry) && keyring::key_matches(key, &format!("{registry}/any"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kubelet_reads_some_of_the_spellings() {
        let table = [
            ("HOST", true),
            ("https://HOST", true),
            ("http://HOST/", true),
            ("https://HOST/v1/", true),
            (" HOST", false),
            ("HOST.", false),
        ];
        for (key, expected) in table {
            let (key, registry) = (key.replace("HOST", "r.example"), "r.example");
            assert_eq!(is_read(&key, registry), expected, "{key}");
        }
        assert!(is_spelling("R.Example", "r.example") && !is_read("R.Example", "r.example"));
    }
}
