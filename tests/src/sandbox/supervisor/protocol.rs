//! What is said over the supervisor's socket: one request per connection, then events as lines of
//! JSON until the connection closes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Raised when a newer client could no longer talk to an older supervisor.
pub(super) const PROTOCOL: u32 = 1;

/// A part as the supervisor starts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartSpec {
    /// Its name, which is also that of its log file.
    pub name: String,
    /// Whether it stays or ends by itself.
    pub kind: Kind,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Its whole environment.
    pub environment: BTreeMap<String, String>,
    /// Parts that must be ready before.
    pub after: Vec<String>,
    /// Parts with which it is started anew when they were.
    pub restart_with: Vec<String>,
    /// All of these must hold until it counts as ready.
    pub ready: Vec<Readiness>,
    /// Of its settings files: other contents mean that it is started anew.
    pub fingerprint: u64,
    /// Where its output goes.
    pub log: PathBuf,
    /// How long it may take to become ready, in seconds.
    pub start_within: u64,
    /// How long it may take to end after SIGTERM, in seconds. Zero: it is killed at once.
    pub stop_within: u64,
}

/// How long a part lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Until it is stopped.
    Service,
    /// Until its work is done; it is ready when it has ended with 0.
    Task,
}

/// A condition under which a part can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Readiness {
    /// Something listens at this address.
    Tcp(SocketAddr),
    /// Something listens on this socket.
    Unix(PathBuf),
    /// `http://127.0.0.1:port/path` answers 200.
    Http {
        /// The port.
        port: u16,
        /// The path with its slash.
        path: String,
    },
    /// The same on a unix socket.
    HttpUnix {
        /// The socket.
        socket: PathBuf,
        /// The path with its slash.
        path: String,
    },
    /// The same with TLS, by a certificate of this CA.
    Https {
        /// The port.
        port: u16,
        /// The path with its slash.
        path: String,
        /// The CA's certificate file.
        ca: PathBuf,
    },
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Which parts are there and how they are.
    Status,
    /// Start those that do not run, and those whose specification is another one.
    Start(Vec<PartSpec>),
    /// Stop these, whatever needs them.
    Stop(Vec<String>),
    /// Stop all in reverse order, then end the supervisor itself and with it the machine.
    Shutdown,
}

/// What the supervisor says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The first line of every answer.
    Hello {
        /// The supervisor's protocol.
        protocol: u32,
    },
    /// A part was started.
    Starting {
        /// Which.
        part: String,
    },
    /// A part can be used.
    Ready {
        /// Which.
        part: String,
        /// Time since it was started, in milliseconds.
        millis: u64,
        /// False when it had been running before.
        fresh: bool,
    },
    /// A part did not come up.
    Failed {
        /// Which.
        part: String,
        /// What it did, as a fragment.
        why: String,
    },
    /// A part is gone.
    Stopped {
        /// Which.
        part: String,
        /// Time since it was asked to, in milliseconds.
        millis: u64,
        /// Whether it had to be killed.
        killed: bool,
    },
    /// The answer to [`Request::Status`].
    Status(Vec<PartStatus>),
    /// Nothing more will come.
    Done,
}

/// How a part is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartStatus {
    /// Its name.
    pub name: String,
    /// Whether it stays or ends by itself.
    pub kind: Kind,
    /// Its process id in the machine's own numbering.
    pub pid: u32,
    /// When it was started, in seconds since 1970.
    pub since: i64,
    /// Whether it runs.
    pub state: PartState,
    /// Its log file.
    pub log: PathBuf,
}

/// Whether a part runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartState {
    /// It runs.
    Running,
    /// It ended by itself with this status.
    Exited(i32),
    /// It was ended by this signal.
    Killed(i32),
}

impl PartState {
    /// What became of it, as a fragment that follows its name.
    pub fn describe(self) -> String {
        match self {
            Self::Running => "is running".to_owned(),
            Self::Exited(status) => format!("ended with status {status}"),
            Self::Killed(signal) => format!("was killed by signal {signal}"),
        }
    }
}
