//! The kubelet's image credential provider API, version 1.
//!
//! A kubelet that is given this program pulls from ECR in every namespace without a pull secret. It
//! runs the program with one request on standard input, reads one response from standard output, and
//! logs standard error when the exit code is not 0.

mod answer;
mod duration;
mod provider_config;
mod request;

pub use answer::Answer;
pub use provider_config::provider_config;
pub use request::{Request, RequestError};
