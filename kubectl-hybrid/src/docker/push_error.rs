//! What a refused push means, read from the words of ECR, of the engine and of our helper.

use super::command::{CommandError, Failure};
use crate::registry::ImageReference;

/// Why an image could not be pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The push ran and failed for a reason.
    #[error("{}", sentence(image, *cause, detail))]
    Refused {
        /// The image.
        image: Box<ImageReference>,
        /// The reason.
        cause: PushFailure,
        /// The words that told it.
        detail: String,
        /// The whole failure.
        failure: Box<Failure>,
    },
    /// The push succeeded and nobody says with which digest.
    #[error("pushed {image}, but Docker does not say with which digest")]
    NoDigest {
        /// The image.
        image: Box<ImageReference>,
    },
    /// The push could not be run.
    #[error("cannot push {image}: {source}")]
    Command {
        /// The image.
        image: Box<ImageReference>,
        /// Why.
        source: CommandError,
    },
}

/// The reasons for which a registry, or what is before it, refuses a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushFailure {
    /// ECR does not create repositories.
    NoRepository,
    /// The registry does not take the token: it has expired, or was revoked.
    TokenRefused,
    /// The principal may not push there.
    Denied,
    /// Refused without a reason: what is asked with HEAD is answered without words. The token may be
    /// dead, or the principal may not push there.
    Forbidden,
    /// No credentials were sent: the helper was not asked, or could not answer.
    NoCredentials,
    /// The helper said why it has no credentials.
    Helper,
    /// The repository does not let this tag be pushed again.
    ImmutableTag,
    /// Too many requests.
    Throttled,
    /// The registry failed or could not be reached.
    Unavailable,
    /// The registry's certificate is not trusted by the engine.
    Untrusted,
    /// The image is not in the engine.
    NoImage,
    /// The engine went away.
    EngineGone,
    /// The disk is full.
    DiskFull,
    /// Something else.
    Other,
}

impl PushError {
    /// Reads the failure of a push.
    pub fn from_command(image: &ImageReference, error: CommandError) -> Self {
        let image = Box::new(image.clone());
        match error {
            CommandError::Failed(failure) => {
                let (cause, detail) = read(&failure.tail);
                Self::Refused {
                    image,
                    cause,
                    detail,
                    failure,
                }
            }
            source => Self::Command { image, source },
        }
    }

    /// The reason, when the push ran.
    pub fn cause(&self) -> Option<PushFailure> {
        match self {
            Self::Refused { cause, .. } => Some(*cause),
            _ => None,
        }
    }

    /// What Docker said, when the push ran.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Refused { failure, .. } => Some(failure),
            _ => None,
        }
    }

    /// What to do next, for people.
    pub fn hint(&self) -> Option<String> {
        let Self::Refused {
            image,
            cause,
            failure,
            ..
        } = self
        else {
            return None;
        };
        let registry = image.registry();
        Some(match cause {
            PushFailure::NoRepository => format!(
                "add the service to the Terraform configuration and apply it, or check that {registry} is the right account and region"
            ),
            PushFailure::TokenRefused => format!(
                "a new token was refused as well; ask what is behind it: `echo {registry} | docker-credential-ecr-hybrid get >/dev/null`"
            ),
            PushFailure::Denied | PushFailure::Forbidden => {
                "the AWS identity in use needs the ECR push actions on this repository; `aws sts get-caller-identity` shows who it is".into()
            }
            PushFailure::NoCredentials | PushFailure::Helper => format!(
                "ask the helper itself: `echo {registry} | docker-credential-ecr-hybrid get >/dev/null`"
            ),
            PushFailure::ImmutableTag => {
                "the tag is taken by another image; change the content, or remove the tag from the repository".into()
            }
            PushFailure::Throttled | PushFailure::Unavailable => "try again in a moment".into(),
            PushFailure::Untrusted => format!(
                "the engine needs the certificate authority of {registry} (a proxy that opens TLS has its own)"
            ),
            PushFailure::NoImage => "build the service first".into(),
            PushFailure::EngineGone => "`docker version` shows whether the engine answers".into(),
            PushFailure::DiskFull => "`docker system df` shows what takes the space".into(),
            PushFailure::Other => match &failure.log {
                Some(log) => format!("the whole output is in {}", log.display()),
                None => return None,
            },
        })
    }
}

fn sentence(image: &ImageReference, cause: PushFailure, detail: &str) -> String {
    let (registry, repository) = (image.registry(), image.repository());
    match cause {
        PushFailure::NoRepository => {
            format!(
                "cannot push {image}: the repository `{repository}` does not exist in {registry}"
            )
        }
        PushFailure::TokenRefused => {
            format!("cannot push {image}: {registry} does not take the token: {detail}")
        }
        PushFailure::Forbidden => {
            format!("cannot push {image}: {registry} refuses it and does not say why: {detail}")
        }
        PushFailure::NoCredentials => {
            format!("cannot push {image}: Docker had no credentials for {registry}")
        }
        PushFailure::NoImage => format!("cannot push {image}: it is not in the Docker engine"),
        PushFailure::ImmutableTag => {
            format!("cannot push {image}: the repository is immutable and has this tag already")
        }
        _ => format!("cannot push {image}: {detail}"),
    }
}

/// Words in the output of a push, in the order in which they decide. All are lower case.
///
/// ECR's own come first, since the engine wraps them in words that fit several causes. An engine that
/// keeps images in containerd leaves the registry's code out, and calls whatever it is refused
/// `access denied, repository does not exist or may require authorization`.
const WORDS: [(&str, PushFailure); 42] = [
    ("authorization token has expired", PushFailure::TokenRefused),
    ("authorization token is invalid", PushFailure::TokenRefused),
    ("the repository with name", PushFailure::NoRepository),
    ("name unknown", PushFailure::NoRepository),
    (
        "because the repository is immutable",
        PushFailure::ImmutableTag,
    ),
    ("because the tag is immutable", PushFailure::ImmutableTag),
    ("tag invalid", PushFailure::ImmutableTag),
    ("error getting credentials", PushFailure::Helper),
    ("docker-credential-ecr-hybrid", PushFailure::Helper),
    ("ecr-hybrid:", PushFailure::Helper),
    ("is not authorized to perform", PushFailure::Denied),
    ("no basic auth credentials", PushFailure::NoCredentials),
    ("may require authorization", PushFailure::Denied),
    ("repository does not exist", PushFailure::NoRepository),
    ("not authorized", PushFailure::TokenRefused),
    ("unauthorized", PushFailure::TokenRefused),
    ("403 forbidden", PushFailure::Forbidden),
    ("toomanyrequests", PushFailure::Throttled),
    ("too many requests", PushFailure::Throttled),
    ("rate exceeded", PushFailure::Throttled),
    ("image does not exist locally", PushFailure::NoImage),
    ("tag does not exist", PushFailure::NoImage),
    ("no such image", PushFailure::NoImage),
    (
        "cannot connect to the docker daemon",
        PushFailure::EngineGone,
    ),
    ("is the docker daemon running", PushFailure::EngineGone),
    ("no space left on device", PushFailure::DiskFull),
    ("x509:", PushFailure::Untrusted),
    (
        "certificate signed by unknown authority",
        PushFailure::Untrusted,
    ),
    ("internal server error", PushFailure::Unavailable),
    ("bad gateway", PushFailure::Unavailable),
    ("service unavailable", PushFailure::Unavailable),
    ("gateway timeout", PushFailure::Unavailable),
    ("no such host", PushFailure::Unavailable),
    ("connection refused", PushFailure::Unavailable),
    ("connection reset", PushFailure::Unavailable),
    ("i/o timeout", PushFailure::Unavailable),
    ("timeout exceeded", PushFailure::Unavailable),
    ("handshake timeout", PushFailure::Unavailable),
    ("unexpected eof", PushFailure::Unavailable),
    ("\": eof", PushFailure::Unavailable),
    ("use of closed network connection", PushFailure::Unavailable),
    ("failed to do request", PushFailure::Unavailable),
];

/// The reason and the line that tells it.
fn read(tail: &[String]) -> (PushFailure, String) {
    for (words, cause) in WORDS {
        let told = tail
            .iter()
            .rev()
            .find(|line| line.to_ascii_lowercase().contains(words));
        if let Some(line) = told {
            return (cause, bare(line));
        }
    }
    let last = tail.iter().rev().find(|line| !line.trim().is_empty());
    let detail = last.map_or_else(|| "no reason was given".to_owned(), |line| bare(line));
    let cause = if detail.starts_with("denied") {
        PushFailure::Denied
    } else {
        PushFailure::Other
    };
    (cause, detail)
}

fn bare(line: &str) -> String {
    let line = line.trim();
    ["Error response from daemon: ", "ERROR: "]
        .iter()
        .find_map(|prefix| line.strip_prefix(prefix))
        .unwrap_or(line)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_registries_and_engines_tell_the_cause() {
        use PushFailure as F;
        let cases = [
            (
                "denied: Your authorization token has expired. Reauthenticate and try again.",
                F::TokenRefused,
            ),
            (
                "denied: Your Authorization Token is invalid.",
                F::TokenRefused,
            ),
            ("unauthorized: Not Authorized", F::TokenRefused),
            (
                "name unknown: The repository with name 'dev/web' does not exist in the registry with id '123456789012'",
                F::NoRepository,
            ),
            (
                "tag invalid: The image tag 'dev' already exists in the 'web' repository and cannot be overwritten because the repository is immutable.",
                F::ImmutableTag,
            ),
            (
                "denied: User: arn:aws:sts::123456789012:assumed-role/pull/x is not authorized to perform: ecr:InitiateLayerUpload on resource: arn:aws:ecr:eu-central-1:123456789012:repository/web",
                F::Denied,
            ),
            (
                "denied: requested access to the resource is denied",
                F::Denied,
            ),
            ("no basic auth credentials", F::NoCredentials),
            (
                "error getting credentials - err: exit status 1, out: `the SSO session of profile dev has expired; run: aws sso login --profile dev`",
                F::Helper,
            ),
            ("toomanyrequests: Rate exceeded", F::Throttled),
            (
                "An image does not exist locally with the tag: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/web",
                F::NoImage,
            ),
            (
                "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
                F::EngineGone,
            ),
            (
                "received unexpected HTTP status: 503 Service Unavailable",
                F::Unavailable,
            ),
            (
                "unexpected status from PUT request to https://x/v2/: 500 Internal Server Error",
                F::Unavailable,
            ),
            (
                "Get \"https://x/v2/\": dial tcp: lookup x: no such host",
                F::Unavailable,
            ),
            (
                "Get \"https://x/v2/\": net/http: TLS handshake timeout",
                F::Unavailable,
            ),
            (
                "tls: failed to verify certificate: x509: certificate signed by unknown authority",
                F::Untrusted,
            ),
            (
                "write /var/lib/docker/tmp/x: no space left on device",
                F::DiskFull,
            ),
            ("something new", F::Other),
            // Of an engine that keeps images in containerd.
            (
                "push access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials",
                F::NoCredentials,
            ),
            (
                "push access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
                F::Denied,
            ),
            (
                "unknown: unexpected status from HEAD request to https://x/v2/web/blobs/sha256:00: 401 Unauthorized",
                F::TokenRefused,
            ),
            (
                "unknown: unexpected status from HEAD request to https://x/v2/web/blobs/sha256:00: 403 Forbidden",
                F::Forbidden,
            ),
            (
                "error from registry: Your authorization token has expired. Reauthenticate and try again.",
                F::TokenRefused,
            ),
            (
                "error from registry: The repository with name 'nope/web' does not exist in the registry with id '123456789012'",
                F::NoRepository,
            ),
            ("error from registry: Rate exceeded", F::Throttled),
            (
                "failed to do request: Post \"https://x/v2/web/blobs/uploads/\": EOF",
                F::Unavailable,
            ),
            (
                "failed commit on ref \"manifest-sha256:00\": failed to do request: Put \"https://x/v2/web/manifests/t1\": use of closed network connection",
                F::Unavailable,
            ),
            ("error from registry: It is not your day.", F::Other),
        ];
        for (line, expected) in cases {
            let tail = [
                "The push refers to repository [x]".to_owned(),
                line.to_owned(),
            ];
            let (cause, detail) = read(&tail);
            assert_eq!(cause, expected, "{line}");
            assert_eq!(detail, line);
        }
        assert_eq!(read(&[]).0, F::Other);
    }

    #[test]
    fn the_helper_s_sentence_is_the_reason_when_docker_only_says_no_credentials() {
        for last in [
            "no basic auth credentials",
            "push access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials",
        ] {
            let tail = [
                "ecr-hybrid: the SSO session of profile `dev` has expired".to_owned(),
                last.to_owned(),
            ];
            let (cause, detail) = read(&tail);
            assert_eq!(cause, PushFailure::Helper);
            assert!(detail.contains("SSO session"), "{detail}");
        }
    }
}
