//! PID 1 of the sandbox: makes the machine, starts and reaps the parts, answers on a unix socket.
//!
//! It restarts nothing by itself: a part that dies stays dead, and says so, until somebody asks.

mod client;
mod init;
mod protocol;
mod ready;
mod server;
mod start;
mod stop;
mod table;

pub use client::{Supervisor, launch};
pub use init::{launcher, run};
pub use protocol::{Event, Kind, PartSpec, PartState, PartStatus, Readiness, Request};
