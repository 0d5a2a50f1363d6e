//! Amazon ECR tokens: which identity, which cache, which registry.
//!
//! [`cache::TokenSource`] is the way in: it gives a token for a [`host::Registry`], from where it is
//! kept while it is fresh, and from AWS when it is not. [`command::run`] is the same as Docker's
//! credential helper. Nothing here knows of Kubernetes or Terraform, and nothing prints but the
//! command, to the streams that it is given.

pub mod aws;
pub mod aws_error;
pub mod aws_files;
pub mod ca_bundle;
pub mod cache;
pub mod choice;
pub mod command;
pub mod configure;
pub mod core_dump;
mod credentials;
pub mod docker_config;
mod endpoint;
pub mod envelope;
pub mod environment;
pub mod error;
pub mod host;
mod http_client;
pub mod identity;
mod json_text;
pub mod key;
mod known_accounts;
pub mod kubelet;
mod lock;
mod lock_note;
pub mod log;
mod mint;
mod private_files;
pub mod protocol;
pub mod secret;
pub mod settings;
pub mod store;
pub mod token;
