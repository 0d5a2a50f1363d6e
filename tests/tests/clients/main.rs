//! The credential helper as its real clients run it: Docker with both of its builders, Podman, and
//! the kubelet.
//!
//! The tests share the sandbox and its front's faults: run them one at a time.

#![cfg(test)]

mod configure;
mod docker;
mod failures;
mod kubelet;
mod person;
mod podman;
mod tls;

use hybrid_tests::sandbox::endpoints::{ACCOUNT, OTHER_ACCOUNT, OTHER_REGION, REGION};

/// The registry that most tests use: account and region.
const MAIN: (&str, &str) = (ACCOUNT, REGION);

/// The registry that the kubelet's provider answers for.
const OF_THE_PROVIDER: (&str, &str) = (OTHER_ACCOUNT, OTHER_REGION);
