//! Whether a part can be used.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::protocol::Readiness;
use crate::sandbox::http;

impl Readiness {
    /// Asks once.
    pub(super) fn holds(&self) -> bool {
        self.check().is_ok()
    }

    /// Asks once; the error says what is missing, as a fragment.
    pub(super) fn check(&self) -> Result<(), String> {
        let answer = match self {
            Self::Tcp(address) => {
                return TcpStream::connect_timeout(address, Duration::from_secs(1))
                    .map(drop)
                    .map_err(|error| format!("{address}: {error}"));
            }
            Self::Unix(path) => {
                return UnixStream::connect(path)
                    .map(drop)
                    .map_err(|error| format!("`{}`: {error}", path.display()));
            }
            Self::Http { port, path } => http::get(*port, path),
            Self::HttpUnix { socket, path } => http::get_unix(socket, path),
            Self::Https { port, path, ca } => {
                http::get_tls(*port, path, http::Tls { ca, client: None })
            }
        };
        match answer {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(format!("{self} answers {}", answer.status)),
            Err(error) => Err(format!("{self}: {error}")),
        }
    }
}

impl std::fmt::Display for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Http { port, path } => write!(f, "http://127.0.0.1:{port}{path}"),
            Self::HttpUnix { socket, path } => write!(f, "{path} on {}", socket.display()),
            Self::Https { port, path, .. } => write!(f, "https://127.0.0.1:{port}{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// Answers every request with one status until the test ends.
    fn server(status: u16) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // The request may come in pieces, and a client that is cut off sees another error.
                let mut request = Vec::new();
                let mut piece = [0; 512];
                while !request.ends_with(b"\r\n\r\n") {
                    let length = stream.read(&mut piece).unwrap();
                    request.extend_from_slice(&piece[..length]);
                    assert!(length > 0, "the request has no end");
                }
                write!(stream, "HTTP/1.0 {status} Whatever\r\n\r\n").unwrap();
            }
        });
        address
    }

    fn http(address: SocketAddr) -> Readiness {
        Readiness::Http {
            port: address.port(),
            path: "/healthz".to_owned(),
        }
    }

    #[test]
    fn a_server_is_ready_when_it_answers_200_and_nothing_else() {
        assert_eq!(http(server(200)).check(), Ok(()));
        let why = http(server(503)).check().unwrap_err();
        assert!(why.ends_with("/healthz answers 503"), "{why}");
    }

    #[test]
    fn a_listener_is_enough_where_nothing_else_is_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        assert!(!Readiness::Unix(path.clone()).holds());
        let _listener = UnixListener::bind(&path).unwrap();
        assert!(Readiness::Unix(path).holds());

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(Readiness::Tcp(address).holds());
        drop(listener);
        assert!(!Readiness::Tcp(address).holds());
    }
}
