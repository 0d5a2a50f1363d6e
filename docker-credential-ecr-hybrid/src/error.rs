//! Why there is no token.

use crate::aws_error::{AwsError, Cause};
use crate::identity::IdentityError;
use crate::settings::SettingsError;

/// Why there is no token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TokenError {
    /// The identity cannot be told.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// AWS, or the way to it, said no.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl TokenError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Identity(error) => error.hint(),
            Self::Settings(_) => None,
            Self::Aws(error) => error.hint(),
        }
    }

    /// What kind of failure it was.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Identity(_) => Cause::NoCredentials,
            Self::Settings(_) => Cause::Other,
            Self::Aws(error) => error.cause(),
        }
    }

    /// Whether the failure is about who is asking: exit code 5 of the plugin.
    pub fn is_authentication(&self) -> bool {
        self.cause().is_authentication()
    }
}
