//! `cargo sandbox`: brings the whole hybrid up on one machine.
fn main() {}
