//! What the constellation of the two places, the state and its digest means.

use std::fmt;

use super::held::{Locks, Place};

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
    /// The table holds a digest for a state that does not exist. Terraform refuses to go on.
    DigestAlone,
    /// The digest in the table is not that of the state. Terraform refuses to go on.
    WrongDigest {
        /// The table's.
        expected: String,
        /// The state's.
        actual: String,
    },
    /// Locked while there is no state: `terraform force-unlock` cannot release this, because
    /// Terraform takes the lock before it loads a workspace that has no state.
    NoState {
        /// The lock's id.
        id: String,
    },
}

impl Finding {
    /// Whether `terraform force-unlock` fails where this holds.
    #[must_use]
    pub const fn defeats_force_unlock(&self) -> bool {
        matches!(
            self,
            Self::Half { .. } | Self::NoState { .. } | Self::Unreadable { .. }
        )
    }

    /// Whether the digest in the lock table has to be repaired.
    #[must_use]
    pub const fn is_about_the_digest(&self) -> bool {
        matches!(self, Self::DigestAlone | Self::WrongDigest { .. })
    }
}

/// One sentence for a person.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Half { id } => write!(
                f,
                "lock {id} is in one of its two places only: its holder was killed, or is just \
                 taking or leaving it"
            ),
            Self::Different {
                dynamodb,
                lock_file,
            } => write!(
                f,
                "the table holds lock {dynamodb}, the lock file another one, {lock_file}"
            ),
            Self::ForeignPath { id, path } => {
                write!(f, "lock {id} says that it is of another state, {path}")
            }
            Self::Unreadable { place, .. } => {
                write!(f, "what is in the {place} is no lock of Terraform's")
            }
            Self::NotConfigured { id, place } => write!(
                f,
                "the backend does not lock in the {place}: lock {id} stops nobody who uses it"
            ),
            Self::DigestAlone => f.write_str(
                "the lock table holds a digest for a state that does not exist, which stops \
                 Terraform",
            ),
            Self::WrongDigest { expected, actual } => write!(
                f,
                "the lock table holds the digest {expected}, the state has {actual}, which stops \
                 Terraform: the state was changed by hand, restored, or written without the table"
            ),
            Self::NoState { id } => write!(
                f,
                "lock {id} is on a workspace without a state: its making was interrupted"
            ),
        }
    }
}

impl Locks {
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
        if let (Some(expected), Some(actual)) = (&self.digest, &self.state_md5)
            && expected != actual
        {
            findings.push(Finding::WrongDigest {
                expected: expected.clone(),
                actual: actual.clone(),
            });
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::super::held::tests::{BODY, row};
    use super::super::held::{Held, Witness};
    use super::*;
    use crate::terraform::keys::StateAddress;

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
            state_md5: None,
        }
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

    #[test]
    fn content_that_is_no_lock_is_told_with_its_place() {
        let one = row("garbage");
        let findings = locks(Some(one.clone()), Some(file(BODY))).findings();
        assert!(findings.contains(&Finding::Unreadable {
            id: one.id().to_owned(),
            place: one.place
        }));
    }

    #[test]
    fn a_digest_of_other_bytes_is_told() {
        let mut seen = locks(None, None);
        seen.digest = Some("0b56".to_owned());
        seen.state_md5 = Some("0b56".to_owned());
        assert_eq!(seen.findings(), []);
        seen.state_md5 = Some("274a".to_owned());
        let [finding] = &seen.findings()[..] else {
            panic!("{:?}", seen.findings());
        };
        assert!(finding.is_about_the_digest() && !finding.defeats_force_unlock());
        assert_eq!(
            finding.to_string(),
            "the lock table holds the digest 0b56, the state has 274a, which stops Terraform: the \
             state was changed by hand, restored, or written without the table"
        );
    }
}
