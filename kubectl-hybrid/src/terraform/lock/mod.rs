//! Who holds the lock of a state, and how a dead lock is released.
//!
//! Terraform keeps locks in one place or in two: a row in a `DynamoDB` table and a lock file beside
//! the state. It takes the file first. A lock has no process id, no heartbeat and no end.

mod held;
mod liveness;
mod read;
mod release;

pub use held::{Finding, Held, LockInfo, Locks, Place, Unreadable};
pub use liveness::{Here, Liveness, of_holder};
pub use read::{LocksError, open, read};
pub use release::{ForceUnlock, Outcome, Released, release};
