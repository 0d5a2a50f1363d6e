//! What the targets compare the product with: the rules once more, written another way.

pub mod grammar;
pub mod members;

/// A registry that targets put in and take out.
pub const HOST: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
