//! Reads both places at the same time, with the state's existence and the digest beside them.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use ecr_hybrid::aws_error::{AwsError, Cause};
use md5::{Digest as _, Md5};

use super::held::{Held, Locks, Place, Witness};
use crate::project::config::BackendConfig;
use crate::terraform::access::{Access, LoadAws};
use crate::terraform::backend::{self, Backend, BackendError, S3Backend};
use crate::terraform::cache::hex;
use crate::terraform::keys::{StateAddress, Workspace};
use crate::terraform::root::Root;

/// Why the locks could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LocksError {
    /// The backend is not known.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The place is configured, and AWS did not answer.
    #[error(transparent)]
    Aws(Box<AwsError>),
    /// The backend is one that this tool does not read.
    #[error("the locks cannot be read: the backend uses `{0}`")]
    OnlyTerraform(String),
}

impl LocksError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Backend(error) => Some(error.hint()),
            Self::Aws(error) => error.hint(),
            Self::OnlyTerraform(_) => Some(
                "Use `terraform plan` to see the lock and `terraform force-unlock`.".to_owned(),
            ),
        }
    }
}

/// Finds the backend and makes its clients, without a call for the locks.
pub async fn open(
    root: Option<&Root>,
    settings: Option<&BackendConfig>,
    load: &LoadAws,
) -> Result<(Access, S3Backend), LocksError> {
    let backend = match backend::locate(root, settings)? {
        Backend::S3(backend) => *backend,
        Backend::Other { kind } => return Err(LocksError::OnlyTerraform(kind)),
    };
    // A customer's key is needed for the state only: locks are written without it.
    match backend.only_terraform {
        Some(setting) if setting != "sse_customer_key" => {
            Err(LocksError::OnlyTerraform(setting.to_owned()))
        }
        _ => Ok((Access::open(&backend, load).await, backend)),
    }
}

/// Reads the locks of `workspace`.
///
/// The lock file is looked for even when the backend does not use it: someone else's may. What
/// cannot be read there then is no error.
pub async fn read(
    access: &Access,
    backend: &S3Backend,
    workspace: &Workspace,
) -> Result<Locks, LocksError> {
    let address = backend.address(workspace);
    let (places, digest, state) = tokio::join!(
        Box::pin(places(access, backend, &address)),
        Box::pin(row(access, backend, address.digest_id())),
        Box::pin(state(access, backend, &address)),
    );
    let (dynamodb, lock_file) = places?;
    Ok(Locks {
        dynamodb,
        lock_file,
        uses_both: backend.lock_table.is_some() && backend.use_lockfile,
        state_exists: state.exists,
        state_md5: state.md5,
        // Whether there is a digest is a side fact: it must not hide a lock.
        digest: digest
            .ok()
            .flatten()
            .and_then(|row| text_of(&row, "Digest")),
        address,
    })
}

/// Reads who holds the lock of `workspace`, and nothing else: neither the state nor its digest.
///
/// # Errors
/// As [`read`].
pub async fn read_held(
    access: &Access,
    backend: &S3Backend,
    workspace: &Workspace,
) -> Result<Vec<Held>, LocksError> {
    let (row, file) = places(access, backend, &backend.address(workspace)).await?;
    Ok(row.into_iter().chain(file).collect())
}

/// What is in the table, and in the lock file.
async fn places(
    access: &Access,
    backend: &S3Backend,
    address: &StateAddress,
) -> Result<(Option<Held>, Option<Held>), LocksError> {
    let (row, file) = tokio::join!(
        Box::pin(lock_row(access, backend, address)),
        Box::pin(lock_file(access, backend, address)),
    );
    let file = match file {
        Err(_) if !backend.use_lockfile => None,
        file => file.map_err(|error| LocksError::Aws(Box::new(error)))?,
    };
    Ok((row.map_err(|error| LocksError::Aws(Box::new(error)))?, file))
}

type Row = std::collections::HashMap<String, AttributeValue>;

fn text_of(row: &Row, name: &str) -> Option<String> {
    row.get(name)?.as_s().ok().cloned()
}

pub(super) async fn lock_row(
    access: &Access,
    backend: &S3Backend,
    address: &StateAddress,
) -> Result<Option<Held>, AwsError> {
    let Some(table) = &backend.lock_table else {
        return Ok(None);
    };
    let Some(row) = row(access, backend, address.lock_id()).await? else {
        return Ok(None);
    };
    let info = text_of(&row, "Info");
    let place = Place::DynamoDb {
        table: table.clone(),
        lock_id: address.lock_id(),
    };
    let content = info.clone().unwrap_or_default();
    Ok(Some(Held::new(
        place,
        content.as_bytes(),
        true,
        Witness::Info(info),
    )))
}

async fn row(access: &Access, backend: &S3Backend, id: String) -> Result<Option<Row>, AwsError> {
    let Some(table) = &backend.lock_table else {
        return Ok(None);
    };
    let answer = access
        .dynamodb
        .get_item()
        .table_name(table)
        .key("LockID", AttributeValue::S(id))
        .consistent_read(true)
        .send()
        .await
        .map_err(|error| access.failure(format!("read the lock in table `{table}`"), &error))?;
    Ok(answer.item)
}

pub(super) async fn lock_file(
    access: &Access,
    backend: &S3Backend,
    address: &StateAddress,
) -> Result<Option<Held>, AwsError> {
    let (bucket, key) = (address.bucket.clone(), address.lock_file_key());
    let doing = format!("read the lock file s3://{bucket}/{key}");
    let object = match access
        .s3
        .get_object()
        .bucket(&bucket)
        .key(&key)
        .send()
        .await
    {
        Ok(object) => object,
        Err(SdkError::ServiceError(error)) if error.err().code() == Some("NoSuchKey") => {
            return Ok(None);
        }
        Err(error) => return Err(access.failure(doing, &error)),
    };
    let etag = object.e_tag.clone().unwrap_or_default();
    let body = object
        .body
        .collect()
        .await
        .map_err(|error| AwsError::new(Cause::Network, doing, error.to_string()))?;
    let place = Place::LockFile { bucket, key };
    let witness = Witness::ETag(etag);
    Ok(Some(Held::new(
        place,
        &body.to_vec(),
        backend.use_lockfile,
        witness,
    )))
}

/// The state object, as far as it concerns the locks.
#[derive(Default)]
struct StateObject {
    /// `None` when the question was refused.
    exists: Option<bool>,
    /// Of its bytes, where there may be a digest to compare it with.
    md5: Option<String>,
}

async fn state(access: &Access, backend: &S3Backend, address: &StateAddress) -> StateObject {
    let (bucket, key) = (&address.bucket, &address.key);
    let unseen = |error_status: Option<u16>| StateObject {
        exists: (error_status == Some(404)).then_some(false),
        md5: None,
    };
    // A customer's key is not given to this tool; the head of the object needs it as well.
    if backend.lock_table.is_none() {
        let head = access.s3.head_object().bucket(bucket).key(key).send().await;
        return match head {
            Ok(_) => StateObject {
                exists: Some(true),
                md5: None,
            },
            Err(error) => unseen(status(&error)),
        };
    }
    match access.s3.get_object().bucket(bucket).key(key).send().await {
        Ok(object) => StateObject {
            exists: Some(true),
            md5: object
                .body
                .collect()
                .await
                .ok()
                .map(|body| hex(&Md5::digest(body.to_vec()))),
        },
        Err(error) => unseen(status(&error)),
    }
}

fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error
        .raw_response()
        .map(|response| response.status().as_u16())
}
