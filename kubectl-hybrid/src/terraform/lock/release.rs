//! Releases a lock with conditional deletes: only the content that was seen is removed.
//!
//! Terraform's own `force-unlock` reads and then deletes, so it can remove the lock of someone who
//! came in between. It also fails on a half lock and on a lock without a state.

use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::error::SdkError;
use ecr_hybrid::aws_error::{AwsError, Cause};

use super::held::{Held, Locks, Place, Witness};
use super::read;
use crate::terraform::access::Access;
use crate::terraform::backend::S3Backend;

/// What became of the lock in one place.
#[derive(Debug)]
pub enum Outcome {
    /// It was there as seen and is gone now.
    Released,
    /// It was gone already.
    AlreadyGone,
    /// Another lock is there now; it was left alone.
    Changed {
        /// The id of the lock that is there now.
        now: String,
    },
    /// AWS refused.
    Failed(Box<AwsError>),
}

/// The result for one place.
#[derive(Debug)]
pub struct Released {
    /// The place.
    pub place: Place,
    /// What became of it.
    pub outcome: Outcome,
}

/// Releases the lock `id` wherever `locks` saw it. An id that was not seen releases nothing.
///
/// The row goes first, the file last: the file is what Terraform takes first, so nobody can come
/// in between and find the lock half taken.
pub async fn release(
    access: &Access,
    backend: &S3Backend,
    locks: &Locks,
    id: &str,
) -> Vec<Released> {
    let mut released = Vec::new();
    for held in locks
        .dynamodb
        .iter()
        .chain(&locks.lock_file)
        .filter(|held| held.id() == id)
    {
        let outcome = match release_one(access, backend, locks, held).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Failed(Box::new(error)),
        };
        released.push(Released {
            place: held.place.clone(),
            outcome,
        });
    }
    released
}

async fn release_one(
    access: &Access,
    backend: &S3Backend,
    locks: &Locks,
    held: &Held,
) -> Result<Outcome, AwsError> {
    let removed = match &held.place {
        Place::DynamoDb { table, lock_id } => {
            delete_row(access, table, lock_id, &held.witness).await?
        }
        Place::LockFile { bucket, key } => delete_file(access, bucket, key, &held.witness).await?,
    };
    if removed {
        return Ok(Outcome::Released);
    }
    let now = match &held.place {
        Place::DynamoDb { .. } => read::lock_row(access, backend, &locks.address).await?,
        Place::LockFile { .. } => read::lock_file(access, backend, &locks.address).await?,
    };
    Ok(match now {
        None => Outcome::AlreadyGone,
        Some(now) => Outcome::Changed {
            now: now.id().to_owned(),
        },
    })
}

/// `false` when the row is not as it was seen.
async fn delete_row(
    access: &Access,
    table: &str,
    lock_id: &str,
    witness: &Witness,
) -> Result<bool, AwsError> {
    let delete = access
        .dynamodb
        .delete_item()
        .table_name(table)
        .key("LockID", AttributeValue::S(lock_id.to_owned()))
        .expression_attribute_names("#info", "Info");
    let delete = match witness {
        Witness::Info(Some(seen)) => delete
            .condition_expression("#info = :seen")
            .expression_attribute_values(":seen", AttributeValue::S(seen.clone())),
        _ => delete
            .expression_attribute_names("#id", "LockID")
            .condition_expression("attribute_exists(#id) AND attribute_not_exists(#info)"),
    };
    match delete.send().await {
        Ok(_) => Ok(true),
        Err(SdkError::ServiceError(error))
            if error.err().is_conditional_check_failed_exception() =>
        {
            Ok(false)
        }
        Err(error) => Err(access.failure(format!("release the lock in table `{table}`"), &error)),
    }
}

/// `false` when the object is not as it was seen.
async fn delete_file(
    access: &Access,
    bucket: &str,
    key: &str,
    witness: &Witness,
) -> Result<bool, AwsError> {
    let doing = || format!("release the lock file s3://{bucket}/{key}");
    let Witness::ETag(etag) = witness else {
        return Ok(false);
    };
    if etag.is_empty() {
        // Without the mark the delete could not be conditional.
        return Err(AwsError::new(
            Cause::Other,
            doing(),
            "S3 gave no ETag for it",
        ));
    }
    match access
        .s3
        .delete_object()
        .bucket(bucket)
        .key(key)
        .if_match(etag)
        .send()
        .await
    {
        Ok(_) => Ok(true),
        Err(SdkError::ServiceError(error))
            if matches!(error.raw().status().as_u16(), 404 | 409 | 412)
                && error.err().code() != Some("NoSuchBucket") =>
        {
            Ok(false)
        }
        Err(error) => Err(access.failure(doing(), &error)),
    }
}
