//! What goes wrong between us and the ECR API.

use aws_sdk_ecr::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

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
    /// The principal may not do this.
    #[error("AWS refuses {action} in {registry}: {message}")]
    Denied {
        /// The API's action.
        action: &'static str,
        /// The registry.
        registry: String,
        /// The service's own words.
        message: String,
    },
    /// There are no credentials, or they are not valid any more.
    #[error("cannot ask {registry}: {message}")]
    NotAuthenticated {
        /// The API's action.
        action: &'static str,
        /// The registry.
        registry: String,
        /// The service's or the SDK's own words.
        message: String,
    },
    /// Too many requests, after the SDK's own retries.
    #[error("AWS asks to slow down: {action} in {registry}: {message}")]
    Throttled {
        /// The API's action.
        action: &'static str,
        /// The registry.
        registry: String,
        /// The service's own words.
        message: String,
    },
    /// The service failed or could not be reached.
    #[error("cannot reach the ECR API for {registry} ({action}): {message}")]
    Unavailable {
        /// The API's action.
        action: &'static str,
        /// The registry.
        registry: String,
        /// What happened.
        message: String,
    },
    /// Something else.
    #[error("{action} in {registry} failed: {message}")]
    Other {
        /// The API's action.
        action: &'static str,
        /// The registry.
        registry: String,
        /// What happened.
        message: String,
    },
}

impl RegistryError {
    /// What to do next, for people.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoRepository { registry, .. } => format!(
                "apply the Terraform configuration, or check that {registry} is the right account and region"
            ),
            Self::ImmutableTag { .. } => {
                "roll out by digest, and leave the moving tag out for this repository".to_owned()
            }
            Self::Denied { action, .. } => format!(
                "the AWS identity in use needs `ecr:{action}`; `aws sts get-caller-identity` shows who it is"
            ),
            Self::Throttled { .. } | Self::Unavailable { .. } => "try again in a moment".to_owned(),
            Self::NoImage { .. } | Self::NotAuthenticated { .. } | Self::Other { .. } => {
                return None;
            }
        })
    }

    /// Whether AWS did not accept the credentials.
    pub fn is_authentication(&self) -> bool {
        matches!(self, Self::NotAuthenticated { .. })
    }

    /// Sorts an SDK error that the caller did not expect.
    pub(super) fn sort<E, R>(
        action: &'static str,
        registry: &str,
        repository: &str,
        error: &SdkError<E, R>,
    ) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        R: std::fmt::Debug,
    {
        let registry = registry.to_owned();
        let Some(service) = error.as_service_error() else {
            let message = DisplayErrorContext(error).to_string();
            let message = message.split(" (").next().unwrap_or(&message).to_owned();
            return match error {
                // The SDK looks for credentials while it makes the request.
                SdkError::ConstructionFailure(_) => Self::NotAuthenticated {
                    action,
                    registry,
                    message,
                },
                _ => Self::Unavailable {
                    action,
                    registry,
                    message,
                },
            };
        };
        let code = service.code().unwrap_or_default();
        let message = match service.message() {
            Some(message) => message.to_owned(),
            None => service.to_string(),
        };
        match code {
            "RepositoryNotFoundException" => Self::NoRepository {
                repository: repository.to_owned(),
                registry,
            },
            "AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation" => Self::Denied {
                action,
                registry,
                message,
            },
            "ExpiredTokenException"
            | "ExpiredToken"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "MissingAuthenticationTokenException"
            | "RequestExpired" => Self::NotAuthenticated {
                action,
                registry,
                message,
            },
            "ThrottlingException"
            | "Throttling"
            | "TooManyRequestsException"
            | "RequestLimitExceeded" => Self::Throttled {
                action,
                registry,
                message,
            },
            "ServerException"
            | "InternalFailure"
            | "InternalServerError"
            | "ServiceUnavailable" => Self::Unavailable {
                action,
                registry,
                message,
            },
            _ => Self::Other {
                action,
                registry,
                message,
            },
        }
    }
}
