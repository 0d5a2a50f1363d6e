//! As much of D-Bus as a client needs that calls a few methods and leaves: no runtime, no thread,
//! no proxies. A connection is a socket with a deadline, calls are sent together, and their answers
//! are taken when they are wanted.
//!
//! The rules are those of the D-Bus specification.

mod address;
mod authentication;
mod connection;
mod deadline;
mod error;
#[cfg(test)]
pub(in crate::store) mod fake;
mod incoming;
mod message;
mod object_path;
mod reader;
mod writer;

pub(in crate::store) use address::session_bus;
pub(in crate::store) use connection::{Connection, Pending};
pub(in crate::store) use deadline::Deadline;
pub(in crate::store) use error::{BusError, CallError, Refusal};
pub(in crate::store) use message::Call;
pub(in crate::store) use object_path::ObjectPath;
pub(in crate::store) use reader::{Malformed, Reader};
pub(in crate::store) use writer::Writer;
