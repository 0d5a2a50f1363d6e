//! Why AWS said no, in one sentence and with the next step, the same for every service.

mod renewal;

use std::error::Error;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ecr::config::http::HttpResponse;
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use serde::{Deserialize, Serialize};

use crate::ca_bundle::CaBundleError;
use crate::credentials::SlowCredentials;
use crate::identity::{Base, Identity, Source};
use renewal::{profile_flag, renewal};

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The SSO or login session is over: a person has to log in again.
    SsoExpired,
    /// There are no credentials, or they could not be had.
    NoCredentials,
    /// The credentials are known to AWS as expired or invalid.
    BadCredentials,
    /// The identity may not do this.
    AccessDenied,
    /// The identity acts in another account than the one asked for.
    WrongAccount,
    /// There is no such region, or it is not enabled.
    UnknownRegion,
    /// Too many calls.
    Throttled,
    /// This machine's clock is too far off.
    ClockSkew,
    /// AWS cannot be reached.
    Network,
    /// The TLS connection is not trusted.
    Tls,
    /// The proxy refused.
    Proxy,
    /// No answer in time.
    TimedOut,
    /// The thing that was asked for does not exist.
    NotFound,
    /// Anything else.
    Other,
}

impl Cause {
    /// Whether the failure is about who is asking: exit code 5 of the plugin.
    pub fn is_authentication(self) -> bool {
        matches!(
            self,
            Self::SsoExpired
                | Self::NoCredentials
                | Self::BadCredentials
                | Self::AccessDenied
                | Self::WrongAccount
                | Self::ClockSkew
        )
    }

    /// Whether the same call may succeed a little later.
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Throttled | Self::Network | Self::TimedOut)
    }
}

/// A failed call to AWS, explained.
#[derive(Debug, Clone)]
pub struct AwsError(Box<Explained>);

#[derive(Debug, Clone)]
struct Explained {
    cause: Cause,
    doing: String,
    code: Option<String>,
    detail: String,
    profile: Option<String>,
    identity: Option<String>,
    /// What would make the identity's credentials good again.
    renewal: Option<String>,
    /// It failed before the call itself, while credentials were being had.
    is_before_call: bool,
    /// It was the credential process that took too long, and not AWS.
    is_slow_process: bool,
    /// The identity is only a guess: nothing is configured, so it can but be the machine's.
    is_guess: bool,
}

/// A failure without what was being done and by whom.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    cause: Cause,
    code: Option<String>,
    detail: String,
    is_slow_process: bool,
}

impl AwsError {
    /// An error that is known without asking AWS.
    ///
    /// `doing` completes "Cannot …": "get an ECR token in eu-west-1".
    pub fn new(cause: Cause, doing: impl Into<String>, detail: impl Into<String>) -> Self {
        Self(Box::new(Explained {
            cause,
            doing: doing.into(),
            code: None,
            detail: one_line(&detail.into()),
            profile: None,
            identity: None,
            renewal: None,
            is_before_call: false,
            is_slow_process: false,
            is_guess: false,
        }))
    }

    /// A credential process that was not done in this many seconds. `doing` completes "Cannot …".
    pub(crate) fn slow_process(doing: impl Into<String>, profile: &str, seconds: u64) -> Self {
        let detail =
            format!("the credential process of profile {profile} took longer than {seconds} s");
        let mut error = Self::new(Cause::TimedOut, doing, detail);
        error.0.is_before_call = true;
        error.0.is_slow_process = true;
        error
    }

    /// Explains why credentials could not be had. `doing` completes "Cannot …".
    pub(crate) fn from_credentials(doing: impl Into<String>, error: &CredentialsError) -> Self {
        // Named as an SDK call names it, where the error itself only says what is wrong.
        let chain = format!("failed to load credentials: {}", chain_of(error));
        let mut explained = Self::new(cause_of_text(&chain), doing, innermost(error));
        if explained.0.detail.is_empty() {
            explained.0.detail = one_line(&chain);
        }
        explained.0.is_before_call = true;
        explained
    }

    /// A failure that another process had, told of what this one was doing.
    pub(crate) fn retold(doing: impl Into<String>, failure: &Failure) -> Self {
        let mut error = Self::new(failure.cause, doing, failure.detail.as_str());
        error.0.code.clone_from(&failure.code);
        error.0.is_slow_process = failure.is_slow_process;
        error
    }

    /// What another process needs to tell the same failure in its own words.
    pub(crate) fn failure(&self) -> Failure {
        Failure {
            cause: self.0.cause,
            code: self.0.code.clone(),
            detail: self.0.detail.clone(),
            is_slow_process: self.0.is_slow_process,
        }
    }

    /// Explains an SDK error of any service. `doing` completes "Cannot …".
    pub fn from_sdk<E>(doing: impl Into<String>, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        let chain = chain_of(error);
        let mut explained = match error {
            SdkError::ServiceError(service) => {
                let code = service.err().code().unwrap_or_default();
                let message = service.err().message().unwrap_or_default();
                let status = service.raw().status().as_u16();
                let cause = cause_of_code(code, message, status);
                let mut explained = Self::new(cause, doing, message);
                explained.0.code = (!code.is_empty()).then(|| code.to_owned());
                if explained.0.detail.is_empty() {
                    explained.0.detail = format!("HTTP status {status}");
                }
                explained
            }
            SdkError::TimeoutError(_) => Self::new(Cause::TimedOut, doing, "no answer in time"),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                Self::new(Cause::TimedOut, doing, "no connection in time")
            }
            _ => Self::new(cause_of_text(&chain), doing, innermost(error)),
        };
        if explained.0.detail.is_empty() {
            explained.0.detail = one_line(&chain);
        }
        explained.0.is_before_call = ["loading credentials", "credentials error", "IMDS"]
            .iter()
            .any(|words| chain.contains(words));
        if let Some(slow) = slow_credentials(error) {
            explained.0.cause = Cause::TimedOut;
            explained.0.detail = slow.to_string();
            explained.0.is_slow_process = slow.is_process();
        }
        explained
    }

    /// Names the identity, and sees the failure in its light: credentials that an SSO profile cannot
    /// get are an SSO session that has expired.
    #[must_use]
    pub fn with_identity(mut self, identity: &Identity) -> Self {
        self.0.profile = identity.profile().map(str::to_owned);
        self.0.identity = Some(identity.to_string());
        self.0.renewal = renewal(identity);
        self.0.is_guess = matches!(identity.source, Source::Ambient(Base::Instance { .. }));
        // A metadata service that cannot be reached is one that is not there.
        if self.0.is_guess && self.0.is_before_call {
            self.0.cause = Cause::NoCredentials;
        }
        let of_session = matches!(
            identity.base(),
            Base::Sso { .. } | Base::LoginSession { .. }
        );
        if of_session && matches!(self.0.cause, Cause::NoCredentials | Cause::BadCredentials) {
            self.0.cause = Cause::SsoExpired;
        }
        self
    }

    /// What kind of failure it was.
    pub fn cause(&self) -> Cause {
        self.0.cause
    }

    /// The code that AWS gave, such as `AccessDeniedException`.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let flag = profile_flag(self.0.profile.as_deref());
        let hint = match self.0.cause {
            Cause::SsoExpired | Cause::BadCredentials if self.0.renewal.is_some() => {
                return self.0.renewal.clone();
            }
            Cause::SsoExpired => format!("Run: aws sso login{flag}"),
            Cause::NoCredentials if self.0.is_guess => {
                "Set AWS_PROFILE, or run: aws configure sso".to_owned()
            }
            Cause::NoCredentials | Cause::BadCredentials => {
                format!("See who you are: aws sts get-caller-identity{flag}")
            }
            Cause::AccessDenied => {
                "Ask for a policy that allows this action, or use another profile".to_owned()
            }
            Cause::WrongAccount => "Set AWS_PROFILE to a profile of that account".to_owned(),
            Cause::UnknownRegion => {
                "Check the region in the host name, and that the account has it enabled".to_owned()
            }
            Cause::Throttled => "Try again in a minute".to_owned(),
            Cause::ClockSkew => {
                "Set this machine's clock; after sleep, restart the VM of Docker Desktop or WSL"
                    .to_owned()
            }
            Cause::Network => {
                "Check the network or VPN; AWS_ENDPOINT_URL and NO_PROXY, if set, apply here"
                    .to_owned()
            }
            Cause::Tls => {
                "If this network inspects TLS, set AWS_CA_BUNDLE to its certificate".to_owned()
            }
            Cause::Proxy => "Check HTTPS_PROXY and NO_PROXY".to_owned(),
            Cause::TimedOut if self.0.is_slow_process => {
                "Set HYBRID_TIMEOUT to more seconds than it needs".to_owned()
            }
            Cause::TimedOut => "Check the network, VPN, and proxy, and try again".to_owned(),
            Cause::NotFound | Cause::Other => return None,
        };
        Some(hint)
    }
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = self.0.detail.trim_end_matches('.');
        let as_whom = self
            .0
            .identity
            .as_deref()
            .map_or(String::new(), |identity| format!(" as {identity}"));
        write!(f, "Cannot {}: ", self.0.doing)?;
        match self.0.cause {
            Cause::SsoExpired => match &self.0.profile {
                Some(profile) => write!(
                    f,
                    "the login session of AWS profile `{profile}` has expired."
                ),
                None => f.write_str("the login session has expired."),
            },
            Cause::NoCredentials if self.0.is_guess => f.write_str(
                "there are no AWS credentials: no keys in the environment, no usable profile, and no role of a container or an instance.",
            ),
            Cause::NoCredentials => write!(f, "no AWS credentials{as_whom} ({detail})."),
            Cause::BadCredentials => write!(
                f,
                "AWS does not accept the credentials{as_whom} ({detail})."
            ),
            Cause::AccessDenied => write!(f, "access denied{as_whom} ({detail})."),
            Cause::WrongAccount | Cause::NotFound | Cause::Other => match &self.0.code {
                Some(code) => write!(f, "{code}: {detail}."),
                None => write!(f, "{detail}."),
            },
            Cause::UnknownRegion => write!(f, "the region is unknown or not enabled ({detail})."),
            Cause::Throttled => write!(f, "AWS asks to slow down ({detail})."),
            Cause::ClockSkew => write!(
                f,
                "this machine's clock differs from that of AWS ({detail})."
            ),
            Cause::Network => write!(f, "AWS cannot be reached ({detail})."),
            Cause::Tls => write!(f, "the TLS certificate is not trusted ({detail})."),
            Cause::Proxy => write!(f, "the proxy did not let the call through ({detail})."),
            Cause::TimedOut if self.0.is_slow_process => write!(f, "{detail}."),
            Cause::TimedOut => write!(f, "AWS did not answer in time ({detail})."),
        }
    }
}

impl Error for AwsError {}

impl From<CaBundleError> for AwsError {
    fn from(error: CaBundleError) -> Self {
        Self::new(Cause::Tls, "talk to AWS", error.to_string())
    }
}

/// What an error code of AWS means. The status helps where a service gives no code.
fn cause_of_code(code: &str, message: &str, status: u16) -> Cause {
    let text = |needle: &str| message.contains(needle);
    match code {
        "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => Cause::ClockSkew,
        "InvalidSignatureException" | "SignatureDoesNotMatch"
            if text("Signature expired") || text("not yet current") =>
        {
            Cause::ClockSkew
        }
        "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidAccessKeyId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "InvalidToken"
        | "UnauthorizedException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken" => Cause::BadCredentials,
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "NotAuthorized"
        | "AuthorizationError"
        | "ForbiddenException" => Cause::AccessDenied,
        "OptInRequired" | "RegionDisabledException" | "IllegalLocationConstraintException" => {
            Cause::UnknownRegion
        }
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "SlowDown"
        | "ProvisionedThroughputExceededException" => Cause::Throttled,
        "NoSuchBucket"
        | "NoSuchKey"
        | "NotFound"
        | "ResourceNotFoundException"
        | "RepositoryNotFoundException"
        | "RegistryNotFoundException" => Cause::NotFound,
        _ => match status {
            401 => Cause::BadCredentials,
            403 => Cause::AccessDenied,
            404 => Cause::NotFound,
            407 => Cause::Proxy,
            429 => Cause::Throttled,
            _ => Cause::Other,
        },
    }
}

/// What a failure before any answer means, from the texts of the whole chain of errors. The types
/// behind them are private to the SDK and its HTTP library.
fn cause_of_text(chain: &str) -> Cause {
    let lower = chain.to_ascii_lowercase();
    let any = |needles: &[&str]| needles.iter().any(|needle| lower.contains(needle));
    if any(&[
        "certificate",
        "unknownissuer",
        "handshake",
        "tls error",
        "invalid peer",
    ]) {
        Cause::Tls
    } else if any(&["proxy", "tunnel"]) {
        Cause::Proxy
    } else if any(&["sso token", "sso session", "cached sso", "login session"]) {
        Cause::SsoExpired
    } else if any(&[
        "accessdenied",
        "not authorized to perform",
        "forbiddenexception",
    ]) {
        Cause::AccessDenied
    } else if any(&["signature expired", "not yet current"]) {
        Cause::ClockSkew
    } else if any(&["expiredtoken", "invalidclienttokenid", "unrecognizedclient"]) {
        Cause::BadCredentials
    } else if any(&["throttl"]) {
        Cause::Throttled
    } else if any(&["timed out", "timeout"]) {
        Cause::TimedOut
    } else if any(&[
        "dns",
        "lookup address",
        "connect",
        "refused",
        "unreachable",
        "reset",
        "io error",
    ]) {
        Cause::Network
    } else if any(&["credential", "provider", "profile"]) {
        Cause::NoCredentials
    } else {
        Cause::Other
    }
}

fn chain_of(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        if !text.ends_with(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        source = error.source();
    }
    text
}

/// The error in the chain that says that credentials took too long.
fn slow_credentials<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a SlowCredentials> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(slow) = error.downcast_ref() {
            return Some(slow);
        }
        next = error.source();
    }
    None
}

/// The last error of the chain: it names the thing itself.
fn innermost(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// One line of at most three hundred characters: an answer may be a page of HTML.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_every_service_fall_into_few_causes() {
        #[rustfmt::skip]
        let rows = [
            ("AccessDeniedException", "", 400, Cause::AccessDenied),
            ("AccessDenied", "", 403, Cause::AccessDenied),
            ("ExpiredTokenException", "", 400, Cause::BadCredentials),
            ("InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than", 400, Cause::ClockSkew),
            ("InvalidSignatureException", "The request signature we calculated does not match", 400, Cause::BadCredentials),
            ("ThrottlingException", "Rate exceeded", 400, Cause::Throttled),
            ("NoSuchKey", "", 404, Cause::NotFound),
            ("", "", 403, Cause::AccessDenied),
            ("", "", 407, Cause::Proxy),
            ("ServerException", "", 500, Cause::Other),
        ];
        for (code, message, status, cause) in rows {
            assert_eq!(
                cause_of_code(code, message, status),
                cause,
                "{code} {status}"
            );
        }
    }

    #[test]
    fn failures_without_an_answer_are_told_apart_by_their_texts() {
        #[rustfmt::skip]
        let rows = [
            ("dispatch failure: io error: client error (Connect): dns error: failed to lookup address information: Name or service not known", Cause::Network),
            ("dispatch failure: io error: tcp connect error: Connection refused (os error 111)", Cause::Network),
            ("dispatch failure: other: invalid peer certificate: UnknownIssuer", Cause::Tls),
            ("dispatch failure: io error: tunnel error: unsuccessful", Cause::Proxy),
            ("dispatch failure: other: the SSO token has expired and cannot be refreshed", Cause::SsoExpired),
            ("dispatch failure: other: an error occurred while loading credentials: service error: unhandled error (AccessDenied): User x is not authorized to perform: sts:AssumeRole", Cause::AccessDenied),
            ("dispatch failure: other: the credential provider was not enabled", Cause::NoCredentials),
        ];
        for (text, cause) in rows {
            assert_eq!(cause_of_text(text), cause, "{text}");
        }
    }

    #[test]
    fn an_sso_profile_without_credentials_says_how_to_log_in() {
        let identity = Identity {
            source: Source::Profile {
                name: "my dev".into(),
                base: Base::Sso {
                    session: Some("corp".into()),
                    start_url: "https://corp".into(),
                    account: "111122223333".into(),
                    role: "Admin".into(),
                },
                roles: Vec::new(),
                account: None,
            },
            role_arn: None,
        };
        let error = AwsError::new(Cause::NoCredentials, "get an ECR token", "x\ny")
            .with_identity(&identity);
        assert_eq!(error.cause(), Cause::SsoExpired);
        assert_eq!(
            error.to_string(),
            "Cannot get an ECR token: the login session of AWS profile `my dev` has expired."
        );
        assert_eq!(
            error.hint().as_deref(),
            Some("Run: aws sso login --profile 'my dev'")
        );
    }
}
