//! Waiting for a roll-out, and ending within seconds on a cause that does not heal.
//!
//! `kubectl rollout status` waits ten minutes for an image that does not exist, and for ever on a
//! stateful set. This loop follows kubectl's rules for what is complete and looks at the pods too.

mod current_pods;
mod failure;
mod latest;
mod memory;
mod news;
mod progress;
mod wait;

pub use failure::{Failure, FailureCause};
pub use progress::{Verdict, verdict};
pub use wait::{End, TimedOut, Update, WaitOptions, wait};
