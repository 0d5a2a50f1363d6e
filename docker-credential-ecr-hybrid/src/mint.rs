//! A new token from AWS.

use std::thread;
use std::time::Duration;

use aws_config::SdkConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use crate::aws::{self, Limits};
use crate::aws_error::{AwsError, Cause};
use crate::ca_bundle::CaBundle;
use crate::environment::Environment;
use crate::host::{Registry, Service};
use crate::identity::{Base, Identity};
use crate::secret::Secret;
use crate::token::{Token, USERNAME, expiry_of_password};

/// How long a token is trusted that does not say when it expires. Far less than AWS's twelve hours,
/// because it is a guess.
const UNDATED_LIFE: SignedDuration = SignedDuration::from_hours(1);

/// How long to look whether names resolve at all, once one did not.
const NAME_CHECK: Duration = Duration::from_secs(2);

/// A name of AWS that exists wherever AWS can be reached.
const WELL_KNOWN: &str = "sts.amazonaws.com:443";

/// What to mint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) registry: &'a Registry,
    /// A configured endpoint: then the host's own FIPS and dual-stack forms do not apply.
    pub(crate) endpoint: Option<&'a str>,
}

impl Order<'_> {
    fn url(self) -> String {
        self.endpoint.map_or_else(
            || format!("https://{}", self.registry.api_host()),
            str::to_owned,
        )
    }
}

/// Mints a token, in no more time than this.
///
/// Blocks, and may be called from anywhere, an async runtime included: the call has a thread and a
/// runtime of its own.
pub(crate) fn mint(order: Order<'_>, deadline: Duration) -> Result<Token, AwsError> {
    thread::scope(|scope| {
        let minting = thread::Builder::new()
            .name("mint".to_owned())
            .spawn_scoped(scope, || mint_here(order, deadline));
        let joined = minting.map(thread::ScopedJoinHandle::join);
        match joined {
            Ok(Ok(token)) => token,
            Ok(Err(_)) | Err(_) => Err(failed(order, Cause::Other, "no thread for the call")),
        }
    })
}

fn mint_here(order: Order<'_>, deadline: Duration) -> Result<Token, AwsError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(order, Cause::Other, &error.to_string()))?;
    let minted = runtime.block_on(mint_async(order, deadline));
    // A name look-up that hangs must not hold the process back.
    runtime.shutdown_background();
    minted.map_err(|error| error.with_identity(order.identity))
}

async fn mint_async(order: Order<'_>, deadline: Duration) -> Result<Token, AwsError> {
    CaBundle::of_environment(&Environment::of_process())?;
    let end = Instant::now() + deadline;
    let credentials = aws::sdk_config_of(order.identity, order.registry.region(), Limits::MINT);
    let config = match timeout_at(end, credentials).await {
        Ok(Ok(config)) => config,
        Ok(Err(error)) => {
            let error = AwsError::from_credentials(doing(order), &error);
            return Err(name_check(order, error).await);
        }
        Err(_) => return Err(no_credentials_in_time(order, deadline)),
    };
    let issued_at = Timestamp::now();
    let answer = timeout_at(end, ask(order, &config))
        .await
        .unwrap_or_else(|_| {
            let detail = format!("no answer in {} s", whole_seconds(deadline));
            Err(failed(order, Cause::TimedOut, &detail))
        });
    match answer {
        Ok(answer) => read(order, answer, issued_at),
        Err(error) => Err(name_check(order, error).await),
    }
}

async fn ask(order: Order<'_>, config: &SdkConfig) -> Result<Answer, AwsError> {
    match order.registry.service() {
        Service::Private => private(order, config).await,
        Service::Public => public(order, config).await,
    }
}

/// Calls to AWS have limits of their own, far below the deadline, so it is the process that took so
/// long where there is one.
fn no_credentials_in_time(order: Order<'_>, deadline: Duration) -> AwsError {
    let seconds = whole_seconds(deadline);
    match (order.identity.base(), order.identity.profile()) {
        (Base::Process { .. }, Some(profile)) => {
            AwsError::slow_process(doing(order), profile, seconds)
        }
        _ => failed(
            order,
            Cause::TimedOut,
            &format!("no credentials in {seconds} s"),
        ),
    }
}

fn whole_seconds(time: Duration) -> u64 {
    (time + Duration::from_millis(500)).as_secs()
}

/// What AWS answered.
struct Answer {
    /// Base64 of `AWS:password`.
    token: Option<Zeroizing<String>>,
    expires_at: Option<i64>,
    /// The registry of the account that minted.
    registry: Option<String>,
}

async fn private(order: Order<'_>, config: &SdkConfig) -> Result<Answer, AwsError> {
    // Our own table says where, and knows regions that the SDK does not. FIPS and dual-stack are in
    // that name; the SDK refuses an endpoint together with either.
    let builder = aws_sdk_ecr::config::Builder::from(config)
        .endpoint_url(order.url())
        .use_fips(false)
        .use_dual_stack(false);
    let client = aws_sdk_ecr::Client::from_conf(builder.build());
    let output = client
        .get_authorization_token()
        .send()
        .await
        .map_err(|error| AwsError::from_sdk(doing(order), &error))?;
    let data = output
        .authorization_data
        .and_then(|data| data.into_iter().next());
    Ok(data.map_or(
        Answer {
            token: None,
            expires_at: None,
            registry: None,
        },
        |data| Answer {
            token: data.authorization_token.map(Zeroizing::new),
            expires_at: data.expires_at.map(|at| at.secs()),
            registry: data.proxy_endpoint,
        },
    ))
}

async fn public(order: Order<'_>, config: &SdkConfig) -> Result<Answer, AwsError> {
    let builder = aws_sdk_ecrpublic::config::Builder::from(config)
        .endpoint_url(order.url())
        .use_fips(false)
        .use_dual_stack(false);
    let client = aws_sdk_ecrpublic::Client::from_conf(builder.build());
    let output = client
        .get_authorization_token()
        .send()
        .await
        .map_err(|error| AwsError::from_sdk(doing(order), &error))?;
    let data = output.authorization_data;
    Ok(Answer {
        expires_at: data
            .as_ref()
            .and_then(|data| data.expires_at)
            .map(|at| at.secs()),
        token: data
            .and_then(|data| data.authorization_token)
            .map(Zeroizing::new),
        registry: None,
    })
}

fn read(order: Order<'_>, answer: Answer, issued_at: Timestamp) -> Result<Token, AwsError> {
    let no_token = || failed(order, Cause::Other, "AWS answered without a token");
    let password = password(&answer.token.ok_or_else(no_token)?).ok_or_else(no_token)?;
    let told = answer
        .expires_at
        .and_then(|second| Timestamp::from_second(second).ok());
    let inside = expiry_of_password(password.expose());
    let earlier = inside.filter(|inside| {
        // One that is over already is no expiry as we know it.
        *inside > issued_at && told.is_some_and(|told| *inside < told)
    });
    let expires_at = earlier
        .or(told)
        .or(inside)
        .or_else(|| issued_at.checked_add(UNDATED_LIFE).ok())
        .ok_or_else(no_token)?;
    let account = answer
        .registry
        .and_then(|url| Registry::parse(&url)?.account().map(str::to_owned));
    let token = Token::new(password, issued_at, expires_at, account);
    if token.is_alive(Timestamp::now()) {
        Ok(token)
    } else {
        let detail = format!("AWS answered with a token that expired at {expires_at}");
        Err(failed(order, Cause::ClockSkew, &detail))
    }
}

/// Takes the password out of an authorization token: base64 of `AWS:password`.
fn password(token: &str) -> Option<Secret> {
    let bytes = STANDARD.decode(token.trim()).ok()?;
    let pair = Zeroizing::new(String::from_utf8(bytes).ok()?);
    let (user, password) = pair.split_once(':')?;
    (user == USERNAME && !password.is_empty()).then(|| Secret::new(password.to_owned()))
}

/// A name that does not resolve, where others of AWS do, is the name of a region that does not
/// exist.
async fn name_check(order: Order<'_>, error: AwsError) -> AwsError {
    if error.cause() != Cause::Network {
        return error;
    }
    let text = error.to_string();
    let of_name = ["lookup", "dns", "resolve"]
        .iter()
        .any(|word| text.contains(word));
    if order.endpoint.is_some() || !of_name {
        return error;
    }
    let found = tokio::time::timeout(NAME_CHECK, tokio::net::lookup_host(WELL_KNOWN)).await;
    if !matches!(found, Ok(Ok(_))) {
        return error;
    }
    let host = order.registry.api_host();
    let detail = format!("there is no {host}");
    failed(order, Cause::UnknownRegion, &detail)
}

/// What a mint is about: completes "Cannot …".
pub(crate) fn doing(order: Order<'_>) -> String {
    match order.endpoint.map(without_user) {
        Some(endpoint) => format!("get an ECR token for {} from {endpoint}", order.registry),
        None => format!("get an ECR token for {}", order.registry),
    }
}

/// An endpoint as it may be shown: what stands before an `@` may be a password.
pub(crate) fn without_user(endpoint: &str) -> &str {
    endpoint.rsplit('@').next().unwrap_or(endpoint)
}

fn failed(order: Order<'_>, cause: Cause, detail: &str) -> AwsError {
    AwsError::new(cause, doing(order), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_what_follows_the_user_name() {
        let encoded = |text: &str| STANDARD.encode(text);
        let read = |text: &str| password(text).map(|secret| secret.expose().to_owned());
        assert_eq!(read(&encoded("AWS:a:b")).as_deref(), Some("a:b"));
        for wrong in ["", "AWS:", "bob:x", "AWS"] {
            assert_eq!(read(&encoded(wrong)), None, "{wrong}");
        }
        assert_eq!(read("%%%"), None);
    }
}
