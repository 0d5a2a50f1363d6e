//! The Terraform side: where the state is, what it says, and who holds its lock.
//!
//! Terraform is read here, never steered behind anybody's back: what changes something is an
//! [`invocation`] that is shown before it runs. The state object is read straight from S3 when that is
//! safe ([`state`]), else `terraform output -json` is asked ([`cli`]). Locks are read and released
//! natively ([`lock`]), because no Terraform command lists them.
//!
//! [`contract::read`] is the entry point for the contract, [`lock::read`] for the locks.

pub mod access;
pub mod backend;
mod cache;
pub mod cli;
pub mod configuration;
pub mod contract;
mod hcl;
pub mod invocation;
pub mod keys;
pub mod lock;
pub mod root;
pub mod state;
pub mod workspaces;
