//! One request at a time to the sandbox's AWS API, unsigned: the emulator takes whatever comes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::TerraformError;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The AWS API of the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    address: SocketAddr,
}

/// A request. The body's length and the host are added when it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    /// Path and query, as they go over the wire.
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn new(method: &str, target: impl Into<String>) -> Self {
        Self {
            method: method.to_owned(),
            target: target.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A call of an API that speaks JSON.
    pub(super) fn json(
        target: &str,
        service: &str,
        region: &str,
        body: &serde_json::Value,
    ) -> Self {
        let mut request = Self::new("POST", "/")
            .header("Content-Type", "application/x-amz-json-1.1")
            .header("X-Amz-Target", target)
            .scope(service, region);
        request.body = body.to_string().into_bytes();
        request
    }

    /// A credential scope in the place of a signature: it says the region, and that somebody asks.
    pub(super) fn scope(self, service: &str, region: &str) -> Self {
        let scope = format!("testing/20200101/{region}/{service}/aws4_request");
        self.header(
            "Authorization",
            &format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"),
        )
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn write(&self, endpoint: Endpoint, stream: &mut impl Write) -> io::Result<()> {
        // HTTP/1.0, so that no server answers in chunks.
        write!(
            stream,
            "{} {} HTTP/1.0\r\nHost: {}\r\nContent-Length: {}\r\n",
            self.method,
            self.target,
            endpoint.address,
            self.body.len()
        )?;
        for (name, value) in &self.headers {
            write!(stream, "{name}: {value}\r\n")?;
        }
        stream.write_all(b"\r\n")?;
        stream.write_all(&self.body)?;
        stream.flush()
    }
}

impl Endpoint {
    /// `http://ADDRESS:PORT`.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let address = url
            .strip_prefix("http://")?
            .trim_end_matches('/')
            .parse()
            .ok()?;
        Some(Self { address })
    }

    pub(super) fn url(self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends a request and gives the answer whatever its status is.
    pub(super) fn send(self, action: &str, request: &Request) -> Result<Answer, TerraformError> {
        self.exchange(request)
            .map_err(|error| self.refused(action, error.to_string()))
    }

    /// Sends a request and takes nothing but success for an answer.
    pub(super) fn expect(self, action: &str, request: &Request) -> Result<Answer, TerraformError> {
        let answer = self.send(action, request)?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let body: String = String::from_utf8_lossy(&answer.body)
            .chars()
            .take(300)
            .collect();
        Err(self.refused(action, format!("status {}: {body}", answer.status)))
    }

    pub(super) fn refused(self, action: &str, why: impl Into<String>) -> TerraformError {
        TerraformError::Aws {
            endpoint: self.url(),
            action: action.to_owned(),
            why: why.into(),
        }
    }

    fn exchange(self, request: &Request) -> io::Result<Answer> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut wire = io::BufWriter::new(&stream);
        request.write(self, &mut wire)?;
        drop(wire);
        let mut bytes = Vec::new();
        (&stream).read_to_end(&mut bytes)?;
        parse(&bytes).ok_or_else(|| io::Error::other("what came back is not an HTTP answer"))
    }
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let line = std::str::from_utf8(&bytes[..end]).ok()?.lines().next()?;
    let (version, rest) = line.split_once(' ')?;
    let status = rest.split(' ').next()?.parse().ok()?;
    version.starts_with("HTTP/").then(|| Answer {
        status,
        body: bytes[end + 4..].to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_plain_http_at_an_address() {
        let endpoint = Endpoint::parse("http://127.0.0.1:14566/").unwrap();
        assert_eq!(endpoint.url(), "http://127.0.0.1:14566");
        for url in [
            "",
            "https://127.0.0.1:1",
            "http://localhost:1",
            "http://127.0.0.1",
        ] {
            assert_eq!(Endpoint::parse(url), None, "{url}");
        }
    }

    #[test]
    fn a_request_carries_its_length_and_the_region_in_its_scope() {
        let request = Request::json("T.Do", "ecr", "us-east-1", &serde_json::json!({"a": 1}))
            .header("x-moto-account-id", "210987654321");
        let mut wire = Vec::new();
        request
            .write(Endpoint::parse("http://127.0.0.1:1").unwrap(), &mut wire)
            .unwrap();
        let wire = String::from_utf8(wire).unwrap();
        assert!(wire.starts_with("POST / HTTP/1.0\r\nHost: 127.0.0.1:1\r\nContent-Length: 7\r\n"));
        assert!(wire.contains("/us-east-1/ecr/aws4_request"));
        assert!(wire.ends_with("x-moto-account-id: 210987654321\r\n\r\n{\"a\":1}"));
    }

    #[test]
    fn an_answer_is_its_status_and_body() {
        let answer = parse(b"HTTP/1.1 404 NOT FOUND\r\nA: b\r\n\r\nno").unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (404, &b"no"[..]));
        for bytes in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"SSH-2.0\r\n\r\n"] {
            assert_eq!(parse(bytes), None);
        }
    }
}
