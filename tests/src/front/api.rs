//! The API listener: the emulator's AWS APIs, and ECR's tokens on top.

use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::admin_api;
use super::fault::{Call, Failure};
use super::host::Registry;
use super::journal::{Journal, Record};
use super::moto::{ACCOUNT_HEADER, Asked, MotoError};
use super::operation::{Operation, Protocol, header};
use super::refusal::{Refusal, denied};
use super::replay;
use super::s3::Object;
use super::server::Hangup;
use super::state::{Seen, State};
use super::tokens::Caller;
use super::xml;

/// The largest request that is taken.
const MOST: usize = 256 * 1024 * 1024;

/// An answer of the API listener: bodies are small enough to be kept whole.
pub(super) type Answer = Response<Full<Bytes>>;

/// Answers one request.
pub(super) async fn answer(state: &State, request: Request<Incoming>) -> Result<Answer, Hangup> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MOST).collect().await else {
        // Too large, or the client went away.
        return Err(Hangup);
    };
    let body = body.to_bytes();
    if let Some(path) = head.uri.path().strip_prefix("/_front/") {
        return Ok(admin_api::answer(state, path, &head, &body).await);
    }
    if head.uri.path().starts_with("/moto-api") {
        return Ok(emulator_itself(state, &head, body).await);
    }
    let operation = Operation::of(&head, &body);
    let started = Instant::now();
    let at = Timestamp::now();
    let answer = operate(state, &head, body, &operation).await;
    state.saw(Seen {
        at,
        call: operation.to_string(),
        request: format!("{} {}", head.method, head.uri.path()),
        by: operation
            .scope
            .as_ref()
            .map_or_else(String::new, |scope| scope.access_key.clone()),
        status: answer.as_ref().map_or(0, |answer| answer.status().as_u16()),
        milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    answer
}

async fn operate(
    state: &State,
    head: &Parts,
    body: Bytes,
    operation: &Operation,
) -> Result<Answer, Hangup> {
    let call = Call {
        service: &operation.service,
        action: &operation.action,
        groups: &[],
    };
    let (delay, failure) = state.faults.meet(&call);
    if !delay.is_zero() {
        // The delay itself is what was asked for.
        tokio::time::sleep(delay).await;
    }
    if let Some(failure) = failure {
        return fail(state, head, operation, &failure).await;
    }
    let done = match (operation.service.as_str(), operation.action.as_str()) {
        ("ecr" | "ecr-public", "GetAuthorizationToken") => {
            authorize(state, head, &body, operation).await
        }
        _ if operation.changes_something(&head.method) => {
            change(state, head, body, operation).await
        }
        _ => read(state, head, body, operation).await,
    };
    Ok(done.unwrap_or_else(|error| {
        state.log(&format!("{operation}: {error}"));
        Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "ServiceUnavailable".to_owned(),
            message: error.to_string(),
        }
        .answer(operation.protocol, &operation.service)
    }))
}

async fn fail(
    state: &State,
    head: &Parts,
    operation: &Operation,
    failure: &Failure,
) -> Result<Answer, Hangup> {
    let refusal = match failure {
        Failure::Hangup => return Err(Hangup),
        Failure::Status(status) => Refusal::of_status(*status),
        Failure::Named(name) => {
            let caller = caller(state, head, operation).await.ok().flatten();
            let principal =
                caller.map_or_else(|| "anonymous".to_owned(), |caller| caller.principal);
            Refusal::named(name, operation, &principal)
        }
    };
    let mut answer = refusal.answer(operation.protocol, &operation.service);
    if head.method == Method::HEAD {
        *answer.body_mut() = Full::default();
    }
    state.log(&format!("{operation}: {} as asked for", refusal.code));
    Ok(answer)
}

/// Who asks; none when the request is not signed.
async fn caller(
    state: &State,
    head: &Parts,
    operation: &Operation,
) -> Result<Option<Caller>, MotoError> {
    let Some(scope) = &operation.scope else {
        return Ok(None);
    };
    state.make_sure().await?;
    let asked = state.callers.identify(&state.moto, scope).await;
    let mut caller = state.noting(asked)?;
    // A test may choose the account by the emulator's own header.
    if let Some(account) = header(&head.headers, ACCOUNT_HEADER.as_str())
        && account != caller.account
    {
        caller.principal = caller.principal.replacen(&caller.account, &account, 1);
        caller.account = account;
    }
    Ok(Some(caller))
}

/// `GetAuthorizationToken` of ECR and of ECR Public.
async fn authorize(
    state: &State,
    head: &Parts,
    body: &[u8],
    operation: &Operation,
) -> Result<Answer, MotoError> {
    let refuse = |refusal: Refusal| Ok(refusal.answer(operation.protocol, &operation.service));
    let (Some(scope), Some(caller)) = (&operation.scope, caller(state, head, operation).await?)
    else {
        return refuse(Refusal::named(
            "MissingAuthenticationTokenException",
            operation,
            "",
        ));
    };
    let action = operation.to_string();
    let allowed = state
        .permissions
        .allow(&state.moto, &caller.principal, &action, "*")
        .await;
    if !state.noting(allowed)? {
        return refuse(Refusal {
            status: StatusCode::BAD_REQUEST,
            code: "AccessDeniedException".to_owned(),
            message: denied(&caller.principal, &action, "*"),
        });
    }
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let registries = match asked.get("registryIds").and_then(Value::as_array) {
        Some(ids) if !ids.is_empty() => ids
            .iter()
            .filter_map(|id| id.as_str().map(str::to_owned))
            .collect(),
        _ => vec![caller.account.clone()],
    };
    let mut issued = Vec::new();
    for account in registries {
        let token = state
            .tokens
            .issue(caller.clone(), &scope.region, &operation.service);
        let (password, expires) = match token {
            Ok(token) => token,
            Err(error) => {
                state.log(&error.to_string());
                return refuse(Refusal::named("ServerException", operation, ""));
            }
        };
        let registry = Registry {
            account,
            region: scope.region.clone(),
        };
        state.log(&format!(
            "{action}: a token for {} in {}, until {expires}",
            caller.principal, scope.region
        ));
        issued.push(json!({
            "authorizationToken": password.authorization_token(),
            "expiresAt": expires.as_duration().as_secs_f64(),
            "proxyEndpoint": format!("https://{registry}"),
        }));
    }
    let answer = if operation.service == "ecr-public" {
        let mut one = issued.into_iter().next().unwrap_or_default();
        if let Some(fields) = one.as_object_mut() {
            fields.remove("proxyEndpoint");
        }
        json!({ "authorizationData": one })
    } else {
        json!({ "authorizationData": issued })
    };
    let mut response = Response::new(Full::from(answer.to_string()));
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-amz-json-1.1"),
    );
    Ok(response)
}

/// The head as the emulator gets it: with the account where it could not tell.
fn passed_on(state: &State, head: &Parts, operation: &Operation) -> Parts {
    let mut head = head.clone();
    if let Some(scope) = &operation.scope
        && !head.headers.contains_key(ACCOUNT_HEADER)
        && let Some(account) = state.callers.account_of(&scope.access_key)
        && let Ok(account) = account.parse()
    {
        head.headers.insert(ACCOUNT_HEADER, account);
    }
    head
}

fn target(head: &Parts) -> String {
    head.uri
        .path_and_query()
        .map_or_else(|| "/".to_owned(), ToString::to_string)
}

fn whole(answer: Response<Bytes>) -> Answer {
    let (mut head, body) = answer.into_parts();
    head.headers.remove(http::header::TRANSFER_ENCODING);
    head.headers.remove(http::header::CONNECTION);
    Response::from_parts(head, Full::new(body))
}

async fn read(
    state: &State,
    head: &Parts,
    body: Bytes,
    operation: &Operation,
) -> Result<Answer, MotoError> {
    let head = passed_on(state, head, operation);
    let answer = state
        .read(&head.method, &target(&head), &head.headers, body.clone())
        .await?;
    if operation.service != "sts" || !answer.status().is_success() {
        return Ok(whole(answer));
    }
    let caller = if operation.action == "GetSessionToken" {
        caller(state, &head, operation).await?
    } else {
        None
    };
    let text = String::from_utf8_lossy(answer.body());
    if let Err(error) = state
        .callers
        .learn(operation, &body, &text, caller.as_ref())
    {
        state.log(&format!(
            "a session will be unknown after a restart: {error}"
        ));
    }
    // A new emulator does not know a session that the old one made; the front does.
    if let ("GetCallerIdentity", Some(known)) = (
        operation.action.as_str(),
        operation
            .scope
            .as_ref()
            .and_then(|scope| state.callers.remembered(&scope.access_key)),
    ) {
        let text = xml::with_first(&text, "Arn", &known.principal);
        let mut answer = whole(answer);
        answer.headers_mut().remove(http::header::CONTENT_LENGTH);
        *answer.body_mut() = Full::from(text);
        return Ok(answer);
    }
    Ok(whole(answer))
}

async fn change(
    state: &State,
    head: &Parts,
    body: Bytes,
    operation: &Operation,
) -> Result<Answer, MotoError> {
    let caller = caller(state, head, operation).await?;
    let account = match &caller {
        Some(caller) => caller.account.clone(),
        None => header(&head.headers, ACCOUNT_HEADER.as_str()).unwrap_or_default(),
    };
    let head = passed_on(state, head, operation);
    state.make_sure().await?;
    let mut journal = state.journal.lock().await;
    let sent = state
        .moto
        .send(&head.method, &target(&head), &head.headers, body.clone())
        .await;
    let answer = state.noting(sent)?;
    if answer.status().is_success() {
        if operation.protocol == Protocol::S3 {
            keep_s3(state, &mut journal, &head, &body, operation, &account).await?;
        } else {
            state.keep(&mut journal, &Record::of(&head, &body, operation, &account));
        }
        // An image is no change of its repository.
        if operation.service == "ecr" && operation.action != "PutImage" {
            state.repositories.forget();
        }
        if operation.service == "iam" {
            state.permissions.forget();
            state.callers.forget_asked();
            let text = String::from_utf8_lossy(answer.body());
            if let Err(error) = state
                .callers
                .learn(operation, &body, &text, caller.as_ref())
            {
                state.log(&format!("a key will be unknown after a restart: {error}"));
            }
        }
    }
    Ok(whole(answer))
}

/// Keeps a change of S3: as it was asked for where that can be told again, else what came of it.
async fn keep_s3(
    state: &State,
    journal: &mut Journal,
    head: &Parts,
    body: &[u8],
    operation: &Operation,
    account: &str,
) -> Result<(), MotoError> {
    let versioned = head
        .uri
        .query()
        .is_some_and(|query| query.contains("versionId="));
    let path = head.uri.path();
    match operation.action.as_str() {
        // Ids of uploads are random; what counts is the object in the end.
        "CreateMultipartUpload" | "UploadPart" | "AbortMultipartUpload" => Ok(()),
        "DeleteObjects" => {
            let bucket = Object::of(path).bucket;
            for key in xml::all(&String::from_utf8_lossy(body), "Key") {
                let path = format!("/{bucket}/{}", encoded(&key));
                keep_object(state, journal, &path, account).await?;
            }
            Ok(())
        }
        "CompleteMultipartUpload" | "CopyObject" | "PostObject" | "RestoreObject" => {
            keep_object(state, journal, path, account).await
        }
        "DeleteObject" if versioned => keep_object(state, journal, path, account).await,
        _ => {
            state.keep(journal, &Record::of(head, body, operation, account));
            Ok(())
        }
    }
}

/// Keeps an object as it is now.
async fn keep_object(
    state: &State,
    journal: &mut Journal,
    path: &str,
    account: &str,
) -> Result<(), MotoError> {
    let asked = |method, body| Asked::s3("keep an object", method, path, body);
    let headers = asked(&Method::GET, Bytes::new()).headers(account);
    let sent = state
        .moto
        .send(&Method::GET, path, &headers, Bytes::new())
        .await;
    let answer = state.noting(sent)?;
    let record = if answer.status().is_success() {
        let (head, body) = answer.into_parts();
        let kept = head
            .headers
            .iter()
            .filter(|(name, _)| **name == CONTENT_TYPE || name.as_str().starts_with("x-amz-meta-"));
        Record::asked(&asked(&Method::PUT, body), account).with_headers(kept)
    } else {
        Record::asked(&asked(&Method::DELETE, Bytes::new()), account)
    };
    state.keep(journal, &record);
    Ok(())
}

fn encoded(key: &str) -> String {
    percent_encoding::utf8_percent_encode(key, percent_encoding::NON_ALPHANUMERIC)
        .to_string()
        .replace("%2F", "/")
}

/// The emulator's own API. A reset forgets the journal too.
async fn emulator_itself(state: &State, head: &Parts, body: Bytes) -> Answer {
    let mut journal = state.journal.lock().await;
    let sent = state
        .moto
        .send(&head.method, &target(head), &head.headers, body)
        .await;
    let done = match state.noting(sent) {
        Ok(answer) if head.uri.path() == "/moto-api/reset" && answer.status().is_success() => {
            if let Err(error) = journal.forget() {
                state.log(&format!(
                    "could not empty {}: {error}",
                    journal.path().display()
                ));
            }
            state.permissions.forget();
            state.repositories.forget();
            state.callers.forget_asked();
            let marked = replay::mark_as_told(&state.moto, &journal).await;
            marked.map(|()| whole(answer))
        }
        other => other.map(whole),
    };
    done.unwrap_or_else(|error| {
        let mut answer = Response::new(Full::from(error.to_string()));
        *answer.status_mut() = StatusCode::BAD_GATEWAY;
        answer
    })
}
