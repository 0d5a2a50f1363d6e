//! How this project talks to AWS: one HTTP client, bounded in time, for every service.

use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};

use crate::aws_files::AwsFiles;
use crate::credentials::{self, Whose};
use crate::environment::Environment;
use crate::http_client::http_client;
use crate::identity::{Base, Identity, Source, chosen_profile};

/// The session name of roles assumed by this project, as `CloudTrail` shows it.
const SESSION_NAME: &str = "ecr-hybrid";

/// How long a conversation with AWS may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Until the connection stands.
    pub connect: Duration,
    /// One attempt.
    pub attempt: Duration,
    /// All attempts of one operation together.
    pub operation: Duration,
    /// The number of attempts, the first included.
    pub attempts: u32,
}

impl Limits {
    /// For a command that a person waits for.
    pub const INTERACTIVE: Self = Self {
        connect: Duration::from_secs(3),
        attempt: Duration::from_secs(15),
        operation: Duration::from_secs(30),
        attempts: 2,
    };

    /// For a token, which Docker waits for in silence.
    pub const MINT: Self = Self {
        connect: Duration::from_secs(3),
        attempt: Duration::from_secs(5),
        operation: Duration::from_secs(10),
        attempts: 2,
    };

    /// The metadata service of a machine answers at once or is not there.
    const INSTANCE: Duration = Duration::from_secs(1);

    fn timeouts(self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect)
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.operation)
            .build()
    }

    fn retries(self) -> RetryConfig {
        RetryConfig::standard()
            .with_max_attempts(self.attempts)
            .with_initial_backoff(Duration::from_millis(300))
    }
}

/// The configuration of any AWS client: credentials, region, endpoints, proxy, and time limits.
///
/// `profile` overrides what the environment chooses, and `region` overrides both the environment
/// and the profile. Credentials are resolved when a client first needs them. All configurations
/// share one HTTP client and its connections.
pub async fn sdk_config(profile: Option<&str>, region: Option<&str>) -> SdkConfig {
    of_process(profile, region).await.1
}

/// The same, with credentials that are had first, and once for the whole process: a client would
/// look for them within the time limit of one attempt, and begin again with the next.
///
/// They may take as long as `HYBRID_TIMEOUT` says. When there are none, each call tells why.
pub async fn sdk_config_with_credentials(profile: Option<&str>, region: Option<&str>) -> SdkConfig {
    let (whose, config) = of_process(profile, region).await;
    let Some(provider) = config.credentials_provider() else {
        return config;
    };
    let limit = Environment::of_process().time_limit();
    let first = credentials::first(whose, provider, limit).await;
    with_credentials(config, first)
}

/// Has credentials that this process had before looked for anew: another one was told that they have
/// ended. Clients that have theirs already keep them.
pub fn forget_credentials() {
    credentials::forget();
}

async fn of_process(profile: Option<&str>, region: Option<&str>) -> (Whose, SdkConfig) {
    let environment = Environment::of_process();
    let files = AwsFiles::read(&environment);
    let identity = match profile {
        Some(name) => Identity::of_profile(&environment, &files, name),
        None => Identity::resolve_with(&environment, &files),
    };
    let region = region
        .map(str::to_owned)
        .or_else(|| configured_region(&environment, &files, profile));
    let whose = match identity {
        Ok(identity) => Whose::Identity(identity),
        Err(_) => Whose::Unknown(profile.map(str::to_owned)),
    };
    let config = load(&whose, region, Limits::INTERACTIVE).await;
    (whose, config)
}

/// The region that is configured for a profile: the environment's, else the profile's own.
pub fn configured_region(
    environment: &Environment,
    files: &AwsFiles,
    profile: Option<&str>,
) -> Option<String> {
    let chosen = chosen_profile(environment);
    let profile = profile.or(chosen.as_deref()).unwrap_or("default");
    environment
        .var("AWS_REGION")
        .or_else(|| environment.var("AWS_DEFAULT_REGION"))
        .or_else(|| files.profile(profile)?.get("region").cloned())
}

/// The configuration of a client that acts as a known identity, whose credentials are had first and
/// once.
///
/// They may take as long as they need: a process may wait for a person. A client would look for them
/// within the time limit of one attempt, and begin again with the next. The caller sets the bound.
pub(crate) async fn sdk_config_of(
    identity: &Identity,
    region: &str,
    limits: Limits,
) -> Result<SdkConfig, CredentialsError> {
    let region = Some(Region::new(region.to_owned()));
    let providers = providers(region.clone(), limits);
    // Whatever role is taken with them, they are the same.
    let whose = Whose::Identity(Identity {
        role_arn: None,
        ..identity.clone()
    });
    let provider = of_identity(identity, &providers);
    let first = credentials::first(whose, provider, Duration::MAX).await;
    first.provide_credentials().await?;
    let config = client_config(first.clone(), identity.profile(), region, limits).await;
    let Some(role_arn) = &identity.role_arn else {
        return Ok(config);
    };
    let assumed = assuming(role_arn, &config, first)
        .await
        .provide_credentials()
        .await?;
    Ok(with_credentials(config, assumed))
}

async fn load(whose: &Whose, region: Option<String>, limits: Limits) -> SdkConfig {
    let region = region.map(Region::new);
    let providers = providers(region.clone(), limits);
    let (credentials, profile) = match whose {
        Whose::Identity(identity) => (of_identity(identity, &providers), identity.profile()),
        // Not to be told from the files: the SDK tries its whole chain and says what it found.
        Whose::Unknown(profile) => {
            let mut chain = DefaultCredentialsChain::builder()
                .configure(providers.clone())
                .region(region.clone())
                .imds_client(instance_metadata(&providers));
            if let Some(profile) = profile {
                chain = chain.profile_name(profile);
            }
            (
                SharedCredentialsProvider::new(chain.build().await),
                profile.as_deref(),
            )
        }
    };
    let config = client_config(credentials.clone(), profile, region, limits).await;
    let Whose::Identity(Identity {
        role_arn: Some(role_arn),
        ..
    }) = whose
    else {
        return config;
    };
    let assumed = assuming(role_arn, &config, credentials).await;
    with_credentials(config, assumed)
}

fn providers(region: Option<Region>, limits: Limits) -> ProviderConfig {
    ProviderConfig::without_region()
        .with_region(region)
        .with_behavior_version(Some(BehaviorVersion::latest()))
        .with_http_client(http_client())
        .with_timeout_config(limits.timeouts())
        .with_retry_config(limits.retries())
}

async fn client_config(
    credentials: SharedCredentialsProvider,
    profile: Option<&str>,
    region: Option<Region>,
    limits: Limits,
) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(region)
        .http_client(http_client())
        .timeout_config(limits.timeouts())
        .retry_config(limits.retries())
        .credentials_provider(credentials);
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    loader.load().await
}

async fn assuming(
    role_arn: &str,
    config: &SdkConfig,
    first: SharedCredentialsProvider,
) -> AssumeRoleProvider {
    AssumeRoleProvider::builder(role_arn)
        .session_name(SESSION_NAME)
        .configure(config)
        .build_from_provider(first)
        .await
}

fn with_credentials(
    config: SdkConfig,
    credentials: impl ProvideCredentials + 'static,
) -> SdkConfig {
    config
        .into_builder()
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

/// The one provider that an identity was computed for, so that the identity a token is kept under
/// and the identity that minted it cannot differ.
fn of_identity(identity: &Identity, providers: &ProviderConfig) -> SharedCredentialsProvider {
    if let Source::Profile { name, .. } = &identity.source {
        let provider = ProfileFileCredentialsProvider::builder()
            .configure(providers)
            .profile_name(name)
            .build();
        return SharedCredentialsProvider::new(provider);
    }
    match identity.base() {
        Base::WebIdentity { .. } => SharedCredentialsProvider::new(
            WebIdentityTokenCredentialsProvider::builder()
                .configure(providers)
                .build(),
        ),
        Base::Container { .. } => SharedCredentialsProvider::new(
            EcsCredentialsProvider::builder()
                .configure(providers)
                .build(),
        ),
        Base::Instance { .. } => SharedCredentialsProvider::new(
            ImdsCredentialsProvider::builder()
                .configure(providers)
                .imds_client(instance_metadata(providers))
                .build(),
        ),
        _ => SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()),
    }
}

fn instance_metadata(providers: &ProviderConfig) -> imds::Client {
    imds::Client::builder()
        .configure(providers)
        .connect_timeout(Limits::INSTANCE)
        .read_timeout(Limits::INSTANCE)
        .operation_attempt_timeout(Limits::INSTANCE)
        .operation_timeout(Limits::INSTANCE * 2)
        .max_attempts(1)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_comes_from_the_environment_and_then_from_the_profile() {
        let files = AwsFiles::parse(
            "[default]\nregion = eu-west-1\n[profile dev]\nregion = us-east-2\n",
            "",
        );
        let region = |variables: &[(&str, &str)], profile| {
            let environment = Environment::given(variables.iter().copied());
            configured_region(&environment, &files, profile)
        };
        assert_eq!(region(&[], None).as_deref(), Some("eu-west-1"));
        assert_eq!(region(&[], Some("dev")).as_deref(), Some("us-east-2"));
        assert_eq!(
            region(&[("AWS_PROFILE", "dev")], None).as_deref(),
            Some("us-east-2")
        );
        assert_eq!(
            region(&[("AWS_DEFAULT_REGION", "x-y-1")], Some("dev")).as_deref(),
            Some("x-y-1")
        );
    }

    #[test]
    fn a_configuration_has_bounded_calls_and_a_region() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let config = runtime.block_on(sdk_config(None, Some("eu-west-1")));
        assert_eq!(config.region().map(Region::as_ref), Some("eu-west-1"));
        let timeouts = config.timeout_config().unwrap();
        assert!(timeouts.connect_timeout().is_some() && timeouts.operation_timeout().is_some());
        assert_eq!(config.retry_config().unwrap().max_attempts(), 2);
    }
}
