//! Locks as they were read, and what their constellation means.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::terraform::cache::hex;
use crate::terraform::keys::StateAddress;

/// A plan or an apply of an ordinary size is over by then: a younger lock may be at work.
pub const YOUNG: SignedDuration = SignedDuration::from_mins(15);

/// What Terraform writes about the holder of a lock.
///
/// Every field may be missing: other versions and other tools write locks as well.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LockInfo {
    /// The id that `force-unlock` asks for.
    #[serde(rename = "ID")]
    pub id: String,
    /// `OperationTypeApply` and the like; `init` while a workspace is being created.
    #[serde(default)]
    pub operation: String,
    /// A note, mostly empty.
    #[serde(default)]
    pub info: String,
    /// `USER@HOST`.
    #[serde(default)]
    pub who: String,
    /// The version that locked.
    #[serde(default)]
    pub version: String,
    /// When, by the holder's clock.
    #[serde(default, deserialize_with = "lenient_time")]
    pub created: Option<Timestamp>,
    /// `BUCKET/KEY` of the state.
    #[serde(default)]
    pub path: String,
}

impl LockInfo {
    /// How long the lock has been held; negative when the holder's clock is ahead.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Option<SignedDuration> {
        Some(now.duration_since(self.created?))
    }

    /// The holder's host.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.who
            .rsplit_once('@')
            .map(|(_, host)| host)
            .filter(|host| !host.is_empty())
    }

    /// The holder's user.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.who
            .rsplit_once('@')
            .map(|(user, _)| user)
            .filter(|user| !user.is_empty())
    }

    /// What was being done, in a person's words.
    #[must_use]
    pub fn doing(&self) -> String {
        match self.operation.as_str() {
            "init" => "creating the workspace".to_owned(),
            "" => "something unknown".to_owned(),
            operation => operation
                .strip_prefix("OperationType")
                .unwrap_or(operation)
                .to_lowercase(),
        }
    }
}

fn lenient_time<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let text = serde_json::Value::deserialize(from)?;
    Ok(text.as_str().and_then(|text| text.parse().ok()))
}

/// Where a lock is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A row in a table.
    DynamoDb {
        /// The table.
        table: String,
        /// The row's `LockID`.
        lock_id: String,
    },
    /// An object beside the state.
    LockFile {
        /// The bucket.
        bucket: String,
        /// The object's key.
        key: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DynamoDb { table, .. } => write!(f, "DynamoDB table {table}"),
            Self::LockFile { bucket, key } => write!(f, "lock file s3://{bucket}/{key}"),
        }
    }
}

/// Content that is no lock of Terraform's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Stands in for the id: derived from the content, so that it names just this content.
    pub id: String,
}

/// Exactly what was seen, as the condition for its removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Witness {
    /// The row's `Info`; `None` when the row has none.
    Info(Option<String>),
    /// The object's `ETag`.
    ETag(String),
}

/// A lock in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The place.
    pub place: Place,
    /// What it says.
    pub info: Result<LockInfo, Unreadable>,
    /// Whether the backend is configured to lock here. A lock elsewhere does not stop Terraform.
    pub configured: bool,
    pub(super) witness: Witness,
}

impl Held {
    pub(super) fn new(place: Place, content: &[u8], configured: bool, witness: Witness) -> Self {
        let info = serde_json::from_slice::<LockInfo>(content)
            .ok()
            .filter(|info| !info.id.is_empty())
            .ok_or_else(|| {
                let digest: String = hex(&Sha256::digest(content)).chars().take(12).collect();
                Unreadable {
                    id: format!("unreadable-{digest}"),
                }
            });
        Self {
            place,
            info,
            configured,
            witness,
        }
    }

    /// The id that is shown, and by which the lock is released.
    #[must_use]
    pub fn id(&self) -> &str {
        match &self.info {
            Ok(info) => &info.id,
            Err(unreadable) => &unreadable.id,
        }
    }
}

/// Both places of one state, read at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locks {
    /// The state.
    pub address: StateAddress,
    /// The row.
    pub dynamodb: Option<Held>,
    /// The file.
    pub lock_file: Option<Held>,
    /// Whether the backend locks in both places.
    pub uses_both: bool,
    /// Whether the state object exists; `None` when that could not be asked.
    pub state_exists: Option<bool>,
    /// The digest row's value, when there is one.
    pub digest: Option<String>,
    /// The hex MD5 of the state, when there is a digest to compare it with.
    pub state_md5: Option<String>,
}

impl Locks {
    /// The locks, the file first, as Terraform takes them.
    pub fn held(&self) -> impl Iterator<Item = &Held> {
        self.lock_file.iter().chain(&self.dynamodb)
    }

    /// Whether nothing is locked.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.held().next().is_none()
    }

    /// The ids, each once.
    #[must_use]
    pub fn ids(&self) -> Vec<&str> {
        let mut ids: Vec<_> = self.held().map(Held::id).collect();
        ids.dedup();
        ids
    }

    pub(super) fn is_ours(&self, path: &str) -> bool {
        path == self.address.lock_id()
            || path == format!("{}/{}", self.address.bucket, self.address.lock_file_key())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) const BODY: &str = r#"{"ID":"9729b6c7","Operation":"OperationTypeApply","Info":"","Who":"root@vm","Version":"1.11.4","Created":"2026-11-23T03:37:21.297445621Z","Path":"b/env:/dev/k"}"#;

    pub(in super::super) fn row(content: &str) -> Held {
        let place = Place::DynamoDb {
            table: "t".to_owned(),
            lock_id: "b/env:/dev/k".to_owned(),
        };
        let witness = Witness::Info(Some(content.to_owned()));
        Held::new(place, content.as_bytes(), true, witness)
    }

    #[test]
    fn a_lock_says_who_what_and_when() {
        let held = row(BODY);
        let info = held.info.as_ref().unwrap();
        assert_eq!((info.user(), info.host()), (Some("root"), Some("vm")));
        assert_eq!(info.doing(), "apply");
        let now = "2026-11-23T03:38:21.297445621Z".parse().unwrap();
        assert_eq!(info.age(now), Some(SignedDuration::from_secs(60)));
        assert_eq!(held.id(), "9729b6c7");
    }

    #[test]
    fn a_lock_of_another_version_is_read_as_far_as_it_goes() {
        let held = row(r#"{"ID":"1","Created":"yesterday","Lease":{"ttl":1}}"#);
        let info = held.info.unwrap();
        assert_eq!(
            (info.created, info.host(), info.who.as_str()),
            (None, None, "")
        );
        assert_eq!(info.doing(), "something unknown");
    }

    #[test]
    fn unreadable_content_has_an_id_of_its_own() {
        let (one, two) = (row("garbage"), row("{}"));
        assert!(one.id().starts_with("unreadable-") && two.id().starts_with("unreadable-"));
        assert_ne!(one.id(), two.id());
    }
}
