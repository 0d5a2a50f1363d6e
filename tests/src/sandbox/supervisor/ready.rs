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
