//! Deployments, stateful sets and daemon sets: what they run, pinning an image, restarting.

mod change;
mod object;
mod state;

pub use change::{
    ContainerPin, PinChange, PinPlan, PinRefusal, Pinned, WorkloadError, containers_of, pin,
    plan_pin, restart,
};
pub use object::{WorkloadRef, read};
pub use state::{Condition, ContainerImage, Counts, Revision, Strategy, WorkloadState};
