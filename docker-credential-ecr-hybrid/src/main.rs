//! The Docker credential helper.
fn main() {}
