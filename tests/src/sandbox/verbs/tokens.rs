//! `tokens`: the life of the tokens that the ECR front gives out.

use std::time::Duration;

use super::api::admin;
use crate::sandbox::cli::TokensVerb;
use crate::sandbox::{Layout, SandboxError};

/// Does what the verb says and returns a line about it.
pub fn tokens(layout: &Layout, verb: &TokensVerb) -> Result<String, SandboxError> {
    let admin = admin(layout)?;
    Ok(match verb {
        TokensVerb::Expire => format!("{} tokens have expired\n", admin.expire_tokens()?),
        TokensVerb::Ttl { seconds } => {
            admin.set_ttl(Duration::from_secs(*seconds))?;
            format!("Tokens live for {seconds} s from now on\n")
        }
    })
}
