//! The sandbox: the whole hybrid on one machine, in namespaces of its own.
//!
//! Namespaces are Linux through and through: elsewhere there is only a command that says so.

#![cfg(target_os = "linux")]

mod background;
pub mod bench;
pub mod certificates;
pub mod cli;
pub mod cluster;
pub mod endpoints;
pub mod environment;
pub mod error;
pub mod front;
pub mod gate;
pub mod http;
pub mod kubeconfig;
pub mod layout;
pub mod lock;
pub mod machine;
pub mod node;
pub mod parts;
pub mod pods;
pub mod prerequisites;
pub mod processes;
pub mod report;
pub mod supervisor;
pub mod supply;
pub mod terraform;
pub mod verbs;

pub use endpoints::Endpoints;
pub use environment::Environment;
pub use error::SandboxError;
pub use layout::Layout;
