//! JSON that belongs to a person: changed in one place, and otherwise left letter by letter.

mod edit;
mod tree;

pub(crate) use edit::{remove, set};
pub(crate) use tree::{JsonError, Kind, Node, parse};
