//! The sandbox and what the end-to-end tests share.

pub mod front;
pub mod sandbox;
