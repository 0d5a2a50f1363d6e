//! Minting: through the pull-only role where there is one.

use ecr_hybrid::cache::TokenSource;
use ecr_hybrid::error::TokenError;
use ecr_hybrid::identity::{Base, Identity, Source};
use ecr_hybrid::token::Token;

use super::MINIMUM_LIFE;
use super::job::Wanted;
use crate::cluster::pull_secret::{Origin, RegistryLogin};
use crate::error::CommandError;
use crate::exit::Exit;

/// Logins that are there, and why others are not.
pub(super) struct Minted {
    logins: Vec<MintedLogin>,
    pub(super) failed: Vec<CommandError>,
}

struct MintedLogin {
    registry: String,
    token: Token,
    origin: Origin,
}

impl Minted {
    /// What the secrets shall hold.
    pub(super) fn logins(&self) -> Vec<RegistryLogin<'_>> {
        self.logins
            .iter()
            .map(|login| RegistryLogin {
                registry: &login.registry,
                username: login.token.username(),
                password: login.token.password(),
                expires_at: login.token.expires_at(),
                origin: Some(&login.origin),
            })
            .collect()
    }
}

/// Gets a token for each registry, from where it is kept or from AWS. `refused` says that a
/// registry did not take the kept one.
///
/// # Errors
/// When there is not one token. A single one that is missing is told beside the others.
pub(super) async fn mint(wanted: &[Wanted], refused: bool) -> Result<Minted, CommandError> {
    let wanted = wanted.to_vec();
    // The token source blocks: it belongs on a thread of its own.
    let minted = tokio::task::spawn_blocking(move || {
        wanted
            .iter()
            .map(|wanted| mint_one(wanted, refused).map_err(|error| token_error(wanted, &error)))
            .collect::<Vec<_>>()
    })
    .await
    .map_err(|error| CommandError::from_error(Exit::Unexpected, &error))?;
    let mut result = Minted {
        logins: Vec::new(),
        failed: Vec::new(),
    };
    for minted in minted {
        match minted {
            Ok(login) => result.logins.push(login),
            Err(error) => result.failed.push(error),
        }
    }
    if result.logins.is_empty() && !result.failed.is_empty() {
        return Err(result.failed.remove(0));
    }
    Ok(result)
}

fn mint_one(wanted: &Wanted, refused: bool) -> Result<MintedLogin, TokenError> {
    let registry = &wanted.registry;
    let mut source = TokenSource::from_environment().minimum_life(MINIMUM_LIFE);
    if let Some(role) = &wanted.role {
        // The role is assumed from the identity that this registry would be given without it.
        let plain = source.plan(registry)?.choice.identity;
        if let Some(profile) = plain.profile() {
            source = source.with_profile(profile);
        }
        source = source.with_role(role);
    }
    if refused {
        source.forget(registry);
    }
    let identity = source.plan(registry)?.choice.identity;
    let token = source.token(registry)?;
    let origin = Origin {
        principal: Some(principal(&identity)),
        source: Some(identity.to_string()),
        issued_at: Some(token.issued_at()),
    };
    Ok(MintedLogin {
        registry: registry.host().to_owned(),
        token,
        origin,
    })
}

/// The ARN that the token stands for, where the declaration of the identity tells it; else the
/// declaration itself.
fn principal(identity: &Identity) -> String {
    if let Some(role) = &identity.role_arn {
        return role.clone();
    }
    if let Source::Profile { roles, .. } = &identity.source
        && let Some(role) = roles.last()
    {
        return role.arn.clone();
    }
    match identity.base() {
        Base::WebIdentity { role_arn: arn } | Base::LoginSession { arn } => arn.clone(),
        base => base.to_string(),
    }
}

fn token_error(wanted: &Wanted, error: &TokenError) -> CommandError {
    let exit = if error.is_authentication() {
        Exit::AwsAuthentication
    } else {
        Exit::Unexpected
    };
    let told = CommandError::from_error(exit, error).maybe_hint(error.hint());
    match &wanted.role {
        Some(role) => told.hint(format!(
            "the cluster's token is minted through {role}: your identity must be allowed to assume it"
        )),
        None => told,
    }
}

#[cfg(test)]
mod tests {
    use ecr_hybrid::aws_files::AwsFiles;
    use ecr_hybrid::environment::Environment;

    use super::*;

    #[test]
    fn the_principal_is_an_arn_where_the_declaration_tells_it() {
        let files = AwsFiles::parse(
            "[profile chain]\nrole_arn = arn:aws:iam::111122223333:role/dev\nsource_profile = keys\n\
             [profile keys]\naws_access_key_id = AKID\naws_secret_access_key = x\n",
            "",
        );
        let environment = Environment::given([("AWS_REGION", "eu-west-1")]);
        let of = |name: &str| Identity::of_profile(&environment, &files, name).unwrap();
        assert_eq!(
            principal(&of("chain")),
            "arn:aws:iam::111122223333:role/dev"
        );
        assert_eq!(principal(&of("keys")), "access key AKID");
        let pull = "arn:aws:iam::111122223333:role/pull";
        assert_eq!(principal(&of("chain").assuming(pull)), pull);
    }
}
