//! The registry listener: one registry for each account and region, as ECR answers.

mod proxy;
mod push;
mod refusal;
mod route;
mod serve;

pub(super) use proxy::upstream;
pub(super) use serve::answer;
