//! Errors as each AWS protocol writes them.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::json;

use super::operation::{Operation, Protocol};
use super::xml::escape;

/// An error of an AWS API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The HTTP status.
    pub(super) status: StatusCode,
    /// The error's name in the protocol of the service.
    pub(super) code: String,
    /// What a person reads.
    pub(super) message: String,
}

impl Refusal {
    /// A bare status, as a failing service or a proxy on the way answers.
    pub(super) fn of_status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (code, message) = match status.as_u16() {
            429 => ("ThrottlingException", "Rate exceeded"),
            503 => (
                "ServiceUnavailable",
                "Service is unavailable. Please try again.",
            ),
            500..=599 => (
                "InternalFailure",
                "The request processing has failed because of an unknown error, exception or failure.",
            ),
            _ => ("ClientError", "The request was refused."),
        };
        Self {
            status,
            code: code.to_owned(),
            message: message.to_owned(),
        }
    }

    /// One of AWS's errors, spelled as the operation's service spells it, with AWS's own sentence.
    /// `principal` is the caller's ARN.
    pub(super) fn named(name: &str, operation: &Operation, principal: &str) -> Self {
        let kind = Kind::of(name);
        let code = kind
            .and_then(|kind| kind.code(operation.protocol))
            .unwrap_or(name);
        let message = kind.map_or_else(
            || format!("The request failed with {name}."),
            |kind| kind.message(operation, principal),
        );
        let status = kind.map_or(400, |kind| kind.status(operation.protocol));
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST),
            code: code.to_owned(),
            message,
        }
    }

    /// The whole answer.
    pub(super) fn answer(&self, protocol: Protocol, service: &str) -> Response<Full<Bytes>> {
        let id = format!("{:032x}", rand::random::<u128>());
        let (kind, body) = match protocol {
            Protocol::Json10 => (
                "application/x-amz-json-1.0",
                json!({
                    "__type": format!("com.amazonaws.{service}.v20120810#{}", self.code),
                    "message": self.message,
                })
                .to_string(),
            ),
            Protocol::Json11 | Protocol::Rest => (
                "application/x-amz-json-1.1",
                json!({"__type": self.code, "message": self.message}).to_string(),
            ),
            Protocol::Query => ("text/xml", self.query_xml(service, &id)),
            Protocol::S3 => (
                "application/xml",
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message><RequestId>{id}</RequestId><HostId>{id}</HostId></Error>",
                    escape(&self.code),
                    escape(&self.message)
                ),
            ),
        };
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert("content-type", http::HeaderValue::from_static(kind));
        if let Ok(id) = http::HeaderValue::from_str(&id) {
            headers.insert("x-amzn-requestid", id.clone());
            headers.insert("x-amz-request-id", id);
        }
        if let Ok(code) = http::HeaderValue::from_str(&self.code)
            && protocol == Protocol::Rest
        {
            headers.insert("x-amzn-errortype", code);
        }
        response
    }

    fn query_xml(&self, service: &str, id: &str) -> String {
        let namespace = match service {
            "iam" => "https://iam.amazonaws.com/doc/2010-05-08/",
            _ => "https://sts.amazonaws.com/doc/2011-06-15/",
        };
        let at_fault = if self.status.is_server_error() {
            "Receiver"
        } else {
            "Sender"
        };
        format!(
            "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>{at_fault}</Type><Code>{}</Code><Message>{}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>",
            escape(&self.code),
            escape(&self.message)
        )
    }
}

/// Errors that services spell each in their own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    AccessDenied,
    Throttling,
    ExpiredToken,
    UnknownKey,
    BadSignature,
    MissingToken,
    Unavailable,
    Internal,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "AccessDeniedException" | "AccessDenied" => Self::AccessDenied,
            "ThrottlingException" | "Throttling" | "SlowDown" | "TooManyRequestsException" => {
                Self::Throttling
            }
            "ExpiredTokenException" | "ExpiredToken" => Self::ExpiredToken,
            "UnrecognizedClientException" | "InvalidClientTokenId" | "InvalidAccessKeyId" => {
                Self::UnknownKey
            }
            "InvalidSignatureException" | "SignatureDoesNotMatch" => Self::BadSignature,
            "MissingAuthenticationTokenException" | "MissingAuthenticationToken" => {
                Self::MissingToken
            }
            "ServiceUnavailable" | "ServiceUnavailableException" => Self::Unavailable,
            "ServerException" | "InternalFailure" | "InternalError" | "InternalServerError" => {
                Self::Internal
            }
            _ => return None,
        })
    }

    /// The spelling of a protocol; none when the name that was given stays.
    fn code(self, protocol: Protocol) -> Option<&'static str> {
        let (json, query, s3) = match self {
            Self::AccessDenied => ("AccessDeniedException", "AccessDenied", "AccessDenied"),
            Self::Throttling => ("ThrottlingException", "Throttling", "SlowDown"),
            Self::ExpiredToken => ("ExpiredTokenException", "ExpiredToken", "ExpiredToken"),
            Self::UnknownKey => (
                "UnrecognizedClientException",
                "InvalidClientTokenId",
                "InvalidAccessKeyId",
            ),
            Self::BadSignature => (
                "InvalidSignatureException",
                "SignatureDoesNotMatch",
                "SignatureDoesNotMatch",
            ),
            Self::MissingToken => (
                "MissingAuthenticationTokenException",
                "MissingAuthenticationToken",
                "AccessDenied",
            ),
            Self::Unavailable => (
                "ServiceUnavailable",
                "ServiceUnavailable",
                "ServiceUnavailable",
            ),
            Self::Internal => return None,
        };
        Some(match protocol {
            Protocol::Json10 | Protocol::Json11 | Protocol::Rest => json,
            Protocol::Query => query,
            Protocol::S3 => s3,
        })
    }

    fn status(self, protocol: Protocol) -> u16 {
        let json = matches!(protocol, Protocol::Json10 | Protocol::Json11);
        match self {
            Self::Unavailable => 503,
            Self::Internal => 500,
            Self::Throttling if protocol == Protocol::S3 => 503,
            Self::Throttling => 400,
            Self::ExpiredToken if protocol == Protocol::S3 => 400,
            _ if json => 400,
            _ => 403,
        }
    }

    fn message(self, operation: &Operation, principal: &str) -> String {
        match self {
            Self::AccessDenied => denied(principal, &operation.to_string(), "*"),
            Self::Throttling => "Rate exceeded".to_owned(),
            Self::ExpiredToken => "The security token included in the request is expired".to_owned(),
            Self::UnknownKey => "The security token included in the request is invalid.".to_owned(),
            Self::BadSignature => "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.".to_owned(),
            Self::MissingToken => "Missing Authentication Token".to_owned(),
            Self::Unavailable => "Service is unavailable. Please try again.".to_owned(),
            Self::Internal => "The request processing has failed because of an unknown error, exception or failure.".to_owned(),
        }
    }
}

/// AWS's sentence for an action that no policy allows.
pub(super) fn denied(principal: &str, action: &str, resource: &str) -> String {
    format!(
        "User: {principal} is not authorized to perform: {action} on resource: {resource} because no identity-based policy allows the {action} action"
    )
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn operation(service: &str, action: &str, protocol: Protocol) -> Operation {
        Operation {
            service: service.to_owned(),
            action: action.to_owned(),
            protocol,
            scope: None,
        }
    }

    async fn text(refusal: &Refusal, operation: &Operation) -> String {
        let answer = refusal.answer(operation.protocol, &operation.service);
        let body = answer
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        String::from_utf8(body.to_vec()).expect("text")
    }

    #[tokio::test]
    async fn each_protocol_spells_an_error_in_its_own_way() {
        let arn = "arn:aws:iam::123456789012:user/u";
        for (name, service, protocol, status, expected) in [
            (
                "ThrottlingException",
                "ecr",
                Protocol::Json11,
                400,
                r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#,
            ),
            (
                "AccessDeniedException",
                "dynamodb",
                Protocol::Json10,
                400,
                r#""__type":"com.amazonaws.dynamodb.v20120810#AccessDeniedException""#,
            ),
            (
                "AccessDeniedException",
                "s3",
                Protocol::S3,
                403,
                "<Code>AccessDenied</Code>",
            ),
            (
                "ThrottlingException",
                "s3",
                Protocol::S3,
                503,
                "<Code>SlowDown</Code>",
            ),
            (
                "ExpiredTokenException",
                "sts",
                Protocol::Query,
                403,
                "<Type>Sender</Type><Code>ExpiredToken</Code>",
            ),
            (
                "UnrecognizedClientException",
                "sts",
                Protocol::Query,
                403,
                "<Code>InvalidClientTokenId</Code>",
            ),
            (
                "NoSuchKey",
                "s3",
                Protocol::S3,
                400,
                "<Code>NoSuchKey</Code>",
            ),
        ] {
            let operation = operation(service, "Act", protocol);
            let refusal = Refusal::named(name, &operation, arn);
            assert_eq!(refusal.status.as_u16(), status, "{name} {service}");
            let text = text(&refusal, &operation).await;
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn a_denial_names_the_principal_and_the_action() {
        let operation = operation("ecr", "GetAuthorizationToken", Protocol::Json11);
        let refusal = Refusal::named("AccessDeniedException", &operation, "arn:aws:iam::1:user/u");
        assert_eq!(
            refusal.message,
            "User: arn:aws:iam::1:user/u is not authorized to perform: ecr:GetAuthorizationToken on resource: * because no identity-based policy allows the ecr:GetAuthorizationToken action"
        );
    }

    #[test]
    fn a_bare_status_keeps_its_number() {
        for status in [404, 429, 500, 503, 599] {
            assert_eq!(Refusal::of_status(status).status.as_u16(), status);
        }
    }
}
