//! Locks as they were read, and what their constellation means.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::terraform::cache::hex;
use crate::terraform::keys::StateAddress;

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

/// What is wrong with the locks, beyond that there are some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Both places are in use, and one of them is free: the holder was killed between the two, or
    /// is just taking or leaving them.
    Half {
        /// The lock's id.
        id: String,
    },
    /// Both places are held by different locks.
    Different {
        /// The row's id.
        dynamodb: String,
        /// The file's id.
        lock_file: String,
    },
    /// The lock says that it belongs to another state.
    ForeignPath {
        /// The lock's id.
        id: String,
        /// What it says.
        path: String,
    },
    /// The content is no lock of Terraform's.
    Unreadable {
        /// The stand-in id.
        id: String,
        /// Where it is.
        place: Place,
    },
    /// The lock is in a place that the backend does not use; it does not stop Terraform.
    NotConfigured {
        /// The lock's id.
        id: String,
        /// Where it is.
        place: Place,
    },
    /// The table holds a digest for a state that does not exist.
    DigestAlone,
    /// Locked while there is no state: `terraform force-unlock` cannot release this, because
    /// Terraform takes the lock before it loads a workspace that has no state.
    NoState {
        /// The lock's id.
        id: String,
    },
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

    /// What is wrong with them.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        match (&self.dynamodb, &self.lock_file) {
            (Some(one), None) | (None, Some(one)) if self.uses_both => {
                findings.push(Finding::Half {
                    id: one.id().to_owned(),
                });
            }
            (Some(row), Some(file)) if row.id() != file.id() => {
                findings.push(Finding::Different {
                    dynamodb: row.id().to_owned(),
                    lock_file: file.id().to_owned(),
                });
            }
            _ => {}
        }
        for held in self.held() {
            let id = held.id().to_owned();
            match &held.info {
                Err(_) => {
                    findings.push(Finding::Unreadable {
                        id: id.clone(),
                        place: held.place.clone(),
                    });
                }
                Ok(info) if !info.path.is_empty() && !self.is_ours(&info.path) => {
                    findings.push(Finding::ForeignPath {
                        id: id.clone(),
                        path: info.path.clone(),
                    });
                }
                Ok(_) => {}
            }
            if !held.configured {
                findings.push(Finding::NotConfigured {
                    id,
                    place: held.place.clone(),
                });
            }
        }
        if self.state_exists == Some(false) {
            findings.extend(
                self.ids()
                    .into_iter()
                    .map(|id| Finding::NoState { id: id.to_owned() }),
            );
            if self.digest.is_some() {
                findings.push(Finding::DigestAlone);
            }
        }
        findings
    }

    fn is_ours(&self, path: &str) -> bool {
        path == self.address.lock_id()
            || path == format!("{}/{}", self.address.bucket, self.address.lock_file_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"ID":"9729b6c7","Operation":"OperationTypeApply","Info":"","Who":"root@vm","Version":"1.11.4","Created":"2026-11-23T03:37:21.297445621Z","Path":"b/env:/dev/k"}"#;

    fn row(content: &str) -> Held {
        let place = Place::DynamoDb {
            table: "t".to_owned(),
            lock_id: "b/env:/dev/k".to_owned(),
        };
        let witness = Witness::Info(Some(content.to_owned()));
        Held::new(place, content.as_bytes(), true, witness)
    }

    fn file(content: &str) -> Held {
        let place = Place::LockFile {
            bucket: "b".to_owned(),
            key: "env:/dev/k.tflock".to_owned(),
        };
        Held::new(
            place,
            content.as_bytes(),
            true,
            Witness::ETag("\"e\"".to_owned()),
        )
    }

    fn locks(dynamodb: Option<Held>, lock_file: Option<Held>) -> Locks {
        Locks {
            address: StateAddress {
                bucket: "b".to_owned(),
                key: "env:/dev/k".to_owned(),
            },
            dynamodb,
            lock_file,
            uses_both: true,
            state_exists: Some(true),
            digest: None,
        }
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
        let findings = locks(Some(one.clone()), Some(file(BODY))).findings();
        assert!(findings.contains(&Finding::Unreadable {
            id: one.id().to_owned(),
            place: one.place
        }));
    }

    #[test]
    fn the_constellation_is_told() {
        assert!(locks(None, None).is_free());
        let both = locks(Some(row(BODY)), Some(file(BODY)));
        assert_eq!((both.findings(), both.ids()), (vec![], vec!["9729b6c7"]));
        let half = locks(None, Some(file(BODY)));
        assert_eq!(
            half.findings(),
            [Finding::Half {
                id: "9729b6c7".to_owned()
            }]
        );
        let other = BODY.replace("9729b6c7", "other");
        let different = locks(Some(row(&other)), Some(file(BODY)));
        assert_eq!(
            different.findings(),
            [Finding::Different {
                dynamodb: "other".to_owned(),
                lock_file: "9729b6c7".to_owned()
            }]
        );
        let foreign = BODY.replace("env:/dev/k", "env:/prod/k");
        let foreign = locks(Some(row(&foreign)), Some(file(&foreign)));
        assert_eq!(foreign.findings().len(), 2);
        assert!(
            matches!(&foreign.findings()[0], Finding::ForeignPath { path, .. } if path == "b/env:/prod/k")
        );
    }

    #[test]
    fn a_lock_without_a_state_and_a_digest_alone_are_told() {
        let mut locked = locks(Some(row(BODY)), Some(file(BODY)));
        locked.state_exists = Some(false);
        assert_eq!(
            locked.findings(),
            [Finding::NoState {
                id: "9729b6c7".to_owned()
            }]
        );
        let mut digest = locks(None, None);
        digest.state_exists = Some(false);
        digest.digest = Some("0b56".to_owned());
        assert_eq!(digest.findings(), [Finding::DigestAlone]);
    }

    #[test]
    fn a_lock_in_an_unused_place_is_told() {
        let mut held = file(BODY);
        held.configured = false;
        let mut locks = locks(None, Some(held));
        locks.uses_both = false;
        assert!(matches!(
            locks.findings()[..],
            [Finding::NotConfigured { .. }]
        ));
    }
}
