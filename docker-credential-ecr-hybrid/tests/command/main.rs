//! The real binary, in a private home, against a small ECR on this machine.
#![expect(clippy::unwrap_used, reason = "These are tests.")]

mod api;
mod configure;
#[cfg(unix)]
mod credential_process;
mod endpoints;
mod failures;
mod hits;
mod home;
mod kubelet;
#[cfg(target_os = "linux")]
mod places;
mod profiles;
mod renewal;
#[cfg(target_os = "linux")]
mod secret_service;
mod single_flight;
mod sources;
mod stores;
mod streams;

/// The registry that most tests ask for.
const HOST: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";

/// A registry of another account in the same region.
const NEIGHBOUR: &str = "444455556666.dkr.ecr.eu-west-1.amazonaws.com";
