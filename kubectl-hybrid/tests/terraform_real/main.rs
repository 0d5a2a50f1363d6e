//! The Terraform room against a real Terraform, and S3 and `DynamoDB` as the sandbox has them.
//!
//! They need `terraform` on PATH and the sandbox's AWS environment; each makes a bucket, a table
//! and a root folder of its own. One also needs the AWS provider, installed or from a mirror, and
//! those of `OpenTofu` the program that `HYBRID_TEST_TOFU` names.

#![expect(
    clippy::unwrap_used,
    reason = "A test ends where something is not as it should be."
)]

mod digest;
mod holding_proxy;
mod locks;
mod reading;
mod setting;
mod tofu;
