//! What is below `/_front/`: tokens, faults, counts, and telling the emulator again. JSON.
//!
//! | request | answer |
//! |---|---|
//! | `GET health` | `ok`, whether the emulator answers, how long tokens live, records of the journal |
//! | `GET tokens` | every issued token without its secret |
//! | `POST tokens/expire` | ends all that are alive: `expired` |
//! | `POST tokens/ttl?seconds=N` | the life of tokens from now on |
//! | `POST tokens/check`, body: a password | `issued`, `alive`, and whose it is |
//! | `POST fail`, body: `ACTION=ERROR[*COUNT]` | what is planned |
//! | `POST delay`, body: `ACTION=MS` | what is planned |
//! | `GET faults`, `POST faults/clear` | what is planned |
//! | `GET calls`, `POST calls/reset` | counts as `service:Action` |
//! | `GET requests` | the last requests |
//! | `POST replay` | tells a new emulator what the old one knew |

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::api::Answer;
use super::fault::{Delay, Fault};
use super::operation::query_value;
use super::state::State;
use super::token::Password;

/// The longest life that can be set: a year.
const LONGEST: f64 = 366.0 * 24.0 * 60.0 * 60.0;

/// What went wrong: a status and a sentence.
type Wrong = (StatusCode, String);

/// Answers one request of the admin.
pub(super) async fn answer(state: &State, path: &str, head: &Parts, body: &Bytes) -> Answer {
    let (status, body) = match act(state, path, head, body).await {
        Ok(body) => (StatusCode::OK, body),
        Err((status, sentence)) => (status, json!({ "error": sentence })),
    };
    let mut answer = Response::new(Full::from(format!("{body}\n")));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

async fn act(state: &State, path: &str, head: &Parts, body: &Bytes) -> Result<Value, Wrong> {
    let bad = |error: &dyn std::fmt::Display| (StatusCode::BAD_REQUEST, error.to_string());
    let ours =
        |error: &dyn std::fmt::Display| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let text = || String::from_utf8_lossy(body).trim().to_owned();
    let planned = || serde_json::to_value(state.faults.plan()).map_err(|error| ours(&error));
    match (&head.method, path) {
        (&Method::GET, "health") => Ok(health(state).await),
        (&Method::GET, "tokens") => Ok(json!({
            "life_seconds": state.tokens.life().as_secs_f64(),
            "tokens": state.tokens.list().iter().map(|token| {
                let mut fields = serde_json::to_value(token).unwrap_or_default();
                if let Some(fields) = fields.as_object_mut() {
                    fields.insert("alive".to_owned(), token.is_alive().into());
                }
                fields
            }).collect::<Vec<_>>(),
        })),
        (&Method::POST, "tokens/expire") => {
            let expired = state.tokens.expire().map_err(|error| ours(&error))?;
            state.log(&format!("{expired} tokens expired as asked for"));
            Ok(json!({ "expired": expired }))
        }
        (&Method::POST, "tokens/ttl") => {
            let seconds = query_value(&head.uri, "seconds")
                .and_then(|text| text.parse::<f64>().ok())
                .filter(|seconds| (0.0..=LONGEST).contains(seconds))
                .ok_or_else(|| bad(&"seconds is not a number from 0 to a year's"))?;
            let life = Duration::try_from_secs_f64(seconds).map_err(|error| bad(&error))?;
            state.tokens.set_life(life).map_err(|error| ours(&error))?;
            state.log(&format!("tokens live {seconds} s from now on"));
            Ok(json!({ "life_seconds": seconds }))
        }
        (&Method::POST, "tokens/check") => Ok(check(state, text())),
        (&Method::POST, "fail") => {
            let fault: Fault = text().parse().map_err(|error| bad(&error))?;
            state.faults.add_fault(fault);
            planned()
        }
        (&Method::POST, "delay") => {
            let delay: Delay = text().parse().map_err(|error| bad(&error))?;
            state.faults.set_delay(delay);
            planned()
        }
        (&Method::GET, "faults") => planned(),
        (&Method::POST, "faults/clear") => {
            state.faults.clear();
            planned()
        }
        (&Method::GET, "calls") => {
            serde_json::to_value(state.faults.calls()).map_err(|error| ours(&error))
        }
        (&Method::POST, "calls/reset") => {
            state.faults.reset_calls();
            Ok(json!({}))
        }
        (&Method::GET, "requests") => {
            serde_json::to_value(state.tail()).map_err(|error| ours(&error))
        }
        (&Method::POST, "replay") => {
            let told = state.tell_again().await.map_err(|error| ours(&error))?;
            serde_json::to_value(told).map_err(|error| ours(&error))
        }
        (method, path) => Err((
            StatusCode::NOT_FOUND,
            format!("there is no {method} /_front/{path}"),
        )),
    }
}

async fn health(state: &State) -> Value {
    let target = "/moto-api/config";
    let emulator = state
        .moto
        .send(&Method::GET, target, &http::HeaderMap::new(), Bytes::new())
        .await;
    let journal = state.journal.lock().await;
    json!({
        "ok": true,
        "version": env!("CARGO_PKG_VERSION"),
        "emulator": emulator.is_ok_and(|answer| answer.status().is_success()),
        "life_seconds": state.tokens.life().as_secs_f64(),
        "journal": { "path": journal.path(), "records": journal.len() },
    })
}

fn check(state: &State, password: String) -> Value {
    match state.tokens.find(&Password::received(password)) {
        None => json!({ "issued": false, "alive": false }),
        Some(token) => json!({
            "issued": true,
            "alive": token.is_alive(),
            "principal": token.caller.principal,
            "region": token.region,
            "service": token.service,
            "expires": token.expires,
        }),
    }
}
