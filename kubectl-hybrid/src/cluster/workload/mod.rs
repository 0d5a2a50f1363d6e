//! Deployments, stateful sets and daemon sets: what they run, pinning an image, restarting.

mod change;
mod history;
mod object;
mod state;

pub use change::{
    ContainerPin, PinChange, PinPlan, PinRefusal, Pinned, WorkloadError, containers_of, pin,
    plan_pin, restart,
};
pub use history::{Revision as PastRevision, history};
pub use object::{WorkloadRef, list, read, read_all};
pub use state::{Condition, ContainerImage, Counts, Revision, Strategy, WorkloadState};
