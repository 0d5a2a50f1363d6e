//! The parts: which program, with which settings, after which others.

mod aws;
mod build;
mod containers;
mod control_plane;
mod images;
mod node;

pub use build::{ITEMS, NAMES, build};
pub use images::load as load_images;
pub use node::KUBELET;
