//! ECR's own answers to what it does not do.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::json;

use super::super::fault::Failure;
use super::super::host::Registry;
use super::super::refusal::denied;
use super::proxy::Answer;

/// Says which API answers; Docker looks for it.
pub(super) const API_VERSION: (HeaderName, HeaderValue) = (
    HeaderName::from_static("docker-distribution-api-version"),
    HeaderValue::from_static("registry/2.0"),
);

/// What ECR says when it does not do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No credentials, or some that are no token at all.
    NotAuthorized,
    /// A token that nobody issued.
    InvalidToken,
    /// A token whose time is over, or of another region.
    ExpiredToken,
    /// No policy allows it.
    Denied {
        principal: String,
        action: String,
        resource: String,
    },
    /// No such repository.
    NoRepository { name: String, account: String },
    /// No such image.
    NoImage,
    /// The tag is there and may not move.
    FixedTag { name: String, tag: String },
    /// Not a manifest.
    BadManifest(String),
    /// No such path or method.
    Unsupported,
    /// A fault that was asked for, or the parts behind the front are not there.
    Failing { status: u16, reason: String },
    /// What stands before a registry answers in its place, and knows nothing of a registry's errors.
    Outage(u16),
}

impl Refusal {
    /// A fault that was asked for; none is a connection that ends.
    pub(super) fn planned(
        failure: &Failure,
        principal: &str,
        action: &str,
        resource: &str,
    ) -> Option<Self> {
        let failing = |status: u16, reason: &str| Self::Failing {
            status,
            reason: reason.to_owned(),
        };
        Some(match failure {
            Failure::Hangup => return None,
            Failure::Status(401) => Self::NotAuthorized,
            Failure::Status(429) => failing(429, "Rate exceeded"),
            Failure::Status(status) if *status >= 500 => Self::Outage(*status),
            Failure::Status(status) => failing(*status, "The request failed."),
            Failure::Named(name) => match name.as_str() {
                "AccessDeniedException" | "AccessDenied" => Self::Denied {
                    principal: principal.to_owned(),
                    action: action.to_owned(),
                    resource: resource.to_owned(),
                },
                "ExpiredTokenException" | "ExpiredToken" => Self::ExpiredToken,
                "ThrottlingException" | "TooManyRequestsException" => failing(429, "Rate exceeded"),
                other => failing(400, other),
            },
        })
    }

    fn parts(&self) -> (u16, &'static str, String) {
        match self {
            Self::NotAuthorized => (401, "UNAUTHORIZED", "Not Authorized".to_owned()),
            Self::InvalidToken => (
                403,
                "DENIED",
                "Your Authorization Token is invalid.".to_owned(),
            ),
            Self::ExpiredToken => (
                403,
                "DENIED",
                "Your authorization token has expired. Reauthenticate and try again.".to_owned(),
            ),
            Self::Denied {
                principal,
                action,
                resource,
            } => (403, "DENIED", denied(principal, action, resource)),
            Self::NoRepository { name, account } => (
                404,
                "NAME_UNKNOWN",
                format!(
                    "The repository with name '{name}' does not exist in the registry with id '{account}'"
                ),
            ),
            Self::NoImage => (
                404,
                "MANIFEST_UNKNOWN",
                "Requested image not found".to_owned(),
            ),
            Self::FixedTag { name, tag } => (
                400,
                "TAG_INVALID",
                format!(
                    "The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because the repository is immutable."
                ),
            ),
            Self::BadManifest(reason) => (400, "MANIFEST_INVALID", reason.clone()),
            Self::Unsupported => (
                405,
                "UNSUPPORTED",
                "The operation is unsupported.".to_owned(),
            ),
            Self::Failing { status, reason } => {
                let code = match status {
                    429 => "TOOMANYREQUESTS",
                    503 => "UNAVAILABLE",
                    403 => "DENIED",
                    _ => "UNKNOWN",
                };
                (*status, code, reason.clone())
            }
            Self::Outage(status) => (*status, "", "no registry here".to_owned()),
        }
    }

    /// The whole answer. A HEAD request gets no body.
    pub(super) fn answer(&self, host: &str, with_body: bool) -> Answer {
        let (status, code, message) = self.parts();
        // ECR's 401 is plain text; everything else of its own is the registry's JSON.
        let plain = matches!(self, Self::NotAuthorized | Self::Outage(_));
        let (kind, body) = if plain {
            ("text/plain; charset=utf-8", format!("{message}\n"))
        } else {
            let body = json!({ "errors": [{ "code": code, "message": message }] });
            ("application/json; charset=utf-8", format!("{body}\n"))
        };
        let body = if with_body {
            Bytes::from(body)
        } else {
            Bytes::new()
        };
        let mut answer = Response::new(Full::new(body).map_err(|never| match never {}).boxed());
        *answer.status_mut() =
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = answer.headers_mut();
        let (name, value) = API_VERSION;
        headers.insert(name, value);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        let challenge = format!("Basic realm=\"https://{host}/\",service=\"ecr.amazonaws.com\"");
        if *self == Self::NotAuthorized
            && let Ok(challenge) = HeaderValue::from_str(&challenge)
        {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        answer
    }

    /// No such repository in a registry.
    pub(super) fn no_repository(registry: &Registry, name: &str) -> Self {
        Self::NoRepository {
            name: name.to_owned(),
            account: registry.account.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

    async fn text(refusal: &Refusal) -> (u16, String) {
        let answer = refusal.answer(HOST, true);
        let status = answer.status().as_u16();
        let body = answer
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn answers_have_ecrs_status_code_and_text() {
        let name = "knowledge-repo-dev/web".to_owned();
        let arn = "arn:aws:sts::123456789012:assumed-role/x-pull/s".to_owned();
        let resource =
            "arn:aws:ecr:eu-central-1:123456789012:repository/knowledge-repo-dev/web".to_owned();
        for (refusal, status, code, message) in [
            (Refusal::ExpiredToken, 403, "DENIED", "Your authorization token has expired. Reauthenticate and try again.".to_owned()),
            (Refusal::InvalidToken, 403, "DENIED", "Your Authorization Token is invalid.".to_owned()),
            (Refusal::NoRepository { name: name.clone(), account: "123456789012".to_owned() }, 404, "NAME_UNKNOWN", "The repository with name 'knowledge-repo-dev/web' does not exist in the registry with id '123456789012'".to_owned()),
            (Refusal::NoImage, 404, "MANIFEST_UNKNOWN", "Requested image not found".to_owned()),
            (Refusal::FixedTag { name, tag: "v1".to_owned() }, 400, "TAG_INVALID", "The image tag 'v1' already exists in the 'knowledge-repo-dev/web' repository and cannot be overwritten because the repository is immutable.".to_owned()),
            (Refusal::Denied { principal: arn.clone(), action: "ecr:InitiateLayerUpload".to_owned(), resource: resource.clone() }, 403, "DENIED", format!("User: {arn} is not authorized to perform: ecr:InitiateLayerUpload on resource: {resource} because no identity-based policy allows the ecr:InitiateLayerUpload action")),
        ] {
            let expected = json!({"errors": [{"code": code, "message": message}]}).to_string() + "\n";
            assert_eq!(text(&refusal).await, (status, expected));
        }
    }

    #[tokio::test]
    async fn a_missing_login_is_plain_text_with_a_challenge() {
        assert_eq!(
            text(&Refusal::NotAuthorized).await,
            (401, "Not Authorized\n".to_owned())
        );
        let answer = Refusal::NotAuthorized.answer(HOST, false);
        assert_eq!(
            answer.headers()[WWW_AUTHENTICATE],
            format!("Basic realm=\"https://{HOST}/\",service=\"ecr.amazonaws.com\"")
        );
        let body = answer
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        assert!(body.is_empty());
    }

    #[test]
    fn planned_faults_become_registry_errors() {
        let of = |failure| Refusal::planned(&failure, "arn", "ecr:PutImage", "r");
        assert_eq!(of(Failure::Hangup), None);
        let named =
            |name: &str| of(Failure::Named(name.to_owned())).map(|refusal| refusal.parts().0);
        assert_eq!(named("ThrottlingException"), Some(429));
        assert_eq!(named("AccessDeniedException"), Some(403));
        assert_eq!(of(Failure::Status(503)), Some(Refusal::Outage(503)));
        let message = |refusal: Option<Refusal>| refusal.map(|it| it.parts().2);
        assert_eq!(
            message(of(Failure::Status(429))),
            message(of(Failure::Named("ThrottlingException".to_owned())))
        );
    }
}
