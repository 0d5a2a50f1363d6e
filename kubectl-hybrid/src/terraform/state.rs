//! The state object, read straight from S3, with the guards that make this safe.

mod error;
mod format;

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use ecr_hybrid::aws_error::AwsError;
use jiff::Timestamp;
use md5::{Digest, Md5};
use serde_json::Value;

use super::access::Access;
use super::backend::S3Backend;
use super::cache::{Cache, Entry, hex};
use super::keys::{StateAddress, Workspace};
use super::workspaces;

pub use error::StateError;
use format::parse;

/// State and digest are written one after the other: this often they are compared again.
const DIGEST_TRIES: usize = 4;
/// How long Terraform may need between the two writes.
const DIGEST_PAUSE: Duration = Duration::from_millis(250);

/// What the digest in the lock table says about the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DigestCheck {
    /// No lock table is configured.
    NoTable,
    /// The table holds no digest for this state. Terraform then compares nothing.
    NoRow,
    /// The digest is that of the state.
    Matches,
    /// The table could not be asked, in one sentence.
    Unknown(String),
}

/// Which state was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFacts {
    /// Where it is.
    pub address: StateAddress,
    /// S3's mark for this version of the object, quotes included.
    pub etag: Option<String>,
    /// Counted up by each write.
    pub serial: u64,
    /// The identity of the state across writes.
    pub lineage: String,
    /// The version that wrote it.
    pub terraform_version: String,
    /// When it was written.
    pub last_modified: Option<Timestamp>,
    /// What the lock table's digest says.
    pub digest: DigestCheck,
    /// Whether the object was unchanged since the last run, and the contract came from the cache.
    pub from_cache: bool,
}

/// A state, as far as this tool reads it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StateRead {
    pub(super) facts: StateFacts,
    /// The value of the output `hybrid`; `None` when there is no such output.
    pub(super) output: Option<Value>,
    /// How many other outputs there are; zero when it came from the cache.
    pub(super) other_outputs: usize,
    /// How many resources there are; zero when it came from the cache.
    pub(super) resources: usize,
}

/// Reads the state of `workspace`. The digest is asked for at the same time.
pub(super) async fn read(
    access: &Access,
    backend: &S3Backend,
    workspace: &Workspace,
    cache: &Cache,
) -> Result<StateRead, StateError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match read_once(access, backend, workspace, cache).await {
            // A writer may be between its two writes, or came between our two reads.
            Err(StateError::WrongDigest { .. }) if tries < DIGEST_TRIES => {
                cache.forget();
                tokio::time::sleep(DIGEST_PAUSE).await;
            }
            result => return result,
        }
    }
}

async fn read_once(
    access: &Access,
    backend: &S3Backend,
    workspace: &Workspace,
    cache: &Cache,
) -> Result<StateRead, StateError> {
    let address = backend.address(workspace);
    let kept = cache.get();
    let (object, digest) = tokio::join!(
        get_object(
            access,
            backend,
            workspace,
            kept.as_ref().map(|entry| entry.etag.clone())
        ),
        get_digest(access, backend, &address),
    );
    let (mut read, md5) = match object {
        Ok(Object::Fresh(body, etag, last_modified)) => {
            let parsed = parse(&address, &body)?;
            let md5 = hex(&Md5::digest(&body));
            let facts = StateFacts {
                address: address.clone(),
                etag,
                serial: parsed.serial,
                lineage: parsed.lineage,
                terraform_version: parsed.terraform_version,
                last_modified,
                digest: DigestCheck::NoTable,
                from_cache: false,
            };
            let read = StateRead {
                facts,
                output: parsed.outputs.hybrid,
                other_outputs: parsed.outputs.others,
                resources: parsed.resources.len(),
            };
            (read, md5)
        }
        Ok(Object::NotModified) => match kept {
            Some(entry) => (from_entry(&address, &entry), entry.md5),
            None => {
                return Err(StateError::NotAState {
                    address,
                    message: "S3 answered \"not modified\" to a plain read".to_owned(),
                });
            }
        },
        Err(StateError::NoWorkspace {
            workspace, address, ..
        }) => {
            cache.forget();
            let existing = workspaces::list(access, backend).await.unwrap_or_default();
            return Err(StateError::NoWorkspace {
                workspace,
                address,
                existing,
            });
        }
        Err(error) => return Err(error),
    };
    read.facts.digest = match digest {
        Ok(Some(expected)) if expected == md5 => DigestCheck::Matches,
        Ok(Some(expected)) => {
            return Err(StateError::WrongDigest {
                address,
                expected,
                actual: md5,
            });
        }
        Ok(None) if backend.lock_table.is_none() => DigestCheck::NoTable,
        Ok(None) => DigestCheck::NoRow,
        // Who may read the contract need not be allowed to read the lock table.
        Err(error) => DigestCheck::Unknown(error.to_string()),
    };
    keep(cache, &read, md5);
    Ok(read)
}

fn keep(cache: &Cache, read: &StateRead, md5: String) {
    let facts = &read.facts;
    if facts.from_cache {
        return;
    }
    let (Some(etag), Some(output)) = (&facts.etag, &read.output) else {
        cache.forget();
        return;
    };
    cache.put(&Entry {
        etag: etag.clone(),
        md5,
        serial: facts.serial,
        lineage: facts.lineage.clone(),
        terraform_version: facts.terraform_version.clone(),
        last_modified: facts.last_modified.map(Timestamp::as_second),
        output: output.clone(),
    });
}

fn from_entry(address: &StateAddress, entry: &Entry) -> StateRead {
    let last_modified = entry.last_modified.map(Timestamp::from_second);
    let facts = StateFacts {
        address: address.clone(),
        etag: Some(entry.etag.clone()),
        serial: entry.serial,
        lineage: entry.lineage.clone(),
        terraform_version: entry.terraform_version.clone(),
        last_modified: last_modified.and_then(Result::ok),
        digest: DigestCheck::NoTable,
        from_cache: true,
    };
    StateRead {
        facts,
        output: Some(entry.output.clone()),
        other_outputs: 0,
        resources: 0,
    }
}

enum Object {
    Fresh(Vec<u8>, Option<String>, Option<Timestamp>),
    NotModified,
}

async fn get_object(
    access: &Access,
    backend: &S3Backend,
    workspace: &Workspace,
    etag: Option<String>,
) -> Result<Object, StateError> {
    let address = &backend.address(workspace);
    let doing = || format!("read the state {address}");
    let result = access
        .s3
        .get_object()
        .bucket(&address.bucket)
        .key(&address.key)
        .set_if_none_match(etag)
        .send()
        .await;
    let GetObjectOutput {
        body,
        e_tag,
        last_modified,
        ..
    } = match result {
        Ok(output) => output,
        Err(SdkError::ServiceError(error)) if error.raw().status().as_u16() == 304 => {
            return Ok(Object::NotModified);
        }
        Err(error) => {
            return Err(explain(
                backend,
                workspace,
                access.failure(doing(), &error),
                &error,
            ));
        }
    };
    let body = body.collect().await.map_err(|error| {
        let cause = ecr_hybrid::aws_error::Cause::Network;
        StateError::Aws(Box::new(AwsError::new(cause, doing(), error.to_string())))
    })?;
    let last_modified = last_modified.and_then(|time| Timestamp::from_second(time.secs()).ok());
    Ok(Object::Fresh(body.to_vec(), e_tag, last_modified))
}

fn explain<E: ProvideErrorMetadata>(
    backend: &S3Backend,
    workspace: &Workspace,
    explained: AwsError,
    error: &SdkError<E>,
) -> StateError {
    let SdkError::ServiceError(service) = error else {
        return StateError::Aws(Box::new(explained));
    };
    let address = backend.address(workspace);
    let code = service.err().code().unwrap_or_default();
    let header = |name: &str| service.raw().headers().get(name).map(str::to_owned);
    match (code, service.raw().status().as_u16()) {
        ("NoSuchBucket", _) => StateError::NoBucket {
            bucket: address.bucket,
        },
        ("NoSuchKey", _) | ("", 404) => StateError::NoWorkspace {
            workspace: workspace.clone(),
            address,
            existing: Vec::new(),
        },
        ("PermanentRedirect" | "AuthorizationHeaderMalformed", _) | (_, 301 | 307) => {
            StateError::WrongRegion {
                bucket: address.bucket,
                asked: backend.region.clone(),
                actual: header("x-amz-bucket-region"),
            }
        }
        ("AccessDenied", _) | ("", 403) => StateError::Denied {
            address,
            source: Box::new(explained),
        },
        _ => StateError::Aws(Box::new(explained)),
    }
}

/// The digest that the lock table holds for a state, when there is a table and a row.
async fn get_digest(
    access: &Access,
    backend: &S3Backend,
    address: &StateAddress,
) -> Result<Option<String>, AwsError> {
    let Some(table) = &backend.lock_table else {
        return Ok(None);
    };
    let row = access
        .dynamodb
        .get_item()
        .table_name(table)
        .key("LockID", AttributeValue::S(address.digest_id()))
        .consistent_read(true)
        .send()
        .await
        .map_err(|error| {
            access.failure(
                format!("read the state's digest in table `{table}`"),
                &error,
            )
        })?;
    let digest = row.item.and_then(|mut item| item.remove("Digest"));
    Ok(digest.and_then(|value| value.as_s().ok().filter(|text| !text.is_empty()).cloned()))
}
