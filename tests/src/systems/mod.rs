//! The systems that this machine is not: the programs and their tests are compiled for each of them.
//!
//! Nothing is linked, so that neither their linkers nor their C libraries are needed.

mod check;
mod library;
mod stand_in;

pub use check::{CheckError, check};
pub use library::{Library, LibraryError};
pub use stand_in::{is_stand_in, stand_in};

/// The systems that are checked without being named: one for each that users have beside Linux.
pub const TARGETS: [&str; 2] = ["x86_64-pc-windows-gnu", "aarch64-apple-darwin"];
