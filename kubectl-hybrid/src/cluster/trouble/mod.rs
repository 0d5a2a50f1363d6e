//! What keeps a pod from running, read from its status: pure functions over what the API says.

mod cause;
mod events;
mod pod;
mod pull_fault;

pub use cause::{Cause, Patience, Probe};
pub use events::{Happening, explain, is_open};
pub use pod::{Trouble, lasting, troubles};
pub use pull_fault::PullFault;
