//! Why a state could not be read, and what to do about it.

use ecr_hybrid::aws_error::AwsError;

use super::format::STATE_FORMAT;
use crate::terraform::keys::{StateAddress, Workspace};

/// Why the state could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The bucket is gone or was never made.
    #[error("the state bucket `{bucket}` does not exist")]
    NoBucket {
        /// Its name.
        bucket: String,
    },
    /// There is no state object.
    #[error("the Terraform workspace `{workspace}` does not exist: there is no {address}")]
    NoWorkspace {
        /// The workspace.
        workspace: Workspace,
        /// Where its state would be.
        address: StateAddress,
        /// The workspaces that do exist, when they could be listed.
        existing: Vec<Workspace>,
    },
    /// S3 forbids it; without `s3:ListBucket` it says the same of an object that is not there.
    #[error("access to the state {address} is denied")]
    Denied {
        /// Where it is.
        address: StateAddress,
        /// S3's own words.
        source: Box<AwsError>,
    },
    /// The bucket is elsewhere.
    #[error("the state bucket `{bucket}` is not in {}", asked.as_deref().unwrap_or("this region"))]
    WrongRegion {
        /// Its name.
        bucket: String,
        /// The region that was asked.
        asked: Option<String>,
        /// The region that S3 named.
        actual: Option<String>,
    },
    /// Any other answer, or none.
    #[error(transparent)]
    Aws(Box<AwsError>),
    /// The digest is that of other bytes.
    #[error(
        "the state {address} is not the one that Terraform wrote last: its MD5 is {actual}, the \
         lock table says {expected}"
    )]
    WrongDigest {
        /// Where it is.
        address: StateAddress,
        /// The table's digest.
        expected: String,
        /// The state's.
        actual: String,
    },
    /// The object is empty.
    #[error("the state {0} is empty")]
    Empty(StateAddress),
    /// The object is no Terraform state.
    #[error("{address} is no Terraform state: {message}")]
    NotAState {
        /// Where it is.
        address: StateAddress,
        /// Where parsing stopped.
        message: String,
    },
    /// A format that only Terraform itself reads.
    #[error("the state {address} has format {found}, only format {STATE_FORMAT} is read")]
    Format {
        /// Where it is.
        address: StateAddress,
        /// Its format.
        found: u64,
    },
    /// `OpenTofu`'s state encryption.
    #[error("the state {0} is encrypted by OpenTofu")]
    Encrypted(StateAddress),
}

impl StateError {
    /// Whether Terraform itself may be able to read what this tool cannot.
    #[must_use]
    pub const fn needs_terraform(&self) -> bool {
        matches!(self, Self::Format { .. } | Self::Encrypted(_))
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoBucket { .. } => {
                "Check the bucket's name and the AWS account, or run terraform/bootstrap."
                    .to_owned()
            }
            Self::NoWorkspace { existing, .. } if existing.is_empty() => {
                "Run `terraform apply` in it first.".to_owned()
            }
            Self::NoWorkspace { existing, .. } => {
                let names: Vec<_> = existing.iter().map(Workspace::as_str).collect();
                format!("These exist: {}.", names.join(", "))
            }
            Self::Denied { .. } => "Reading needs s3:GetObject on the state, s3:ListBucket on the \
                bucket, and kms:Decrypt when the bucket uses a key of its own. A workspace that \
                does not exist looks the same without s3:ListBucket."
                .to_owned(),
            Self::WrongRegion {
                actual: Some(actual),
                ..
            } => {
                format!("Set the backend's region to {actual}.")
            }
            Self::WrongRegion { actual: None, .. } => "Correct the backend's region.".to_owned(),
            Self::Aws(error) => return error.hint(),
            Self::WrongDigest { .. } => "If no Terraform run is under way, the state was changed \
                by hand, restored, or written without the lock table. If it is the right one: \
                kubectl hybrid unlock --repair-digest"
                .to_owned(),
            Self::Empty(_) | Self::NotAState { .. } => {
                "Restore an earlier version of the object, or check the backend's key.".to_owned()
            }
            Self::Format { .. } | Self::Encrypted(_) => {
                "Let Terraform read it: `source = \"cli\"` in the table [terraform].".to_owned()
            }
        })
    }
}
