//! Why an image cannot be pulled, from the words of containerd, the Docker engine and CRI-O.
//!
//! The words cannot tell everything: containerd shows no body for a 403, so that an expired token
//! and a denied one read the same. Then it is [`PullFault::Forbidden`], and the pull secret decides.

use serde::Serialize;

/// Why an image cannot be pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PullFault {
    /// No credentials were sent.
    NoCredentials,
    /// The registry says that the token has expired.
    Expired,
    /// 403 without a reason: the token has expired, or its identity may not pull.
    Forbidden,
    /// The registry says that the identity may not pull.
    Denied,
    /// The registry does not take the user name and password.
    Rejected,
    /// The pull secret cannot be read.
    BadSecret,
    /// The repository does not exist.
    NoRepository,
    /// The tag or digest does not exist, or the repository does not.
    NotFound,
    /// The image is not made for the node's platform.
    Platform,
    /// The reference is no image name.
    InvalidName,
    /// The policy is `Never` and the node has no such image.
    NeverPolicy,
    /// The registry's name cannot be resolved on the node.
    Dns,
    /// The registry cannot be reached from the node.
    Unreachable,
    /// The node does not trust the registry's certificate.
    Certificate,
    /// The node's clock is wrong.
    Clock,
    /// Too many pulls.
    RateLimited,
    /// The registry has trouble of its own: 5xx.
    RegistryTrouble,
    /// The node has no space left.
    NoSpace,
    /// The words are not known.
    Unknown,
}

impl PullFault {
    /// Reads the waiting reason of a container and its message.
    pub fn read(reason: &str, message: &str) -> Self {
        match reason {
            "InvalidImageName" => return Self::InvalidName,
            "ErrImageNeverPull" => return Self::NeverPolicy,
            _ => {}
        }
        let known = Self::of_message(message);
        match (reason, known) {
            ("RegistryUnavailable", Self::Unknown) => Self::RegistryTrouble,
            _ => known,
        }
    }

    /// Reads an error text of a container runtime.
    pub fn of_message(message: &str) -> Self {
        let text = message.to_ascii_lowercase();
        for (needles, fault) in WORDS {
            if needles.iter().all(|needle| text.contains(needle)) {
                return *fault;
            }
        }
        if has_status(&text, 500..600) {
            return Self::RegistryTrouble;
        }
        Self::Unknown
    }

    /// Whether fresh credentials may cure it.
    pub fn is_about_credentials(self) -> bool {
        matches!(
            self,
            Self::NoCredentials
                | Self::Expired
                | Self::Forbidden
                | Self::Denied
                | Self::Rejected
                | Self::BadSecret
        )
    }

    /// Whether the kubelet's next try may well succeed without anybody doing anything.
    pub fn may_heal(self) -> bool {
        matches!(
            self,
            Self::Dns
                | Self::Unreachable
                | Self::RateLimited
                | Self::RegistryTrouble
                | Self::NoSpace
                | Self::Unknown
        )
    }

    /// The cause in words that go on after "the image cannot be pulled: ".
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NoCredentials => "no credentials were sent to the registry",
            Self::Expired => "the token of the pull secret has expired",
            Self::Forbidden => {
                "the registry answers 403: the token has expired, or its identity may not pull"
            }
            Self::Denied => "the identity behind the pull secret may not pull",
            Self::Rejected => {
                "the registry answers 401: it got no credentials, or does not take them"
            }
            Self::BadSecret => "a pull secret of the pod cannot be read",
            Self::NoRepository => "the repository does not exist",
            Self::NotFound => "the repository, tag or digest does not exist in the registry",
            Self::Platform => "the image is not made for the node's platform",
            Self::InvalidName => "the reference is no image name",
            Self::NeverPolicy => "the pull policy is `Never` and the node has no such image",
            Self::Dns => "the node cannot resolve the registry's name",
            Self::Unreachable => "the node cannot reach the registry",
            Self::Certificate => "the node does not trust the registry's certificate",
            Self::Clock => "the node's clock is wrong",
            Self::RateLimited => "the registry limits the number of pulls",
            Self::RegistryTrouble => "the registry has trouble of its own",
            Self::NoSpace => "the node has no space left",
            Self::Unknown => "the container runtime gives another reason",
        }
    }
}

/// The first row whose words all occur decides, so the special stands before the general.
const WORDS: &[(&[&str], PullFault)] = &[
    (&["authorization token has expired"], PullFault::Expired),
    (&["token has expired"], PullFault::Expired),
    (&["is not authorized to perform"], PullFault::Denied),
    (&["no basic auth credentials"], PullFault::NoCredentials),
    (&["no match for platform"], PullFault::Platform),
    (&["no matching manifest"], PullFault::Platform),
    (
        &["no image found in manifest list for architecture"],
        PullFault::Platform,
    ),
    (
        &["no image found in image index for architecture"],
        PullFault::Platform,
    ),
    (&["exec format error"], PullFault::Platform),
    (
        &["certificate has expired or is not yet valid"],
        PullFault::Clock,
    ),
    (&["x509:"], PullFault::Certificate),
    (&["tls: failed to verify"], PullFault::Certificate),
    (&["no space left on device"], PullFault::NoSpace),
    (&["toomanyrequests"], PullFault::RateLimited),
    (&["429 too many requests"], PullFault::RateLimited),
    (&["no such host"], PullFault::Dns),
    (&["server misbehaving"], PullFault::Dns),
    (&["temporary failure in name resolution"], PullFault::Dns),
    (&["proxyconnect"], PullFault::Unreachable),
    (&["connection refused"], PullFault::Unreachable),
    (&["connection reset"], PullFault::Unreachable),
    (&["i/o timeout"], PullFault::Unreachable),
    (&["tls handshake timeout"], PullFault::Unreachable),
    (&["context deadline exceeded"], PullFault::Unreachable),
    (&["no route to host"], PullFault::Unreachable),
    (&["network is unreachable"], PullFault::Unreachable),
    (&["httpreadseeker"], PullFault::Unreachable),
    (&["couldn't parse image"], PullFault::InvalidName),
    (&["invalid reference format"], PullFault::InvalidName),
    (&["name unknown"], PullFault::NoRepository),
    (
        &["repository with name", "does not exist"],
        PullFault::NoRepository,
    ),
    (&["manifest unknown"], PullFault::NotFound),
    (&["requested image not found"], PullFault::NotFound),
    (
        &["failed to resolve reference", ": not found"],
        PullFault::NotFound,
    ),
    (
        &["failed to resolve image", ": not found"],
        PullFault::NotFound,
    ),
    (&["manifest for", "not found"], PullFault::NotFound),
    (&["404 not found"], PullFault::NotFound),
    (&["unable to retrieve auth token"], PullFault::Rejected),
    (&["invalid username/password"], PullFault::Rejected),
    (&["401 unauthorized"], PullFault::Rejected),
    (
        &["unauthorized: authentication required"],
        PullFault::NoCredentials,
    ),
    (&["denied: not authorized"], PullFault::Rejected),
    (&["403 forbidden"], PullFault::Forbidden),
    (&["insufficient_scope"], PullFault::NoCredentials),
    (&["authorization failed"], PullFault::NoCredentials),
    (&["pull access denied"], PullFault::NoCredentials),
    (&["failed to do request"], PullFault::Unreachable),
    (&["illegal base64 data"], PullFault::BadSecret),
    (
        &["must be formatted as base64(username:password)"],
        PullFault::BadSecret,
    ),
    (&["unable to parse auth field"], PullFault::BadSecret),
];

/// Whether the text names an HTTP status of this range the way container runtimes do.
fn has_status(text: &str, range: std::ops::Range<u16>) -> bool {
    let after = |marker: &str| {
        text.split(marker).skip(1).any(|rest| {
            let number: String = rest
                .trim_start_matches([' ', ':', '['])
                .chars()
                .take_while(char::is_ascii_digit)
                .collect();
            number.len() == 3 && number.parse().is_ok_and(|status| range.contains(&status))
        })
    };
    // "unexpected status from HEAD request to https://…/manifests/T: 503 Service Unavailable".
    after("unexpected status code")
        || after("received unexpected http status")
        || (text.contains("unexpected status from") && after(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_each_runtime_lead_to_the_cause() {
        use PullFault as F;
        let table = [
            // containerd
            (
                r#"failed to pull and unpack image "R": failed to resolve reference "R": pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials"#,
                F::NoCredentials,
            ),
            (
                r#"failed to resolve reference "R": unexpected status from HEAD request to https://h/v2/a/manifests/t: 403 Forbidden"#,
                F::Forbidden,
            ),
            (
                "unexpected status code [manifests t]: 403 Forbidden",
                F::Forbidden,
            ),
            (
                "unexpected status from GET request to https://h/v2/a/manifests/t: 403 Forbidden: denied: Your authorization token has expired. Reauthenticate and try again.",
                F::Expired,
            ),
            (
                r#"rpc error: code = NotFound desc = failed to pull and unpack image "R": failed to resolve reference "R": R: not found"#,
                F::NotFound,
            ),
            (
                r#"rpc error: code = NotFound desc = failed to pull and unpack image "R": failed to resolve image: R: not found"#,
                F::NotFound,
            ),
            (
                r#"failed to pull and unpack image "R": failed to resolve image: unexpected status from HEAD request to https://h/v2/a/manifests/t: 403 Forbidden"#,
                F::Forbidden,
            ),
            (
                r#"failed to pull and unpack image "R": failed to resolve image: failed to do request: Head "https://h/v2/a/manifests/t": EOF"#,
                F::Unreachable,
            ),
            (
                r#"failed to pull and unpack image "R": no match for platform in manifest: not found"#,
                F::Platform,
            ),
            (
                r#"failed to do request: Head "https://h/v2/": dial tcp: lookup h: no such host"#,
                F::Dns,
            ),
            (
                r#"failed to do request: Head "https://h/v2/": dial tcp 10.0.0.1:443: i/o timeout"#,
                F::Unreachable,
            ),
            (
                r#"failed to do request: Head "https://h/v2/": dial tcp 10.0.0.1:443: connect: connection refused"#,
                F::Unreachable,
            ),
            (
                "tls: failed to verify certificate: x509: certificate signed by unknown authority",
                F::Certificate,
            ),
            (
                "x509: certificate has expired or is not yet valid: current time 2026-01-01 is before 2026-02-01",
                F::Clock,
            ),
            (
                "unexpected status from HEAD request to https://h/v2/a/manifests/t: 503 Service Unavailable",
                F::RegistryTrouble,
            ),
            (
                "unexpected status from HEAD request to https://h/v2/a/manifests/t: 500 Internal Server Error",
                F::RegistryTrouble,
            ),
            (
                "failed to copy: httpReadSeeker: failed open: failed to do request",
                F::Unreachable,
            ),
            (
                "unexpected status from HEAD request to https://h/v2/a: 429 Too Many Requests",
                F::RateLimited,
            ),
            (
                "unexpected status from HEAD request to https://h/v2/a: 401 Unauthorized",
                F::Rejected,
            ),
            // Docker engine
            (
                r#"Error response from daemon: Head "https://h/v2/a/manifests/t": no basic auth credentials"#,
                F::NoCredentials,
            ),
            (
                "Error response from daemon: pull access denied for R, repository does not exist or may require 'docker login': denied: Your authorization token has expired. Reauthenticate and try again.",
                F::Expired,
            ),
            (
                "denied: Your Authorization Token has expired. Please run 'aws ecr get-login' to fetch a new one.",
                F::Expired,
            ),
            (
                "denied: User: arn:aws:iam::1:user/x is not authorized to perform: ecr:BatchGetImage on resource: r because no resource-based policy allows it",
                F::Denied,
            ),
            (
                "Error response from daemon: manifest for R not found: manifest unknown: Requested image not found",
                F::NotFound,
            ),
            (
                "name unknown: The repository with name 'x' does not exist in the registry with id '123456789012'",
                F::NoRepository,
            ),
            (
                "no matching manifest for linux/arm64/v8 in the manifest list entries",
                F::Platform,
            ),
            ("denied: Not Authorized", F::Rejected),
            (
                "Error response from daemon: received unexpected HTTP status: 503 Service Unavailable",
                F::RegistryTrouble,
            ),
            // CRI-O
            (
                "reading manifest t in h/a: unauthorized: authentication required",
                F::NoCredentials,
            ),
            (
                "unable to retrieve auth token: invalid username/password",
                F::Rejected,
            ),
            (
                "choosing image instance: no image found in manifest list for architecture arm64",
                F::Platform,
            ),
            // The kubelet itself
            ("illegal base64 data at input byte 0", F::BadSecret),
            ("write /var/lib/x: no space left on device", F::NoSpace),
            ("something nobody has seen", F::Unknown),
            ("", F::Unknown),
        ];
        for (message, expected) in table {
            assert_eq!(F::of_message(message), expected, "{message}");
        }
    }

    #[test]
    fn the_reason_decides_where_the_message_cannot() {
        assert_eq!(
            PullFault::read("InvalidImageName", ""),
            PullFault::InvalidName
        );
        assert_eq!(
            PullFault::read("ErrImageNeverPull", "x"),
            PullFault::NeverPolicy
        );
        assert_eq!(
            PullFault::read("RegistryUnavailable", "x"),
            PullFault::RegistryTrouble
        );
        assert_eq!(
            PullFault::read("ErrImagePull", "403 Forbidden"),
            PullFault::Forbidden
        );
    }

    #[test]
    fn credentials_do_not_heal_by_themselves_and_a_network_may() {
        assert!(PullFault::Forbidden.is_about_credentials() && !PullFault::Forbidden.may_heal());
        assert!(PullFault::Dns.may_heal() && !PullFault::Dns.is_about_credentials());
        assert!(!PullFault::NotFound.may_heal() && !PullFault::NotFound.is_about_credentials());
    }
}
