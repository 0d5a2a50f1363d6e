//! `env`: the sandbox's environment for a person's shell.

use crate::sandbox::{Environment, Layout, SandboxError};

/// Lines for `eval "$(cargo sandbox env)"`.
pub fn env(layout: &Layout) -> Result<String, SandboxError> {
    let caller = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    Ok(Environment::new(layout)?.shell(caller))
}
