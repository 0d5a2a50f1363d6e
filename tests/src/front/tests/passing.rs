//! What is passed on, and how, before an upstream that records it.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::super::lock;
use super::bench::{Bench, HOST, signed};

const KEY: &str = "testing";
const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

type Seen = Arc<Mutex<Vec<(Parts, Bytes)>>>;

/// An upstream that stands for the emulator and the registry and records what it gets.
async fn upstream() -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let seen = Seen::default();
    let recorded = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let recorded = Arc::clone(&recorded);
            let service = service_fn(move |request: Request<Incoming>| {
                let recorded = Arc::clone(&recorded);
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await?.to_bytes();
                    let answer = reply(&head);
                    lock(&recorded).push((head, body));
                    Ok::<_, hyper::Error>(answer)
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (format!("http://{address}"), seen)
}

fn reply(head: &Parts) -> Response<Full<Bytes>> {
    let target = head
        .headers
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok());
    let action = target
        .and_then(|target| target.rsplit_once('.'))
        .map_or("", |(_, action)| action);
    let text = |text: String| Response::new(Full::from(text));
    match (action, head.uri.path()) {
        ("DescribeRepositories", _) => {
            text(json!({"repositories": [{"repositoryName": "web"}]}).to_string())
        }
        ("DescribeImages", _) => {
            text(json!({"imageDetails": [{"imageDigest": DIGEST}]}).to_string())
        }
        // Nobody has been told anything yet.
        (_, "/ecr-front-journal/mark") if head.method == Method::GET => {
            let mut answer = text(String::new());
            *answer.status_mut() = http::StatusCode::NOT_FOUND;
            answer
        }
        (_, "/") => text(
            "<R><Arn>arn:aws:sts::123456789012:user/moto</Arn><Account>123456789012</Account></R>"
                .to_owned(),
        ),
        (_, "/bucket/object") => Response::builder()
            .header("etag", "\"abc\"")
            .header("x-many", "one")
            .header("x-many", "two")
            .header("content-length", "12345")
            .body(Full::default())
            .expect("an answer"),
        _ => text("body".to_owned()),
    }
}

fn last(seen: &Seen, path: &str) -> (Parts, Bytes) {
    let seen = lock(seen);
    let found = seen.iter().rev().find(|(head, _)| head.uri.path() == path);
    found
        .cloned()
        .unwrap_or_else(|| panic!("nothing came to {path}"))
}

fn all(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers
        .get_all(name)
        .iter()
        .map(|value| value.to_str().expect("text").to_owned())
        .collect()
}

#[tokio::test]
async fn the_api_listener_passes_requests_on_as_they_are() {
    let (address, seen) = upstream().await;
    let bench = Bench::start(&address, &address).await;
    let path = "/bucket/env%3A/dev/a+b%20c?x-id=PutObject&partial=%2F";
    let request = signed(Method::PUT, path, KEY, "eu-central-1", "s3")
        .header("x-many", "one")
        .header("x-many", "two")
        .header("expect", "100-continue")
        .body(Full::from("5\r\nhello\r\n0\r\n\r\n"))
        .expect("a request");
    assert_eq!(bench.api(request).await.expect("an answer").status(), 200);
    let (head, body) = last(&seen, "/bucket/env%3A/dev/a+b%20c");
    assert_eq!(head.method, Method::PUT);
    assert_eq!(head.uri.query(), Some("x-id=PutObject&partial=%2F"));
    assert_eq!(all(&head.headers, "x-many"), ["one", "two"]);
    assert_eq!(all(&head.headers, "host"), ["127.0.0.1"]);
    assert_eq!(all(&head.headers, "expect"), [""; 0]);
    assert_eq!(body, "5\r\nhello\r\n0\r\n\r\n");
}

#[tokio::test]
async fn an_answer_to_head_keeps_its_length_and_repeated_headers() {
    let (address, _) = upstream().await;
    let bench = Bench::start(&address, &address).await;
    let request = signed(Method::HEAD, "/bucket/object", KEY, "eu-central-1", "s3")
        .body(Full::default())
        .expect("a request");
    let answer = bench.api(request).await.expect("an answer");
    assert_eq!(all(answer.headers(), "content-length"), ["12345"]);
    assert_eq!(all(answer.headers(), "x-many"), ["one", "two"]);
    assert_eq!(all(answer.headers(), "etag"), ["\"abc\""]);
}

#[tokio::test]
async fn repeated_accept_headers_reach_the_registry_one_by_one() {
    let (address, seen) = upstream().await;
    let bench = Bench::start(&address, &address).await;
    let password = bench.password(KEY, "eu-central-1").await;
    let kinds = [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ];
    let request = Request::builder()
        .uri("/v2/web/manifests/dev")
        .header("accept", kinds[0])
        .header("accept", kinds[1]);
    let answer = bench
        .registry(HOST, Some(&password), request, "")
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    let path = format!("/v2/123456789012-eu-central-1/web/manifests/{DIGEST}");
    let (head, _) = last(&seen, &path);
    assert_eq!(all(&head.headers, "accept"), kinds);
    assert_eq!(all(&head.headers, "authorization"), [""; 0]);
    assert_eq!(all(&head.headers, "host"), [HOST]);
}

#[tokio::test]
async fn a_token_is_answered_here_and_never_asked_of_the_emulator() {
    let (address, seen) = upstream().await;
    let bench = Bench::start(&address, &address).await;
    let password = bench.password(KEY, "us-east-1").await;
    assert!(lock(&seen).iter().all(|(head, _)| {
        !head
            .headers
            .get("x-amz-target")
            .is_some_and(|target| target.as_bytes().ends_with(b"GetAuthorizationToken"))
    }));
    let kept = password.clone();
    let check = bench
        .admin(move |admin| admin.check_token(&kept))
        .await
        .expect("a check");
    assert!(check.issued && check.alive);
    assert_eq!(
        check.principal.as_deref(),
        Some("arn:aws:sts::123456789012:user/moto")
    );
    assert_eq!(check.region.as_deref(), Some("us-east-1"));
    assert_eq!(
        bench
            .admin(|admin| admin.count("GetAuthorizationToken"))
            .await
            .expect("a count"),
        1
    );
    let tokens = bench.admin(|admin| admin.tokens()).await.expect("tokens");
    assert!(!tokens.to_string().contains(&password));
}

#[tokio::test]
async fn faults_delays_and_counts_are_set_through_the_admin() {
    let (address, _) = upstream().await;
    let bench = Bench::start(&address, &address).await;
    let mint = || bench.ecr(KEY, "eu-central-1", "GetAuthorizationToken", &Value::Null);
    bench
        .admin(|admin| {
            admin.fail("GetAuthorizationToken", "ThrottlingException", Some(1))?;
            admin.fail("GetAuthorizationToken", 503, Some(1))?;
            admin.fail("registry:ping", "hangup", Some(1))
        })
        .await
        .expect("faults");
    let (status, answer) = mint().await;
    assert_eq!(
        (status, answer["__type"].as_str()),
        (400, Some("ThrottlingException"))
    );
    assert_eq!(mint().await.0, 503);
    assert_eq!(mint().await.0, 200);
    let ping = || bench.registry(HOST, None, Request::builder().uri("/v2/"), "");
    assert!(ping().await.is_none());
    assert_eq!(ping().await.expect("an answer").status(), 401);
    bench
        .admin(|admin| admin.delay("ecr:GetAuthorizationToken", 120))
        .await
        .expect("a delay");
    let started = std::time::Instant::now();
    assert_eq!(mint().await.0, 200);
    assert!(started.elapsed().as_millis() >= 120);
    let calls = bench.admin(|admin| admin.calls()).await.expect("calls");
    assert_eq!(calls.get("ecr:GetAuthorizationToken"), Some(&4));
    assert_eq!(calls.get("registry:Ping"), Some(&2));
    bench
        .admin(|admin| admin.clear().and_then(|()| admin.reset_calls()))
        .await
        .expect("cleared");
    assert_eq!(
        bench
            .admin(|admin| admin.count("GetAuthorizationToken"))
            .await
            .expect("a count"),
        0
    );
    let wrong = bench
        .admin(|admin| admin.fail_spec("nonsense"))
        .await
        .expect_err("refused");
    assert!(
        wrong
            .to_string()
            .contains("\"nonsense\" is not ACTION=ERROR"),
        "{wrong}"
    );
}

#[tokio::test]
async fn tokens_expire_and_belong_to_a_region_and_outlive_the_front() {
    let (address, _) = upstream().await;
    let bench = Bench::start(&address, &address).await;
    let password = bench.password(KEY, "eu-central-1").await;
    let folder = bench.stop().await;
    let bench = Bench::start_in(folder, &address, &address).await;
    let ping = async |host: &str, password: &str| {
        let request = Request::builder().uri("/v2/");
        let answer = bench
            .registry(host, Some(password), request, "")
            .await
            .expect("an answer");
        (
            answer.status().as_u16(),
            String::from_utf8_lossy(answer.body()).into_owned(),
        )
    };
    let expired = "Your authorization token has expired. Reauthenticate and try again.";
    assert_eq!(ping(HOST, &password).await.0, 200);
    let (status, text) = ping("123456789012.dkr.ecr.us-east-1.amazonaws.com", &password).await;
    assert!(status == 403 && text.contains(expired), "{status} {text}");
    assert_eq!(
        ping("210987654321.dkr.ecr.eu-central-1.amazonaws.com", &password)
            .await
            .0,
        200
    );
    assert_eq!(ping(HOST, "hunter2").await.0, 401);
    assert_eq!(
        bench
            .admin(|admin| admin.expire_tokens())
            .await
            .expect("expired"),
        1
    );
    let (status, text) = ping(HOST, &password).await;
    assert!(status == 403 && text.contains(expired), "{status} {text}");
    let life = std::time::Duration::from_millis(40);
    bench
        .admin(move |admin| admin.set_ttl(life))
        .await
        .expect("a life");
    let short = bench.password(KEY, "eu-central-1").await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while ping(HOST, &short).await.0 == 200 {
        assert!(
            std::time::Instant::now() < deadline,
            "the token never expires"
        );
    }
}
