//! The agent: `regcred watch` in the background, kept running by what the system has for that.
//!
//! It runs on the machine that has the AWS login, so that no AWS key enters the cluster.

mod definition;
mod launchd;
mod scheduled_task;
mod service_manager;
mod systemd;

pub use definition::{Definition, carried, is_key};
pub use scheduled_task::account;
pub use service_manager::{AgentError, Machine, Ran, ServiceManager, State, ThisMachine};
