//! The emulator behind the front: passing requests on, and asking it on the front's own account.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use thiserror::Error;

use super::operation::Scope;

/// Chooses the account of a request in the emulator, whatever key signed it.
pub(super) const ACCOUNT_HEADER: HeaderName = HeaderName::from_static("x-moto-account-id");

/// How long the emulator may take for one answer.
const PATIENCE: Duration = Duration::from_mins(2);

/// Headers that belong to one connection, not to the message.
const OF_THE_CONNECTION: [&str; 9] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a header is passed on.
pub(super) fn passes(name: &HeaderName) -> bool {
    !OF_THE_CONNECTION.contains(&name.as_str())
}

/// Why the emulator did not do what the front asked.
#[derive(Debug, Error)]
pub(super) enum MotoError {
    /// Nobody listens, or the connection broke.
    #[error("the AWS emulator at {base} does not answer: {}", causes(source))]
    Unreachable {
        base: String,
        source: hyper_util::client::legacy::Error,
    },
    /// The answer broke off.
    #[error(
        "the answer of the AWS emulator at {base} broke off: {}",
        causes(source)
    )]
    BrokeOff { base: String, source: hyper::Error },
    /// No answer in time.
    #[error("the AWS emulator at {0} took too long")]
    TookTooLong(String),
    /// The request could not be written as HTTP.
    #[error("the request for the AWS emulator is not valid HTTP: {0}")]
    Request(#[from] http::Error),
    /// It refused, with its status and its text.
    #[error("the AWS emulator refused to {action}: {status} {text}")]
    Refused {
        action: String,
        status: StatusCode,
        text: String,
    },
}

impl MotoError {
    /// Whether the emulator may have been replaced by a new one.
    pub(super) fn is_of_the_connection(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::BrokeOff { .. } | Self::TookTooLong(_)
        )
    }

    /// Whether it refused with that AWS error.
    pub(super) fn names(&self, code: &str) -> bool {
        matches!(self, Self::Refused { text, .. } if text.contains(code))
    }
}

/// An error with everything that it came from: HTTP clients keep the cause to themselves.
pub(super) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The emulator at its address.
#[derive(Clone, Debug)]
pub(super) struct Moto {
    base: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Moto {
    /// The emulator at `http://HOST:PORT`; nothing is sent yet.
    pub(super) fn at(base: &str) -> Self {
        Self {
            base: base.trim_end_matches('/').to_owned(),
            client: Client::builder(TokioExecutor::new())
                // A kept connection to an emulator that was replaced would fail one request.
                .pool_max_idle_per_host(0)
                .http1_preserve_header_case(true)
                .build(HttpConnector::new()),
        }
    }

    /// Sends one request. Repeated headers stay apart, and the Host header stays the client's.
    pub(super) async fn send(
        &self,
        method: &Method,
        target: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Bytes>, MotoError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.base))
            .body(Full::new(body))?;
        for (name, value) in headers {
            if passes(name) && *name != http::header::CONTENT_LENGTH {
                request.headers_mut().append(name, value.clone());
            }
        }
        let exchange =
            async {
                let answer = self.client.request(request).await.map_err(|source| {
                    MotoError::Unreachable {
                        base: self.base.clone(),
                        source,
                    }
                })?;
                let (head, body) = answer.into_parts();
                let body = body
                    .collect()
                    .await
                    .map_err(|source| MotoError::BrokeOff {
                        base: self.base.clone(),
                        source,
                    })?
                    .to_bytes();
                Ok(Response::from_parts(head, body))
            };
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .unwrap_or_else(|_| Err(MotoError::TookTooLong(self.base.clone())))
    }

    /// The same as an account and a region of one's own choice.
    pub(super) async fn ask(&self, request: Asked<'_>, account: &str) -> Result<Bytes, MotoError> {
        let answer = self
            .send(
                request.method,
                request.target,
                &request.headers(account),
                request.body.clone(),
            )
            .await?;
        if answer.status().is_success() {
            return Ok(answer.into_body());
        }
        Err(MotoError::Refused {
            action: request.action.to_owned(),
            status: answer.status(),
            text: String::from_utf8_lossy(answer.body()).trim().to_owned(),
        })
    }

    /// Asks ECR for something in an account and a region.
    pub(super) async fn ecr(
        &self,
        account: &str,
        region: &str,
        action: &str,
        body: &Value,
    ) -> Result<Value, MotoError> {
        let answer = self.ask(Asked::ecr(region, action, body), account).await?;
        Ok(serde_json::from_slice(&answer).unwrap_or_default())
    }

    /// Asks IAM or STS for something; the answer is XML.
    pub(super) async fn query(
        &self,
        account: &str,
        scope: &Scope,
        form: &str,
    ) -> Result<String, MotoError> {
        let asked = Asked {
            action: form,
            method: &Method::POST,
            target: "/",
            kind: "application/x-www-form-urlencoded",
            amz_target: None,
            scope: scope.clone(),
            body: Bytes::from(form.to_owned()),
        };
        let answer = self.ask(asked, account).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

/// A request of the front's own.
#[derive(Clone, Debug)]
pub(super) struct Asked<'a> {
    pub(super) action: &'a str,
    pub(super) method: &'a Method,
    pub(super) target: &'a str,
    pub(super) kind: &'static str,
    pub(super) amz_target: Option<String>,
    pub(super) scope: Scope,
    pub(super) body: Bytes,
}

impl<'a> Asked<'a> {
    /// An ECR action.
    pub(super) fn ecr(region: &str, action: &'a str, body: &Value) -> Self {
        Self {
            action,
            method: &Method::POST,
            target: "/",
            kind: "application/x-amz-json-1.1",
            amz_target: Some(format!("AmazonEC2ContainerRegistry_V20150921.{action}")),
            scope: own_scope(region, "ecr"),
            body: Bytes::from(body.to_string()),
        }
    }

    /// An S3 request.
    pub(super) fn s3(action: &'a str, method: &'a Method, target: &'a str, body: Bytes) -> Self {
        Self {
            action,
            method,
            target,
            kind: "application/octet-stream",
            amz_target: None,
            scope: own_scope("us-east-1", "s3"),
            body,
        }
    }

    /// Its headers, for an account; an empty account is the emulator's own.
    pub(super) fn headers(&self, account: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(
            http::header::CONTENT_TYPE,
            HeaderValue::from_static(self.kind),
        );
        let texts = [
            (
                http::header::AUTHORIZATION,
                Some(self.scope.unsigned_header()),
            ),
            (
                HeaderName::from_static("x-amz-target"),
                self.amz_target.clone(),
            ),
            (
                ACCOUNT_HEADER,
                (!account.is_empty()).then(|| account.to_owned()),
            ),
        ];
        for (name, text) in texts {
            if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
                headers.insert(name, value);
            }
        }
        headers
    }
}

/// The scope of the front's own requests.
pub(super) fn own_scope(region: &str, service: &str) -> Scope {
    Scope {
        access_key: "ecr-front".to_owned(),
        date: "20260101".to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
    }
}
