//! What is deployed where: configuration, Terraform contract and flags become one plain value.

pub mod contract;
