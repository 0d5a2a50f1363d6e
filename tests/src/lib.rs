//! The sandbox and what the end-to-end tests share.

#[cfg(unix)]
pub mod bucket;
pub mod digest;
pub mod front;
pub mod package;
pub mod said;
pub mod sandbox;
mod source_tree;
pub mod systems;

pub use source_tree::source_tree;
