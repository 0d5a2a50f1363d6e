//! The clients that act as the backend would: its profile, region, role and endpoints.

use aws_config::SdkConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_sdk_dynamodb::config::Builder as DynamoDbConfig;
use aws_sdk_dynamodb::config::SharedCredentialsProvider;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::{Builder as S3Config, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use ecr_hybrid::aws_error::AwsError;
use ecr_hybrid::aws_files::AwsFiles;
use ecr_hybrid::environment::Environment;
use ecr_hybrid::identity::Identity;
use futures::future::BoxFuture;

use super::backend::S3Backend;

/// Makes an AWS configuration for a profile and a region; `None` stands for the environment's.
pub type LoadAws =
    dyn Fn(Option<String>, Option<String>) -> BoxFuture<'static, SdkConfig> + Send + Sync;

/// The AWS configuration as the helper makes it, with its time limits, and with credentials that are
/// had once for all clients of a command, outside of the limits of a call.
#[must_use]
pub fn load_aws(profile: Option<String>, region: Option<String>) -> BoxFuture<'static, SdkConfig> {
    Box::pin(async move {
        let (profile, region) = (profile.as_deref(), region.as_deref());
        ecr_hybrid::aws::sdk_config_with_credentials(profile, region).await
    })
}

/// Clients for the state and its locks.
#[derive(Debug, Clone)]
pub struct Access {
    /// For the state and the lock file.
    pub s3: aws_sdk_s3::Client,
    /// For the lock's row and the digest.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// The endpoint for S3 when it is not AWS's own.
    pub(super) endpoint: Option<String>,
    /// The profile that the backend names; else the environment's counts.
    profile: Option<String>,
}

impl Access {
    /// Makes the clients for a backend.
    pub async fn open(backend: &S3Backend, load: &LoadAws) -> Self {
        let mut sdk = load(backend.profile.clone(), backend.region.clone()).await;
        if let Some(role) = &backend.role {
            let mut sts = sdk.to_builder();
            if let Some(endpoint) = &backend.sts_endpoint {
                sts.set_endpoint_url(Some(endpoint.clone()));
            }
            let mut provider = AssumeRoleProvider::builder(&role.arn).configure(&sts.build());
            if let Some(name) = &role.session_name {
                provider = provider.session_name(name);
            }
            if let Some(id) = &role.external_id {
                provider = provider.external_id(id);
            }
            let provider = SharedCredentialsProvider::new(provider.build().await);
            sdk = sdk.into_builder().credentials_provider(provider).build();
        }
        let region = backend.region.clone().map(Region::new);
        let mut s3 = S3Config::from(&sdk);
        let mut dynamodb = DynamoDbConfig::from(&sdk);
        if region.is_some() {
            s3.set_region(region.clone());
            dynamodb.set_region(region);
        }
        let endpoint = backend
            .s3_endpoint
            .clone()
            .or_else(|| sdk.endpoint_url().map(str::to_owned));
        if backend.path_style || endpoint.as_deref().is_some_and(needs_path_style) {
            s3.set_force_path_style(Some(true));
        }
        if let Some(endpoint) = &backend.s3_endpoint {
            s3.set_endpoint_url(Some(endpoint.clone()));
        }
        if let Some(endpoint) = &backend.dynamodb_endpoint {
            dynamodb.set_endpoint_url(Some(endpoint.clone()));
        }
        Self {
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
            endpoint,
            profile: backend.profile.clone(),
        }
    }

    /// A failed call, in the light of the identity that made it: only that tells which login has
    /// expired. `doing` completes "Cannot …".
    pub(super) fn failure<E>(
        &self,
        doing: impl Into<String>,
        error: &SdkError<E, HttpResponse>,
    ) -> AwsError
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        let error = AwsError::from_sdk(doing, error);
        let environment = Environment::of_process();
        let files = AwsFiles::read(&environment);
        let identity = match &self.profile {
            Some(profile) => Identity::of_profile(&environment, &files, profile),
            None => Identity::resolve_with(&environment, &files),
        };
        match identity {
            Ok(identity) => error.with_identity(&identity),
            Err(_) => error,
        }
    }
}

/// No bucket can be put in front of an address or of `localhost`.
fn needs_path_style(endpoint: &str) -> bool {
    let Ok(uri) = endpoint.parse::<http::Uri>() else {
        return false;
    };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_need_the_bucket_in_the_path() {
        for (endpoint, expected) in [
            ("http://127.0.0.1:4566", true),
            ("http://[::1]:4566/", true),
            ("http://localhost:9000", true),
            ("https://s3.eu-central-1.amazonaws.com", false),
            ("https://minio.example.com", false),
            ("not a url", false),
        ] {
            assert_eq!(needs_path_style(endpoint), expected, "{endpoint}");
        }
    }
}
