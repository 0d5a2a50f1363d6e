//! The project's own Terraform configuration, applied in the sandbox.
//!
//! [`apply`] lays out a copy of it, makes the state's bucket and lock table, and applies the
//! environment of the example. The AWS emulator forgets everything when it ends; the front before it
//! keeps what it was told, and tells the next one.

mod apply;
mod configuration;
mod emulator;
mod error;
mod http;
mod run;
mod settings;
mod stuck_lock;

pub use apply::{Applied, BOOTSTRAP_TARGETS, apply, plan_is_empty};
pub use error::TerraformError;
pub use settings::Settings;
pub use stuck_lock::{LeftLock, leave_lock};
