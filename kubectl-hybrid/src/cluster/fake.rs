//! An API server for faults that a real one does not show on demand.

use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower::BoxError;

use super::Cluster;

/// A request as a test looks at it.
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    /// `null` when there is no JSON body.
    pub(crate) body: Value,
}

/// What a test answers.
pub(crate) struct Answer {
    status: u16,
    body: Vec<u8>,
}

pub(crate) fn answer(status: u16, body: Value) -> Answer {
    Answer {
        status,
        body: body.to_string().into_bytes(),
    }
}

pub(crate) fn ok(body: Value) -> Answer {
    answer(200, body)
}

pub(crate) fn text(body: &str) -> Answer {
    Answer {
        status: 200,
        body: body.as_bytes().to_vec(),
    }
}

pub(crate) fn status(code: u16, reason: &str, message: &str) -> Answer {
    answer(
        code,
        json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                "reason": reason, "message": message }),
    )
}

pub(crate) fn not_found(request: &Seen) -> Answer {
    status(404, "NotFound", &format!("{} not found", request.path))
}

/// A cluster whose every request goes to `handler`.
pub(crate) fn cluster(handler: impl FnMut(&Seen) -> Answer + Send + 'static) -> Cluster {
    let handler = Arc::new(Mutex::new(handler));
    let service = tower::service_fn(move |request: Request<Body>| {
        let handler = Arc::clone(&handler);
        async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect_bytes().await?;
            let seen = Seen {
                method: parts.method,
                path: parts.uri.path().to_owned(),
                query: parts.uri.query().unwrap_or_default().to_owned(),
                body: serde_json::from_slice(&bytes).unwrap_or_default(),
            };
            let answer = (handler.lock().unwrap())(&seen);
            Ok::<_, BoxError>(
                Response::builder()
                    .status(answer.status)
                    .body(Body::from(answer.body))
                    .unwrap(),
            )
        }
    });
    Cluster::from_client(
        Client::new(service, "shop"),
        "fake",
        "https://127.0.0.1:1",
        "shop",
    )
}
