//! The checks: one file for each area, each a pure function of the facts.

mod aws;
mod cluster;
mod docker;
mod pull_secret;
mod run;
mod terraform;
mod workloads;

pub use run::{run, summary};
pub(crate) use terraform::in_words;
