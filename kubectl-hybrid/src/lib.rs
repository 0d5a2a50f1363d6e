//! `kubectl hybrid`: deploys images from Amazon ECR to a local cluster.
//!
//! Arrows point one way: [`commands`] use [`project`], [`terraform`], [`docker`], [`cluster`], [`agent`] and
//! [`diagnosis`]; those use `ecr_hybrid`. Nothing below [`commands`] prints.
#![cfg_attr(
    test,
    expect(
        clippy::large_stack_arrays,
        clippy::needless_pass_by_value,
        clippy::too_many_lines,
        reason = "tests are tables, and what builds their rows takes JSON literals"
    )
)]

pub mod agent;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod diagnosis;
pub mod docker;
pub mod error;
pub mod exit;
pub mod project;
pub mod registry;
pub mod terraform;
pub mod ui;
