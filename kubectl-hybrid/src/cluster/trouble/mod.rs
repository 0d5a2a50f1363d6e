//! What keeps a pod from running, read from its status: pure functions over what the API says.

mod pod;
mod pull_fault;

pub use pod::{Cause, Patience, Trouble, troubles};
pub use pull_fault::PullFault;
