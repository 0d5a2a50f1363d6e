//! Where the S3 backend keeps things: pure rules, the same for Terraform and `OpenTofu`.

use std::fmt;

/// The workspace that always exists.
pub const DEFAULT_WORKSPACE: &str = "default";
/// The backend's own `workspace_key_prefix`.
pub const DEFAULT_PREFIX: &str = "env:";
const LOCK_SUFFIX: &str = ".tflock";
const DIGEST_SUFFIX: &str = "-md5";

/// A workspace name that Terraform accepts.
///
/// Terraform wants names that need no escaping in a URL path; `.` and `..` are refused on top,
/// because they would leave the prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Workspace(String);

/// A workspace name that Terraform would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no workspace name: it consists of letters, digits and any of `-`, `_`, `.`, `~`, \
     `$`, `&`, `+`, `=`, `:` and `@`"
)]
pub struct BadWorkspace(String);

impl Workspace {
    /// Checks `name`.
    pub fn new(name: impl Into<String>) -> Result<Self, BadWorkspace> {
        let name = name.into();
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~$&+=:@".contains(&byte);
        if name.is_empty() || name == "." || name == ".." || !name.bytes().all(safe) {
            return Err(BadWorkspace(name));
        }
        Ok(Self(name))
    }

    /// The workspace `default`.
    #[must_use]
    pub fn default_workspace() -> Self {
        Self(DEFAULT_WORKSPACE.to_owned())
    }

    /// Whether it is the one that always exists.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0 == DEFAULT_WORKSPACE
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the state of one workspace is, and everything beside it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StateAddress {
    /// The bucket.
    pub bucket: String,
    /// The key of the state object.
    pub key: String,
}

impl StateAddress {
    /// The address of `workspace`'s state: `KEY` for `default`, else `PREFIX/WORKSPACE/KEY`.
    #[must_use]
    pub fn new(bucket: &str, prefix: &str, key: &str, workspace: &Workspace) -> Self {
        let key = if workspace.is_default() {
            key.to_owned()
        } else {
            join_clean(&[prefix, workspace.as_str(), key])
        };
        Self {
            bucket: bucket.to_owned(),
            key,
        }
    }

    /// The key of the lock file in the same bucket.
    #[must_use]
    pub fn lock_file_key(&self) -> String {
        format!("{}{LOCK_SUFFIX}", self.key)
    }

    /// `LockID` of the lock's row; the lock's own field `Path` says the same.
    #[must_use]
    pub fn lock_id(&self) -> String {
        format!("{}/{}", self.bucket, self.key)
    }

    /// `LockID` of the row that holds the digest of the state. It is not a lock.
    #[must_use]
    pub fn digest_id(&self) -> String {
        format!("{}{DIGEST_SUFFIX}", self.lock_id())
    }
}

impl fmt::Display for StateAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// The prefix under which the keys of all workspaces but `default` are listed.
#[must_use]
pub fn list_prefix(prefix: &str) -> String {
    let prefix = prefix.trim_matches('/');
    if prefix.is_empty() {
        String::new()
    } else {
        format!("{prefix}/")
    }
}

/// The workspace that the object `found` is the state of, when it is one.
#[must_use]
pub fn workspace_of(found: &str, prefix: &str, key: &str) -> Option<Workspace> {
    let (name, rest) = found.strip_prefix(&list_prefix(prefix))?.split_once('/')?;
    let workspace = Workspace::new(name).ok()?;
    (rest == key && !workspace.is_default()).then_some(workspace)
}

/// Go's `path.Join`: the backend builds keys with it, so `//`, `.` and `..` are resolved.
fn join_clean(parts: &[&str]) -> String {
    let rooted = parts
        .iter()
        .find(|part| !part.is_empty())
        .is_some_and(|p| p.starts_with('/'));
    let mut clean: Vec<&str> = Vec::new();
    for part in parts.iter().flat_map(|part| part.split('/')) {
        match part {
            "" | "." => {}
            ".." if clean.last().is_some_and(|last| *last != "..") => {
                clean.pop();
            }
            ".." if rooted => {}
            part => clean.push(part),
        }
    }
    let joined = clean.join("/");
    if rooted { format!("/{joined}") } else { joined }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(name: &str) -> Workspace {
        Workspace::new(name).unwrap()
    }

    #[test]
    fn keys_follow_the_backend() {
        let cases = [
            (
                "env:",
                "hybrid/terraform.tfstate",
                "default",
                "hybrid/terraform.tfstate",
            ),
            (
                "env:",
                "hybrid/terraform.tfstate",
                "dev",
                "env:/dev/hybrid/terraform.tfstate",
            ),
            ("teams/a", "s.tfstate", "dev", "teams/a/dev/s.tfstate"),
            ("teams/a/", "s.tfstate", "dev", "teams/a/dev/s.tfstate"),
            ("", "s.tfstate", "dev", "dev/s.tfstate"),
            ("env:", "a//b.tfstate", "dev", "env:/dev/a/b.tfstate"),
            ("env:", "a/../b.tfstate", "dev", "env:/dev/b.tfstate"),
            ("env:", "a//b.tfstate", "default", "a//b.tfstate"),
        ];
        for (prefix, key, name, expected) in cases {
            let address = StateAddress::new("b", prefix, key, &workspace(name));
            assert_eq!(address.key, expected, "{prefix} {key} {name}");
        }
    }

    #[test]
    fn everything_beside_the_state_is_named_after_it() {
        let address = StateAddress::new("bucket", "env:", "k.tfstate", &workspace("dev"));
        assert_eq!(address.lock_file_key(), "env:/dev/k.tfstate.tflock");
        assert_eq!(address.lock_id(), "bucket/env:/dev/k.tfstate");
        assert_eq!(address.digest_id(), "bucket/env:/dev/k.tfstate-md5");
        assert_eq!(address.to_string(), "s3://bucket/env:/dev/k.tfstate");
    }

    #[test]
    fn only_state_objects_name_a_workspace() {
        let cases = [
            ("env:/dev/k.tfstate", "env:", Some("dev")),
            ("env:/dev/k.tfstate.tflock", "env:", None),
            ("env:/dev/other.tfstate", "env:", None),
            ("env:/dev/sub/k.tfstate", "env:", None),
            ("env:/k.tfstate", "env:", None),
            ("elsewhere/dev/k.tfstate", "env:", None),
            ("teams/a/dev/k.tfstate", "teams/a/", Some("dev")),
            ("dev/k.tfstate", "", Some("dev")),
            ("env:/default/k.tfstate", "env:", None),
        ];
        for (found, prefix, expected) in cases {
            let name = workspace_of(found, prefix, "k.tfstate");
            assert_eq!(name.as_ref().map(Workspace::as_str), expected, "{found}");
        }
        assert_eq!(list_prefix("env:"), "env:/");
        assert_eq!(list_prefix(""), "");
    }

    #[test]
    fn workspace_names_are_those_that_need_no_escaping() {
        for good in ["default", "dev", "dev-laptop1", "a.b_c~d", "x:y@z", "..."] {
            assert!(Workspace::new(good).is_ok(), "{good}");
        }
        for bad in [
            "", ".", "..", "a/b", "a b", "a%b", "ü", "a?b", "a;b", "a\\b", "a\nb",
        ] {
            assert!(Workspace::new(bad).is_err(), "{bad}");
        }
    }
}
