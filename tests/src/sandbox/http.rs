//! One GET at a time over TCP, a unix socket or TLS: what readiness checks need.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// An answer: its status code and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// For example 200.
    pub status: u16,
    /// Whatever was sent.
    pub body: Vec<u8>,
}

/// Asks `http://127.0.0.1:PORT/PATH`.
pub fn get(port: u16, path: &str) -> io::Result<Answer> {
    exchange(connect(port)?, path)
}

/// Asks a server on a unix socket.
pub fn get_unix(socket: &Path, path: &str) -> io::Result<Answer> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    exchange(stream, path)
}

/// Who asks over TLS, and whom it trusts.
#[derive(Clone, Copy, Debug)]
pub struct Tls<'a> {
    /// The CA's certificate file.
    pub ca: &'a Path,
    /// The certificate and key files of the client, when it shows one.
    pub client: Option<(&'a Path, &'a Path)>,
}

/// Asks `https://127.0.0.1:PORT/PATH`.
pub fn get_tls(port: u16, path: &str, tls: Tls<'_>) -> io::Result<Answer> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(tls.ca).map_err(io::Error::other)?)
        .map_err(io::Error::other)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots);
    let config = match tls.client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_file(certificate).map_err(io::Error::other)?],
                PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?,
            )
            .map_err(io::Error::other)?,
    };
    let name = ServerName::from(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST));
    let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    exchange(StreamOwned::new(connection, connect(port)?), path)
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let stream =
        TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

// HTTP/1.0, so that no server answers in chunks.
fn exchange(mut stream: impl Read + Write, path: &str) -> io::Result<Answer> {
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: */*\r\n\r\n"
    )?;
    stream.flush()?;
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        // A peer may close TLS without saying so; the answer is whole all the same.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !bytes.is_empty() => {}
        Err(error) => return Err(error),
    }
    parse(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer"))
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut words = head.lines().next()?.split(' ');
    if !words.next()?.starts_with("HTTP/") {
        return None;
    }
    let status = words.next()?.parse().ok()?;
    Some(Answer {
        status,
        body: bytes[end + 4..].to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status_and_body() {
        let answer = parse(b"HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r\nnot yet").unwrap();
        assert_eq!(
            answer,
            Answer {
                status: 503,
                body: b"not yet".to_vec()
            }
        );
    }

    #[test]
    fn anything_else_is_no_answer() {
        for bytes in [
            &b""[..],
            b"HTTP/1.1 200 OK\r\n",
            b"SSH-2.0\r\n\r\n",
            b"HTTP/1.1 x\r\n\r\n",
        ] {
            assert_eq!(parse(bytes), None);
        }
    }
}
