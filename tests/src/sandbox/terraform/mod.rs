//! The project's own Terraform configuration, applied in the sandbox.
//!
//! [`apply`] lays out a copy of it, makes the state's bucket and lock table, and applies the
//! environment of the example. What the AWS emulator was told meanwhile is kept, because it forgets
//! everything when it ends: the next `up` tells it again in less than a second.

mod apply;
mod configuration;
mod emulator;
mod error;
mod http;
mod memory;
mod run;
mod settings;
mod stand_in;
mod stuck_lock;

pub use apply::{Applied, apply, plan_is_empty};
pub use error::TerraformError;
pub use settings::Settings;
pub use stuck_lock::{LeftLock, leave_lock};
