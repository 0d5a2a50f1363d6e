//! What the product takes beside what people use today, as whole processes on the real parts.
//!
//! The contenders of a row take turns, so that whatever else goes on in the machine meets all of
//! them. Every run is checked to have done its work.

mod contest;
mod deploy;
mod desktop_keyring;
mod error;
mod figure;
mod helper;
mod kernel_keys;
mod many;
mod memory;
mod namespaces;
mod phases;
mod process;
mod programs;
mod relay;
mod sample;
mod scale;
mod start;
mod table;
mod terraform;
mod verb;
mod watch;

pub use error::BenchError;
pub use verb::{Measure, Options, Subject, measure, run};
