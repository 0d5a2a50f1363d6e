//! Repairs the digest that the lock table holds for a state.
//!
//! Terraform refuses a state whose MD5 is not the digest: after a restore, an upload by hand, or a
//! write by a configuration without the table. It leaves the repair to a person with a console.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use ecr_hybrid::aws_error::AwsError;

use super::held::Locks;
use crate::terraform::access::Access;
use crate::terraform::backend::S3Backend;

/// What has to be done to the digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// Write the digest of the state.
    Write {
        /// What the table holds.
        seen: String,
        /// The state's.
        actual: String,
    },
    /// Remove the digest of a state that does not exist.
    Remove {
        /// What the table holds.
        seen: String,
    },
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repaired {
    /// The digest is right now.
    Done,
    /// Somebody wrote another digest meanwhile; it was left alone.
    Changed,
}

impl Repair {
    /// What the locks show to be wrong, when the digest is.
    #[must_use]
    pub fn of(locks: &Locks) -> Option<Self> {
        let seen = locks.digest.clone()?;
        match (&locks.state_md5, locks.state_exists) {
            (Some(actual), _) if *actual != seen => Some(Self::Write {
                seen,
                actual: actual.clone(),
            }),
            (None, Some(false)) => Some(Self::Remove { seen }),
            _ => None,
        }
    }
}

/// Repairs the digest, unless it is no longer the one that was seen.
///
/// A writer that comes in between writes its digest last, so that it wins either way.
pub async fn repair(
    access: &Access,
    backend: &S3Backend,
    locks: &Locks,
    repair: &Repair,
) -> Result<Repaired, AwsError> {
    let table = backend.lock_table.clone().unwrap_or_default();
    let id = AttributeValue::S(locks.address.digest_id());
    let client = &access.dynamodb;
    let failed = match repair {
        Repair::Write { seen, actual } => client
            .put_item()
            .table_name(&table)
            .item("LockID", id)
            .item("Digest", AttributeValue::S(actual.clone()))
            .condition_expression("Digest = :seen")
            .expression_attribute_values(":seen", AttributeValue::S(seen.clone()))
            .send()
            .await
            .err()
            .map(|error| {
                outcome(&table, &error, |it| {
                    it.is_conditional_check_failed_exception()
                })
            }),
        Repair::Remove { seen } => client
            .delete_item()
            .table_name(&table)
            .key("LockID", id)
            .condition_expression("Digest = :seen")
            .expression_attribute_values(":seen", AttributeValue::S(seen.clone()))
            .send()
            .await
            .err()
            .map(|error| {
                outcome(&table, &error, |it| {
                    it.is_conditional_check_failed_exception()
                })
            }),
    };
    failed.unwrap_or(Ok(Repaired::Done))
}

fn outcome<E>(
    table: &str,
    error: &SdkError<E>,
    is_other: impl Fn(&E) -> bool,
) -> Result<Repaired, AwsError>
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    match error {
        SdkError::ServiceError(service) if is_other(service.err()) => Ok(Repaired::Changed),
        _ => Err(AwsError::from_sdk(
            format!("repair the state's digest in table `{table}`"),
            error,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terraform::keys::StateAddress;

    #[test]
    fn only_a_wrong_digest_is_repaired() {
        let locks = |digest: Option<&str>, md5: Option<&str>, exists| Locks {
            address: StateAddress {
                bucket: "b".to_owned(),
                key: "k".to_owned(),
            },
            dynamodb: None,
            lock_file: None,
            uses_both: true,
            state_exists: exists,
            digest: digest.map(str::to_owned),
            state_md5: md5.map(str::to_owned),
        };
        let repair = |digest, md5, exists| Repair::of(&locks(digest, md5, exists));
        assert_eq!(repair(Some("a"), Some("a"), Some(true)), None);
        assert_eq!(repair(None, Some("a"), Some(true)), None);
        // A state that may not be read is not one that is gone.
        assert_eq!(repair(Some("a"), None, None), None);
        assert_eq!(repair(None, None, Some(false)), None);
        assert_eq!(
            repair(Some("a"), Some("b"), Some(true)),
            Some(Repair::Write {
                seen: "a".to_owned(),
                actual: "b".to_owned()
            })
        );
        assert_eq!(
            repair(Some("a"), None, Some(false)),
            Some(Repair::Remove {
                seen: "a".to_owned()
            })
        );
    }
}
