//! The front as a whole: before an upstream of the test's own, and before the real parts.

mod bench;
mod passing;
mod real;
