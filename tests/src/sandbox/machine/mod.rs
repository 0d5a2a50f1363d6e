//! The machine that the parts run on: private namespaces of one Linux host.
//!
//! Everything that the parts do to a machine (mounts, interfaces, packet filter rules, host names,
//! files below `/etc` and `/var/lib`) happens in here and ends with PID 1.

mod cgroups;
mod hosts;
mod make;
mod mounts;
mod namespaces;
mod network;

pub use cgroups::{CGROUP, remove as remove_cgroups};
pub use hosts::hosts_file;
pub use make::{make, probe};
pub use namespaces::{enter, enter_network, unshare};
