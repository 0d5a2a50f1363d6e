//! Who holds the lock of a state, and how a dead lock is released.
//!
//! Terraform keeps locks in one place or in two: a row in a `DynamoDB` table and a lock file beside
//! the state. It takes the file first. A lock has no process id, no heartbeat and no end.

mod digest;
mod finding;
mod force_unlock;
mod held;
mod liveness;
mod processes;
mod read;
mod release;

pub use digest::{Repair, Repaired, repair};
pub use finding::Finding;
pub use force_unlock::{ForceUnlock, Shell};
pub use held::{Held, LockInfo, Locks, Place, Unreadable, YOUNG};
pub use liveness::{Here, Liveness, of_holder};
pub use read::{LocksError, open, read, read_held};
pub use release::{Outcome, Released, release};
