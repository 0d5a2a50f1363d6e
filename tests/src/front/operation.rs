//! Which AWS operation a request is: its service, action, wire protocol and caller.

use std::fmt;

use http::{HeaderMap, Method, Uri, request::Parts};
use percent_encoding::percent_decode_str;

use super::s3;

/// The `X-Amz-Target` prefix of private ECR.
const ECR_TARGET: &str = "AmazonEC2ContainerRegistry_V20150921";
/// The `X-Amz-Target` prefix of ECR Public.
const ECR_PUBLIC_TARGET: &str = "SpencerFrontendService";
/// The `X-Amz-Target` prefix of `DynamoDB`.
const DYNAMODB_TARGET: &str = "DynamoDB_20120810";

/// The wire protocol of a request; it decides how an error is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// AWS JSON 1.0 (`DynamoDB`).
    Json10,
    /// AWS JSON 1.1 (ECR).
    Json11,
    /// AWS Query: a form in, XML out (STS, IAM).
    Query,
    /// S3's REST and XML.
    S3,
    /// Any other REST protocol.
    Rest,
}

/// The credential scope of a `SigV4` signature: who signed, for which region and service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// The access key id.
    pub(super) access_key: String,
    /// The day of the signature, as `YYYYMMDD`.
    pub(super) date: String,
    /// The region that the signature is for.
    pub(super) region: String,
    /// The signing name of the service.
    pub(super) service: String,
}

impl Scope {
    /// Reads the scope from the `Authorization` header or from a presigned query.
    pub(super) fn of(headers: &HeaderMap, uri: &Uri) -> Option<Self> {
        let signed = headers
            .get(http::header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("AWS4-HMAC-SHA256 "))
            .and_then(|rest| {
                rest.split(',')
                    .find_map(|part| part.trim().strip_prefix("Credential="))
                    .map(str::to_owned)
            });
        let credential = signed.or_else(|| query_value(uri, "X-Amz-Credential"))?;
        let mut parts = credential.split('/');
        let scope = Self {
            access_key: parts.next()?.to_owned(),
            date: parts.next()?.to_owned(),
            region: parts.next()?.to_owned(),
            service: parts.next()?.to_owned(),
        };
        (parts.next() == Some("aws4_request") && !scope.access_key.is_empty()).then_some(scope)
    }

    /// An `Authorization` header that names this scope and proves nothing: the emulator reads the
    /// region and the service out of it and checks no signature.
    pub(super) fn unsigned_header(&self) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{}/{}/{}/aws4_request, SignedHeaders=host, Signature=0",
            self.access_key, self.date, self.region, self.service
        )
    }
}

/// One operation of an AWS API.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    /// The service's signing name: `ecr`, `ecr-public`, `s3`, `dynamodb`, `sts`, `iam`.
    pub(super) service: String,
    /// The action as AWS spells it, for example `GetAuthorizationToken`.
    pub(super) action: String,
    /// How requests and errors are written.
    pub(super) protocol: Protocol,
    /// Who asks, when the request is signed.
    pub(super) scope: Option<Scope>,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.action)
    }
}

impl Operation {
    /// Recognises the operation. What fits no protocol is taken for REST with the method as its
    /// action.
    pub(super) fn of(head: &Parts, body: &[u8]) -> Self {
        let scope = Scope::of(&head.headers, &head.uri);
        let signed_for = scope
            .as_ref()
            .map_or_else(String::new, |scope| scope.service.clone());
        let of = |service: String, action: String, protocol| Self {
            service,
            action,
            protocol,
            scope: scope.clone(),
        };
        if let Some((target, action)) = header(&head.headers, "x-amz-target")
            .as_deref()
            .and_then(|target| target.rsplit_once('.'))
        {
            let service = match target {
                ECR_TARGET => "ecr".to_owned(),
                ECR_PUBLIC_TARGET => "ecr-public".to_owned(),
                DYNAMODB_TARGET => "dynamodb".to_owned(),
                _ => signed_for,
            };
            let json10 = header(&head.headers, "content-type")
                .is_some_and(|kind| kind.starts_with("application/x-amz-json-1.0"));
            let protocol = if json10 {
                Protocol::Json10
            } else {
                Protocol::Json11
            };
            return of(service, action.to_owned(), protocol);
        }
        let form = header(&head.headers, "content-type")
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        let action = form
            .then(|| form_value(body, "Action"))
            .flatten()
            .or_else(|| query_value(&head.uri, "Action"));
        if let Some(action) = action {
            return of(signed_for, action, Protocol::Query);
        }
        if signed_for.is_empty() || signed_for == "s3" {
            let action = s3::action(&head.method, &head.uri, &head.headers);
            return of("s3".to_owned(), action.to_owned(), Protocol::S3);
        }
        of(signed_for, head.method.to_string(), Protocol::Rest)
    }

    /// Whether the operation changes something, judged as AWS names its actions.
    pub(super) fn changes_something(&self, method: &Method) -> bool {
        match self.protocol {
            Protocol::S3 | Protocol::Rest => {
                matches!(
                    *method,
                    Method::PUT | Method::POST | Method::DELETE | Method::PATCH
                ) && self.action != "SelectObjectContent"
            }
            // Sessions are random and short-lived: the front remembers whose they are instead.
            Protocol::Query if self.service == "sts" => false,
            Protocol::Json10 | Protocol::Json11 | Protocol::Query => ![
                "Get",
                "Describe",
                "List",
                "BatchGet",
                "BatchCheck",
                "Head",
                "Simulate",
                "Query",
                "Scan",
                "TransactGet",
            ]
            .iter()
            .any(|reading| self.action.starts_with(reading)),
        }
    }
}

/// A header's value as text.
pub(super) fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The decoded value of the first query parameter of that name.
pub(super) fn query_value(uri: &Uri, name: &str) -> Option<String> {
    form_value(uri.query()?.as_bytes(), name)
}

/// The decoded value of the first field of that name in a form.
pub(super) fn form_value(form: &[u8], name: &str) -> Option<String> {
    form.split(|byte| *byte == b'&').find_map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key) == name).then(|| decode(value))
    })
}

/// Decodes `%XX` and `+` as forms and queries write them.
fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " "))
        .decode_utf8_lossy()
        .into_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use http::Request;

    use super::*;

    /// A signed request's head.
    pub(in super::super) fn head(
        method: &str,
        path: &str,
        service: &str,
        headers: &[(&str, &str)],
    ) -> Parts {
        let mut request = Request::builder().method(method).uri(path).header(
            "authorization",
            format!(
                "AWS4-HMAC-SHA256 Credential=AKIDTEST/20261123/eu-central-1/{service}/aws4_request, SignedHeaders=host;x-amz-date, Signature=abc"
            ),
        );
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn each_protocol_is_recognised() {
        let json11 = ("content-type", "application/x-amz-json-1.1");
        let json10 = ("content-type", "application/x-amz-json-1.0");
        let form = (
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8",
        );
        let ecr = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";
        let spencer = "SpencerFrontendService.GetAuthorizationToken";
        let dynamo = "DynamoDB_20120810.PutItem";
        for (service, headers, body, expected, protocol, changes) in [
            (
                "ecr",
                vec![("x-amz-target", ecr), json11],
                "{}",
                "ecr:GetAuthorizationToken",
                Protocol::Json11,
                false,
            ),
            (
                "ecr-public",
                vec![("x-amz-target", spencer), json11],
                "{}",
                "ecr-public:GetAuthorizationToken",
                Protocol::Json11,
                false,
            ),
            (
                "dynamodb",
                vec![("x-amz-target", dynamo), json10],
                "{}",
                "dynamodb:PutItem",
                Protocol::Json10,
                true,
            ),
            (
                "sts",
                vec![form],
                "Action=GetCallerIdentity&Version=2011-06-15",
                "sts:GetCallerIdentity",
                Protocol::Query,
                false,
            ),
            (
                "sts",
                vec![form],
                "Action=AssumeRole",
                "sts:AssumeRole",
                Protocol::Query,
                false,
            ),
            (
                "iam",
                vec![form],
                "Version=2010-05-08&Action=CreateRole",
                "iam:CreateRole",
                Protocol::Query,
                true,
            ),
            ("lambda", vec![], "", "lambda:POST", Protocol::Rest, true),
        ] {
            let head = head("POST", "/", service, &headers);
            let operation = Operation::of(&head, body.as_bytes());
            assert_eq!(operation.to_string(), expected);
            assert_eq!(operation.protocol, protocol, "{expected}");
            assert_eq!(
                operation.changes_something(&head.method),
                changes,
                "{expected}"
            );
        }
    }

    #[test]
    fn the_scope_is_read_from_the_header_and_from_a_presigned_query() {
        let scope = Scope::of(
            &head("GET", "/", "ecr", &[]).headers,
            &Uri::from_static("/"),
        );
        let scope = scope.expect("a scope");
        assert_eq!(scope.access_key, "AKIDTEST");
        assert_eq!(scope.region, "eu-central-1");
        assert_eq!(scope.service, "ecr");
        let presigned = Uri::from_static(
            "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20261123%2Fus-east-1%2Fs3%2Faws4_request",
        );
        let scope = Scope::of(&HeaderMap::new(), &presigned).expect("a scope");
        assert_eq!(
            (scope.access_key.as_str(), scope.region.as_str()),
            ("AK", "us-east-1")
        );
    }

    #[test]
    fn broken_signatures_have_no_scope() {
        for value in [
            "",
            "AWS4-HMAC-SHA256 Credential=a/b",
            "Basic abc",
            "AWS4-HMAC-SHA256 Credential=/1/2/3/aws4_request",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", value.parse().expect("a value"));
            assert_eq!(Scope::of(&headers, &Uri::from_static("/")), None, "{value}");
        }
    }

    #[test]
    fn an_unsigned_header_keeps_the_scope_and_drops_the_signature() {
        let scope = Scope::of(
            &head("GET", "/", "ecr", &[]).headers,
            &Uri::from_static("/"),
        )
        .expect("a scope");
        let mut headers = HeaderMap::new();
        headers.insert(
            "authorization",
            scope.unsigned_header().parse().expect("a value"),
        );
        assert_eq!(
            Scope::of(&headers, &Uri::from_static("/")),
            Some(scope.clone())
        );
        assert!(!scope.unsigned_header().contains("abc"));
    }
}
