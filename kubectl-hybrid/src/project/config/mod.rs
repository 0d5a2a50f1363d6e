//! `hybrid.toml`: what the contract cannot know, namely where the sources are and how they are
//! built, and what a team or a person wants otherwise than the defaults.

mod duration;
mod error;
mod file;
mod find;
mod keys;
mod origin;
mod overlay;
mod parse;
mod schema;

pub use duration::{Span, SpanError};
pub use error::ConfigError;
pub use file::{
    BackendConfig, BuildConfig, ClusterConfig, ConfigFile, ContractSource, DeployConfig,
    HooksConfig, RollOutStrategy, ServiceConfig, TerraformConfig, WorkspaceConfig,
};
pub use find::{Config, FILE_NAME};
pub use origin::Origin;
pub use schema::schema;
