//! Registries routed to the helper in the configuration files of Docker and Podman.
//!
//! Both look for the literal `host[:port]` in `credHelpers`; there are no patterns, so each host
//! has an entry of its own. The files are a person's: what is not ours stays letter by letter.

mod diff;
mod error;
mod file;
mod hidden;
mod places;
mod run;
mod server;
mod text;

pub use error::ConfigureError;
pub use places::{Place, places};
pub use run::{Changed, Request, Target, apply, plan};
pub use server::Server;
pub use text::{HELPER, Note};
