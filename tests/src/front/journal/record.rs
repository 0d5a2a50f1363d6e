//! One request that changed something.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Request};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::moto::{ACCOUNT_HEADER, Asked, passes};
use super::super::operation::{Operation, Protocol};

/// Not told again: secrets, what only one connection needs, and conditions, which were met then
/// and need not be met when what was overwritten is left out.
const LEFT_OUT: [&str; 10] = [
    "accept-encoding",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "authorization",
    "content-length",
    "if-match",
    "if-none-match",
    "user-agent",
    "x-amz-security-token",
    "x-moto-account-id",
];

/// One request that changed something, without the signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Record {
    /// The account it belongs to; empty is the emulator's own.
    pub(super) account: String,
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    headers: Vec<(String, String)>,
    /// Base64.
    body: String,
}

impl Record {
    /// Of a request that was passed on.
    pub(in super::super) fn of(
        head: &Parts,
        body: &[u8],
        operation: &Operation,
        account: &str,
    ) -> Self {
        let mut headers: Vec<(String, String)> = head
            .headers
            .iter()
            .filter(|(name, _)| passes(name) && !LEFT_OUT.contains(&name.as_str()))
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
            .collect();
        if let Some(scope) = &operation.scope {
            headers.push(("authorization".to_owned(), scope.unsigned_header()));
        }
        Self {
            account: account.to_owned(),
            method: head.method.to_string(),
            target: target(head),
            headers,
            body: STANDARD.encode(without_conditions(operation, body)),
        }
    }

    /// Of a request of the front's own.
    pub(in super::super) fn asked(asked: &Asked<'_>, account: &str) -> Self {
        Self {
            account: account.to_owned(),
            method: asked.method.to_string(),
            target: asked.target.to_owned(),
            headers: asked
                .headers("")
                .iter()
                .filter_map(|(name, value)| {
                    Some((name.to_string(), value.to_str().ok()?.to_owned()))
                })
                .collect(),
            body: STANDARD.encode(&asked.body),
        }
    }

    /// With further headers.
    pub(in super::super) fn with_headers<'a>(
        mut self,
        headers: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
    ) -> Self {
        for (name, value) in headers {
            if let Ok(value) = value.to_str() {
                self.headers.retain(|(known, _)| known != name.as_str());
                self.headers.push((name.to_string(), value.to_owned()));
            }
        }
        self
    }

    pub(in super::super) fn method(&self) -> Method {
        self.method.parse().unwrap_or_default()
    }

    /// Path and query.
    pub(in super::super) fn target(&self) -> &str {
        &self.target
    }

    /// The headers to send it with.
    pub(in super::super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
                headers.append(name, value);
            }
        }
        if let Ok(account) = self.account.parse()
            && !self.account.is_empty()
        {
            headers.insert(ACCOUNT_HEADER, account);
        }
        headers
    }

    pub(in super::super) fn body(&self) -> Bytes {
        STANDARD.decode(&self.body).unwrap_or_default().into()
    }

    /// What it is, read again from the request itself.
    pub(in super::super) fn operation(&self) -> Option<(Parts, Operation)> {
        let mut request = Request::builder()
            .method(self.method.as_str())
            .uri(&self.target)
            .body(())
            .ok()?;
        *request.headers_mut() = self.headers();
        let (head, ()) = request.into_parts();
        let operation = Operation::of(&head, &self.body());
        Some((head, operation))
    }
}

/// Path and query as they were sent.
fn target(head: &Parts) -> String {
    head.uri
        .path_and_query()
        .map_or_else(|| "/".to_owned(), ToString::to_string)
}

/// Takes the condition out of a write to one row of `DynamoDB`.
fn without_conditions(operation: &Operation, body: &[u8]) -> Vec<u8> {
    let one_row = operation.service == "dynamodb"
        && operation.protocol != Protocol::Query
        && matches!(operation.action.as_str(), "PutItem" | "DeleteItem");
    if one_row && let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) {
        for name in [
            "ConditionExpression",
            "ConditionalOperator",
            "Expected",
            "ExpressionAttributeNames",
            "ExpressionAttributeValues",
        ] {
            fields.remove(name);
        }
        return Value::Object(fields).to_string().into_bytes();
    }
    body.to_vec()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::super::operation::tests::head;
    use super::*;

    /// A record as the front would write it.
    pub(in super::super) fn record(
        method: &str,
        path: &str,
        service: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Record {
        let head = head(method, path, service, headers);
        let operation = Operation::of(&head, body.as_bytes());
        Record::of(&head, body.as_bytes(), &operation, "123456789012")
    }

    #[test]
    fn secrets_signatures_and_conditions_are_not_kept() {
        let record = record(
            "PUT",
            "/tf/env%3A/dev/state.tflock",
            "s3",
            &[
                ("x-amz-security-token", "SESSION"),
                ("if-none-match", "*"),
                ("content-type", "application/json"),
                ("x-amz-meta-a", "1"),
            ],
            "{}",
        );
        let text = serde_json::to_string(&record).expect("JSON");
        for secret in ["SESSION", "Signature=abc", "if-none-match"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        let headers = record.headers();
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers["x-amz-meta-a"], "1");
        assert_eq!(headers["x-moto-account-id"], "123456789012");
        assert_eq!(record.target(), "/tf/env%3A/dev/state.tflock");
        let (_, operation) = record.operation().expect("an operation");
        assert_eq!(operation.to_string(), "s3:PutObject");
        assert_eq!(operation.scope.expect("a scope").region, "eu-central-1");
    }

    #[test]
    fn a_row_is_written_without_its_condition() {
        let record = record(
            "POST",
            "/",
            "dynamodb",
            &[("x-amz-target", "DynamoDB_20120810.PutItem")],
            r##"{"TableName":"t","Item":{"LockID":{"S":"a"}},"ConditionExpression":"attribute_not_exists(#a)","ExpressionAttributeNames":{"#a":"LockID"}}"##,
        );
        assert_eq!(
            record.body(),
            r#"{"TableName":"t","Item":{"LockID":{"S":"a"}}}"#.as_bytes()
        );
    }
}
