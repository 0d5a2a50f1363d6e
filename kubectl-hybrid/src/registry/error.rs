//! What goes wrong between us and the ECR API.

use aws_sdk_ecr::config::http::HttpResponse;
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use ecr_hybrid::aws_error::AwsError;

use super::reference::Tag;

/// Why a question to, or a change in, the registry failed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The repository does not exist.
    #[error("the repository `{repository}` does not exist in {registry}")]
    NoRepository {
        /// The repository.
        repository: String,
        /// The registry.
        registry: String,
    },
    /// The tag is taken and may not be moved.
    #[error("the tag `{tag}` of `{repository}` cannot be moved: the repository is immutable")]
    ImmutableTag {
        /// The tag.
        tag: Tag,
        /// The repository.
        repository: String,
    },
    /// The image to give a tag to is not in the registry.
    #[error("{registry} has no image {image} in `{repository}`")]
    NoImage {
        /// The tag or digest.
        image: String,
        /// The repository.
        repository: String,
        /// The registry.
        registry: String,
    },
    /// AWS refused or did not answer, for a reason that is the same for every service.
    #[error(transparent)]
    Aws(#[from] Box<AwsError>),
}

impl RegistryError {
    /// What to do next, for people.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoRepository { registry, .. } => Some(format!(
                "apply the Terraform configuration, or check that {registry} is the right account and region"
            )),
            Self::ImmutableTag { .. } => Some(
                "roll out by digest, and leave the moving tag out for this repository".to_owned(),
            ),
            Self::NoImage { .. } => None,
            Self::Aws(error) => error.hint(),
        }
    }

    /// Sorts an SDK error. `doing` completes "Cannot …".
    pub(super) fn sort<E>(
        doing: &str,
        registry: &str,
        repository: &str,
        error: &SdkError<E, HttpResponse>,
    ) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let code = error
            .as_service_error()
            .and_then(ProvideErrorMetadata::code);
        if code == Some("RepositoryNotFoundException") {
            return Self::NoRepository {
                repository: repository.to_owned(),
                registry: registry.to_owned(),
            };
        }
        let doing = format!("{doing} `{repository}` in {registry}");
        Self::Aws(Box::new(AwsError::from_sdk(doing, error)))
    }
}
