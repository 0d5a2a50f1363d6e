//! What is deployed where: configuration, Terraform contract and flags become one plain value.

pub mod config;
pub mod contract;
mod selection;

pub use selection::{Build, Project, ProjectError, Service};
