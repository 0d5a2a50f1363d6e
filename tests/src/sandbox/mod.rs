//! The sandbox: the whole hybrid on one machine, in namespaces of its own.

pub mod report;
pub mod supply;
