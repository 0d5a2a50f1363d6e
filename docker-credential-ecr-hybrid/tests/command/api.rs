//! An ECR API that answers `GetAuthorizationToken` as it is told to, and counts.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};

use crate::HOST;

/// What the API does when it is asked.
#[derive(Debug, Clone)]
pub(crate) enum Manner {
    /// Gives a token that lives this long; a negative life is a token from the past.
    Token(SignedDuration),
    /// Gives one of twelve hours, and says when it expires in some places only.
    Dated(Dates),
    /// Gives one too, but takes its time.
    Slowly(Duration),
    /// Refuses with an error code and a message.
    Refuse(&'static str, &'static str),
    /// Says nothing for a long time.
    Silence,
}

/// Where a token says when it expires, and how long it lives by that.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Dates {
    /// In the answer (`expiresAt`).
    pub(crate) answer: Option<SignedDuration>,
    /// In the password itself (`expiration`).
    pub(crate) password: Option<SignedDuration>,
}

/// The API. It ends with the test.
pub(crate) struct Api {
    url: String,
    state: Arc<State>,
}

struct State {
    manner: Mutex<Manner>,
    calls: Mutex<usize>,
    called: Condvar,
    signer: Mutex<String>,
}

impl Api {
    pub(crate) fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            manner: Mutex::new(manner),
            calls: Mutex::new(0),
            called: Condvar::new(),
            signer: Mutex::default(),
        });
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = shared.clone();
                thread::spawn(move || answer(&stream, &shared));
            }
        });
        Self { url, state }
    }

    /// An API that gives ordinary tokens of twelve hours.
    pub(crate) fn giving() -> Self {
        Self::start(Manner::Token(SignedDuration::from_hours(12)))
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn becomes(&self, manner: Manner) {
        *self.state.manner.lock().unwrap() = manner;
    }

    pub(crate) fn calls(&self) -> usize {
        *self.state.calls.lock().unwrap()
    }

    /// The id of the key that signed the last call for a token.
    pub(crate) fn signer(&self) -> String {
        self.state.signer.lock().unwrap().clone()
    }

    /// Waits until this many calls were made.
    pub(crate) fn wait_for_calls(&self, count: usize) {
        let calls = self.state.calls.lock().unwrap();
        let patience = Duration::from_mins(1);
        let (calls, _) = self
            .state
            .called
            .wait_timeout_while(calls, patience, |calls| *calls < count)
            .unwrap();
        assert!(*calls >= count, "the API was not called");
    }
}

/// The password of the nth call.
pub(crate) fn password(call: usize) -> String {
    format!("password-{call}-{}", "x".repeat(1400))
}

fn answer(stream: &TcpStream, state: &State) {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    let mut wanted = false;
    let mut of_public = false;
    let mut signer = None;
    let mut path = None;
    let mut bearer = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        path = path.or_else(|| line.split(' ').nth(1).map(str::to_owned));
        if let Some((_, credential)) = line.split_once("Credential=") {
            signer = credential.split('/').next().map(str::to_owned);
        }
        let line = line.trim().to_ascii_lowercase();
        of_public |= line.contains("spencerfrontendservice");
        if let Some(value) = line.strip_prefix("x-amz-sso_bearer_token:") {
            bearer = Some(value.trim().to_owned());
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        wanted |= line.starts_with("x-amz-target:") && line.ends_with(".getauthorizationtoken");
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    let _ = reader.read_exact(&mut body);
    if body.starts_with(b"Action=AssumeRole&") {
        reply(stream, 200, "text/xml", ROLE);
        return;
    }
    if body.starts_with(b"Action=AssumeRoleWithWebIdentity&") {
        let role = ROLE.replace("AssumeRole", "AssumeRoleWithWebIdentity");
        reply(
            stream,
            200,
            "text/xml",
            &role.replace("ASIAEXAMPLE", "ASIAWEB"),
        );
        return;
    }
    let path = path.unwrap_or_default();
    if let Some((status, answer)) = sign_on(&path, bearer.as_deref(), &body) {
        reply(stream, status, "application/json", &answer);
        return;
    }
    if let Some(answer) = metadata(&path) {
        let kind = "text/plain\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600";
        reply(stream, 200, kind, &answer);
        return;
    }
    assert!(wanted, "only tokens and roles are asked for");
    // Before the call is counted: whoever waits for it may then change the manner.
    let manner = state.manner.lock().unwrap().clone();
    let call = {
        let mut calls = state.calls.lock().unwrap();
        *calls += 1;
        *state.signer.lock().unwrap() = signer.unwrap_or_default();
        state.called.notify_all();
        *calls
    };
    let twelve_hours = SignedDuration::from_hours(12);
    let (status, body) = match manner {
        Manner::Token(life) => (200, token(call, life)),
        Manner::Dated(dates) => (200, dated(dates)),
        Manner::Slowly(time) => {
            thread::sleep(time);
            (200, token(call, twelve_hours))
        }
        Manner::Refuse(code, message) => (
            400,
            format!(r#"{{"__type":"{code}","message":"{message}"}}"#),
        ),
        Manner::Silence => {
            thread::sleep(Duration::from_mins(2));
            return;
        }
    };
    let body = if of_public {
        body.replace(['[', ']'], "")
    } else {
        body
    };
    reply(stream, status, "application/x-amz-json-1.1", &body);
}

/// The login that an SSO portal knows, and the one that it gives in its place.
pub(crate) const LOGIN: &str = "a-login";
const RENEWED_LOGIN: &str = "a-renewed-login";

/// What the portal of IAM Identity Center gives to whoever has logged in, and its OIDC service to
/// whoever has a refresh token.
fn sign_on(path: &str, bearer: Option<&str>, body: &[u8]) -> Option<(u16, String)> {
    if path == "/token" {
        let asked: serde_json::Value = serde_json::from_slice(body).unwrap();
        assert_eq!(asked["grantType"], "refresh_token");
        let answer = format!(
            r#"{{"accessToken":"{RENEWED_LOGIN}","expiresIn":28800,"refreshToken":"r","tokenType":"Bearer"}}"#
        );
        return Some((200, answer));
    }
    let query = path.strip_prefix("/federation/credentials?")?;
    assert!(query.contains("account_id=111122223333"), "{query}");
    assert!(query.contains("role_name=Admin"), "{query}");
    let key = match bearer? {
        LOGIN => "ASIASSO",
        RENEWED_LOGIN => "ASIASSORENEWED",
        _ => {
            let refusal = r#"{"__type":"UnauthorizedException","message":"Session token not found or invalid"}"#;
            return Some((401, refusal.to_owned()));
        }
    };
    let answer = format!(
        r#"{{"roleCredentials":{{"accessKeyId":"{key}","secretAccessKey":"s","sessionToken":"t","expiration":4102444800000}}}}"#
    );
    Some((200, answer))
}

/// What the metadata service of an instance or of a container answers at a path.
fn metadata(path: &str) -> Option<String> {
    let credentials = |id: &str| {
        format!(
            r#"{{"Code":"Success","Type":"AWS-HMAC","LastUpdated":"2026-01-01T00:00:00Z","AccessKeyId":"{id}","SecretAccessKey":"s","Token":"t","Expiration":"2100-01-01T00:00:00Z"}}"#
        )
    };
    match path {
        "/latest/api/token" => Some("t".to_owned()),
        "/container" => Some(credentials("ASIACONTAINER")),
        _ => {
            let rest = path.strip_prefix("/latest/meta-data/iam/security-credentials")?;
            let name = rest.trim_start_matches("-extended").trim_matches('/');
            Some(match name {
                "" => "role".to_owned(),
                _ => credentials("ASIAINSTANCE"),
            })
        }
    }
}

/// What STS answers to whoever assumes a role.
const ROLE: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
    <Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
    <SessionToken>t</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials>\
    </AssumeRoleResult></AssumeRoleResponse>";

fn reply(mut stream: &TcpStream, status: u16, kind: &str, body: &str) {
    let _ = write!(
        stream,
        "HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}

fn dated(dates: Dates) -> String {
    let end = |life: SignedDuration| (Timestamp::now() + life).as_second();
    let password = dates.password.map_or("undated".to_owned(), |life| {
        STANDARD.encode(format!(r#"{{"payload":"p","expiration":{}}}"#, end(life)))
    });
    let expires = dates.answer.map_or(String::new(), |life| {
        format!(r#","expiresAt":{}"#, end(life))
    });
    let token = STANDARD.encode(format!("AWS:{password}"));
    format!(
        r#"{{"authorizationData":[{{"authorizationToken":"{token}"{expires},"proxyEndpoint":"https://{HOST}"}}]}}"#
    )
}

fn token(call: usize, life: SignedDuration) -> String {
    let token = STANDARD.encode(format!("AWS:{}", password(call)));
    let expires = (Timestamp::now() + life).as_second();
    format!(
        r#"{{"authorizationData":[{{"authorizationToken":"{token}","expiresAt":{expires}.25,"proxyEndpoint":"https://{HOST}"}}]}}"#
    )
}
