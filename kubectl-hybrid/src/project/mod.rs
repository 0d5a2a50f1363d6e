//! What is deployed where: configuration, Terraform contract and flags become one plain value.

pub mod config;
pub mod contract;
#[cfg(test)]
pub(crate) mod fake;
mod selection;

pub use selection::{Build, Project, ProjectError, Service};
