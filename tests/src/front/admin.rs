//! A client of the front's `/_front/`, for the sandbox's verbs and for tests.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

/// How long the front may take for one answer; telling an emulator again is the longest.
const PATIENCE: Duration = Duration::from_mins(1);

/// Why the front did not do what was asked.
#[derive(Debug, Error)]
pub enum AdminError {
    /// Nobody answers.
    #[error("the ECR front at {url} does not answer: {source}")]
    Unreachable {
        /// The front's address.
        url: String,
        /// Why.
        source: io::Error,
    },
    /// It answered with something else.
    #[error("the ECR front at {url} answered something else: {reason}")]
    Strange {
        /// The front's address.
        url: String,
        /// What.
        reason: String,
    },
    /// It refused, with its sentence.
    #[error("the ECR front refused: {0}")]
    Refused(String),
}

/// What the front knows of a token.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TokenCheck {
    /// Whether the front issued it.
    pub issued: bool,
    /// Whether registries still take it.
    pub alive: bool,
    /// The ARN of whoever asked for it.
    pub principal: Option<String>,
    /// The region whose registries take it.
    pub region: Option<String>,
}

/// The front's admin.
#[derive(Clone, Debug)]
pub struct Admin {
    url: String,
}

impl Admin {
    /// The admin of the front whose API listener is at `http://HOST:PORT`.
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            url: base_url.into().trim_end_matches('/').to_owned(),
        }
    }

    /// Ends every token that is alive; returns how many there were. The expiry that a token itself
    /// states does not change.
    pub fn expire_tokens(&self) -> Result<u64, AdminError> {
        let answer: Value = self.post("tokens/expire", "")?;
        Ok(answer
            .get("expired")
            .and_then(Value::as_u64)
            .unwrap_or_default())
    }

    /// How long tokens live that are issued from now on.
    pub fn set_ttl(&self, life: Duration) -> Result<(), AdminError> {
        let path = format!("tokens/ttl?seconds={}", life.as_secs_f64());
        self.post::<Value>(&path, "").map(drop)
    }

    /// Lets calls fail: `action` is `GetAuthorizationToken`, `s3:GetObject`, `registry:push` and the
    /// like, `error` an error's name, a status, or `hangup`. Without a count until it is cleared.
    pub fn fail(
        &self,
        action: &str,
        error: impl fmt::Display,
        count: Option<u32>,
    ) -> Result<(), AdminError> {
        let count = count.map_or_else(String::new, |count| format!("*{count}"));
        self.fail_spec(&format!("{action}={error}{count}"))
    }

    /// The same as a person writes it: `ACTION=ERROR[*COUNT]`.
    pub fn fail_spec(&self, spec: &str) -> Result<(), AdminError> {
        self.post::<Value>("fail", spec).map(drop)
    }

    /// Lets calls take that much longer; 0 ends it.
    pub fn delay(&self, action: &str, milliseconds: u64) -> Result<(), AdminError> {
        self.delay_spec(&format!("{action}={milliseconds}"))
    }

    /// The same as a person writes it: `ACTION=MS`.
    pub fn delay_spec(&self, spec: &str) -> Result<(), AdminError> {
        self.post::<Value>("delay", spec).map(drop)
    }

    /// Forgets faults and delays.
    pub fn clear(&self) -> Result<(), AdminError> {
        self.post::<Value>("faults/clear", "").map(drop)
    }

    /// Faults and delays from here on end with the value that this gives, however a test ends.
    pub fn faulty(self) -> Faulty {
        Faulty(self)
    }

    /// How often each action was called since the last reset, as `service:Action`.
    pub fn calls(&self) -> Result<BTreeMap<String, u64>, AdminError> {
        self.exchange("GET", "calls", "")
    }

    /// How often an action was called since the last reset: `GetAuthorizationToken` of any service,
    /// or `ecr:GetAuthorizationToken`.
    pub fn count(&self, action: &str) -> Result<u64, AdminError> {
        let calls = self.calls()?;
        Ok(calls
            .iter()
            .filter(|(name, _)| {
                *name == action || name.split_once(':').is_some_and(|(_, bare)| bare == action)
            })
            .map(|(_, count)| count)
            .sum())
    }

    /// Counts from zero again.
    pub fn reset_calls(&self) -> Result<(), AdminError> {
        self.post::<Value>("calls/reset", "").map(drop)
    }

    /// Whether the front issued this password, and whether it still works.
    pub fn check_token(&self, password: &str) -> Result<TokenCheck, AdminError> {
        self.post("tokens/check", password)
    }

    /// Every issued token, without its secret.
    pub fn tokens(&self) -> Result<Value, AdminError> {
        self.exchange("GET", "tokens", "")
    }

    /// Tells an emulator that was started anew what the old one knew; returns how many requests
    /// were sent, 0 when it knew everything.
    pub fn replay(&self) -> Result<u64, AdminError> {
        let answer: Value = self.post("replay", "")?;
        Ok(answer
            .get("sent")
            .and_then(Value::as_u64)
            .unwrap_or_default())
    }

    /// Whether the front answers, and the emulator behind it.
    pub fn healthy(&self) -> bool {
        self.exchange::<Value>("GET", "health", "")
            .is_ok_and(|health| health.get("emulator") == Some(&Value::Bool(true)))
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &str) -> Result<T, AdminError> {
        self.exchange("POST", path, body)
    }

    fn exchange<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<T, AdminError> {
        let answer = self
            .send(method, path, body)
            .map_err(|source| AdminError::Unreachable {
                url: self.url.clone(),
                source,
            })?;
        let strange = |reason: String| AdminError::Strange {
            url: self.url.clone(),
            reason,
        };
        let (status, body) = parse(&answer).ok_or_else(|| strange("not HTTP".to_owned()))?;
        if status != 200 {
            let error = serde_json::from_slice::<Value>(body).ok();
            let sentence = error
                .as_ref()
                .and_then(|error| error.get("error")?.as_str());
            return Err(AdminError::Refused(
                sentence.map_or_else(|| format!("status {status}"), str::to_owned),
            ));
        }
        serde_json::from_slice(body).map_err(|error| strange(error.to_string()))
    }

    fn send(&self, method: &str, path: &str, body: &str) -> io::Result<Vec<u8>> {
        let address = self.url.strip_prefix("http://").unwrap_or(&self.url);
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no such address");
        for candidate in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&candidate, PATIENCE) {
                Ok(mut stream) => {
                    stream.set_read_timeout(Some(PATIENCE))?;
                    stream.set_write_timeout(Some(PATIENCE))?;
                    let length = body.len();
                    write!(
                        stream,
                        "{method} /_front/{path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                    )?;
                    let mut answer = Vec::new();
                    stream.read_to_end(&mut answer)?;
                    return Ok(answer);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// A front whose faults and delays are forgotten when this is dropped.
#[derive(Debug)]
#[must_use = "the faults end with it"]
pub struct Faulty(Admin);

impl Faulty {
    /// Lets calls fail, as [`Admin::fail_spec`] does.
    pub fn failing(self, spec: &str) -> Result<Self, AdminError> {
        self.0.fail_spec(spec)?;
        Ok(self)
    }

    /// Lets calls take longer, as [`Admin::delay`] does.
    pub fn delaying(self, action: &str, milliseconds: u64) -> Result<Self, AdminError> {
        self.0.delay(action, milliseconds)?;
        Ok(self)
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        // A front that is gone has no faults.
        let _ = self.0.clear();
    }
}

/// The status and the body; the front says how long a body is and never sends it in chunks.
fn parse(answer: &[u8]) -> Option<(u16, &[u8])> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = answer.split_at_checked(end + 4)?;
    let status = std::str::from_utf8(head)
        .ok()?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()?;
    Some((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_and_a_body() {
        assert_eq!(
            parse(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n{}\n"),
            Some((200, &b"{}\n"[..]))
        );
        assert_eq!(parse(b"HTTP/1.1 200"), None);
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn a_front_that_is_not_there_is_named() {
        let free = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("an address");
        let admin = Admin::new(format!("http://{free}/"));
        let error = admin.calls().expect_err("nobody listens");
        assert!(
            error
                .to_string()
                .starts_with(&format!("the ECR front at http://{free} does not answer")),
            "{error}"
        );
        assert!(!admin.healthy());
    }
}
