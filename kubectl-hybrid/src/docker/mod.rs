//! Docker through its own CLI: the engine, logins, builds, pushes and platforms.
//!
//! Users' builders, contexts and other credential helpers apply, because it is their CLI that runs.

pub mod build;
pub mod build_error;
mod buildx;
pub mod command;
pub mod content;
mod context;
pub mod engine;
mod engine_retries;
#[cfg(unix)]
#[cfg(test)]
pub(crate) mod fake;
mod group;
pub mod helper;
pub mod ignore;
pub mod image;
pub mod login;
pub mod overlay;
pub mod platform;
mod private_folder;
pub mod push;
pub mod push_error;
mod repository;
mod stamp;
pub mod surroundings;

pub use build::{BuildRequest, Builder, BuilderKind, Built, Source};
pub use build_error::BuildError;
pub use command::{Command, CommandError, Finished};
pub use content::{ContentError, ContentTag, State};
pub use engine::{Docker, Engine, EngineError};
pub use login::{Login, LoginError};
pub use platform::Platform;
pub use push::{OnPushNews, PushNews, Pushed, push};
pub use push_error::{PushError, PushFailure};
pub use repository::revision;
pub use surroundings::Surroundings;
