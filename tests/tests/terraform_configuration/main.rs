//! The project's Terraform configuration on real parts: bootstrap, personal workspaces, what a plan
//! sees after the tool has been at work, and a configuration that is not the project's own.
//!
//! The tests share one cluster, one bucket, and the state of workspace `dev`: run them one at a time.

#![cfg(test)]

mod bootstrap;
mod folder;
mod foreign;
mod laptop;
mod login;
mod personal;
mod shared;
