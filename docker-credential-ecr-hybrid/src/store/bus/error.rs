//! Why there is no answer.

use std::io;

use super::reader::Malformed;

/// Why a connection is of no use, or of no more use. Each is a clause.
#[derive(Debug, thiserror::Error)]
pub(in crate::store) enum BusError {
    /// The address of the bus is of no kind that this client knows.
    #[error("the address of the session bus names no Unix socket")]
    Address,
    /// There is no socket, or nobody listens on it.
    #[error("nobody serves it on the session bus")]
    Absent,
    /// The socket is there and cannot be used.
    #[error("the session bus cannot be reached: {0}")]
    Socket(io::Error),
    /// The bus does not take this user for who it is.
    #[error("the session bus does not let this user in")]
    NotLetIn,
    /// Nothing came in time.
    #[error("it did not answer in time")]
    TimedOut,
    /// The bus closed the connection.
    #[error("the session bus hung up")]
    HungUp,
    /// What came is not D-Bus, or not what the called method answers.
    #[error("what came over the session bus makes no sense")]
    Malformed,
    /// A message is larger than any that has to do with a token.
    #[error("a message is too large to have to do with a token")]
    TooLarge,
}

impl From<Malformed> for BusError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Why a call has no result.
#[derive(Debug)]
pub(in crate::store) enum CallError {
    /// The connection is of no more use.
    Bus(BusError),
    /// The called one answered with an error.
    Refused(Refusal),
}

impl From<BusError> for CallError {
    fn from(error: BusError) -> Self {
        Self::Bus(error)
    }
}

impl From<Malformed> for CallError {
    fn from(malformed: Malformed) -> Self {
        Self::Bus(malformed.into())
    }
}

/// An error that was sent as an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Refusal {
    /// Such as `org.freedesktop.DBus.Error.UnknownMethod`.
    pub(in crate::store) name: String,
    /// For people; may be empty.
    pub(in crate::store) text: String,
}
