//! `kubectl hybrid`: deploys images from Amazon ECR to a local cluster.
//!
//! Arrows point one way: [`commands`] use [`project`], [`terraform`], [`docker`], [`cluster`] and
//! [`diagnosis`]; those use `ecr_hybrid`. Nothing below [`commands`] prints.

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
