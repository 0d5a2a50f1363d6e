//! The places that credentials can come from, by the SDK's own rules and in its order.

use super::{Base, IdentityError, Role};
use crate::aws_files::{AwsFiles, Section};
use crate::environment::Environment;

/// Follows a profile to its first credentials, by the SDK's own rules.
pub(super) fn chain(
    environment: &Environment,
    files: &AwsFiles,
    root: &str,
) -> Result<(Base, Vec<Role>), IdentityError> {
    let invalid = |name: &str, why: String| IdentityError::ProfileInvalid {
        name: name.to_owned(),
        why,
    };
    let mut visited: Vec<&str> = Vec::new();
    let mut roles = Vec::new();
    let mut name = root;
    let base = loop {
        let Some(profile) = files.profile(name) else {
            return Err(match visited.last() {
                None => IdentityError::ProfileMissing {
                    name: name.to_owned(),
                    known: files.profiles().map(|(name, _)| name.to_owned()).collect(),
                },
                Some(from) => invalid(
                    from,
                    format!("its `source_profile` is `{name}`, which does not exist"),
                ),
            });
        };
        if visited.contains(&name) {
            return Err(invalid(
                root,
                format!("its role chain comes back to `{name}`"),
            ));
        }
        visited.push(name);
        // Behind the first link, keys win over a role and over any other source.
        if visited.len() > 1
            && let Some(access_key_id) = profile.get("aws_access_key_id")
            && profile.contains_key("aws_secret_access_key")
        {
            break Base::Keys {
                access_key_id: access_key_id.clone(),
            };
        }
        let role = profile
            .get("role_arn")
            .filter(|_| !profile.contains_key("web_identity_token_file"));
        let Some(arn) = role else {
            break base_of(environment, files, root, name, profile)?;
        };
        if profile.contains_key("mfa_serial") {
            return Err(IdentityError::NeedsMfa {
                name: name.to_owned(),
            });
        }
        roles.push(Role {
            arn: arn.clone(),
            external_id: profile.get("external_id").cloned(),
        });
        match (
            profile.get("source_profile"),
            profile.get("credential_source"),
        ) {
            (Some(_), Some(_)) => {
                let why = "it has both `source_profile` and `credential_source`";
                return Err(invalid(name, why.to_owned()));
            }
            (None, None) => {
                let why =
                    "it has a `role_arn`, but neither `source_profile` nor `credential_source`";
                return Err(invalid(name, why.to_owned()));
            }
            (Some(source), None) if source != name => name = source,
            _ => break base_of(environment, files, root, name, profile)?,
        }
    };
    roles.reverse();
    Ok((base, roles))
}

/// What a profile itself offers, in the SDK's order of preference. The settings of the metadata
/// service are those of the profile that the chain begins at.
fn base_of(
    environment: &Environment,
    files: &AwsFiles,
    root: &str,
    name: &str,
    profile: &Section,
) -> Result<Base, IdentityError> {
    let invalid = |why: &str| IdentityError::ProfileInvalid {
        name: name.to_owned(),
        why: why.to_owned(),
    };
    if let Some(source) = profile.get("credential_source") {
        let base = match source.as_str() {
            "Environment" => environment_keys(environment),
            "EcsContainer" => container(environment),
            "Ec2InstanceMetadata" => instance(environment, files.profile(root)),
            _ => {
                return Err(invalid(
                    "its `credential_source` is none of Environment, EcsContainer, and Ec2InstanceMetadata",
                ));
            }
        };
        return base.ok_or_else(|| invalid("its `credential_source` offers no credentials here"));
    }
    if profile.contains_key("web_identity_token_file") {
        let role_arn = profile
            .get("role_arn")
            .ok_or_else(|| invalid("it has a `web_identity_token_file`, but no `role_arn`"))?;
        return Ok(Base::WebIdentity {
            role_arn: role_arn.clone(),
        });
    }
    if let Some(base) = sso(files, profile) {
        return base.map_err(invalid);
    }
    if let Some(arn) = profile.get("login_session") {
        return Ok(Base::LoginSession { arn: arn.clone() });
    }
    if let Some(command) = profile.get("credential_process") {
        return Ok(Base::Process {
            command: command.clone(),
        });
    }
    match profile.get("aws_access_key_id") {
        Some(access_key_id) => Ok(Base::Keys {
            access_key_id: access_key_id.clone(),
        }),
        None => Err(IdentityError::NoCredentials),
    }
}

fn sso(files: &AwsFiles, profile: &Section) -> Option<Result<Base, &'static str>> {
    if !profile.keys().any(|key| key.starts_with("sso_")) {
        return None;
    }
    let session = profile.get("sso_session");
    let section = match session {
        Some(session) => match files.sso_session(session) {
            Some(section) => section,
            None => return Some(Err("its `sso_session` has no section of its own")),
        },
        None => profile,
    };
    let (Some(start_url), Some(account), Some(role)) = (
        section.get("sso_start_url"),
        profile.get("sso_account_id"),
        profile.get("sso_role_name"),
    ) else {
        return Some(Err(
            "its SSO settings need `sso_start_url`, `sso_account_id`, and `sso_role_name`",
        ));
    };
    Some(Ok(Base::Sso {
        session: session.cloned(),
        // The portal is the same with and without what follows its address.
        start_url: start_url.trim_end_matches(['#', '/']).to_owned(),
        account: account.clone(),
        role: role.clone(),
    }))
}

pub(super) fn environment_keys(environment: &Environment) -> Option<Base> {
    let access_key_id = environment.var("AWS_ACCESS_KEY_ID")?;
    environment
        .var("AWS_SECRET_ACCESS_KEY")
        .map(|_| Base::EnvironmentKeys { access_key_id })
}

pub(super) fn web_identity(environment: &Environment) -> Option<Base> {
    environment.var("AWS_WEB_IDENTITY_TOKEN_FILE")?;
    environment
        .var("AWS_ROLE_ARN")
        .map(|role_arn| Base::WebIdentity { role_arn })
}

pub(super) fn container(environment: &Environment) -> Option<Base> {
    environment
        .var("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        .or_else(|| environment.var("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
        .map(|uri| Base::Container {
            uri,
            machine: machine(environment),
            // The file goes first, as in the SDK. What it holds changes; who it is for does not.
            authorization: environment
                .var("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
                .or_else(|| environment.var("AWS_CONTAINER_AUTHORIZATION_TOKEN")),
        })
}

/// The role of the machine. `profile` is the one in use, which may say where the service answers.
pub(super) fn instance(environment: &Environment, profile: Option<&Section>) -> Option<Base> {
    if environment.is_on("AWS_EC2_METADATA_DISABLED") {
        return None;
    }
    let of_profile = || profile?.get("ec2_metadata_service_endpoint").cloned();
    Some(Base::Instance {
        machine: machine(environment),
        endpoint: environment
            .var("AWS_EC2_METADATA_SERVICE_ENDPOINT")
            .or_else(of_profile),
    })
}

/// The name of this machine, or of the container that this process is in.
fn machine(environment: &Environment) -> String {
    let name = environment
        .var("COMPUTERNAME")
        .or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok())
        .unwrap_or_default();
    name.trim().to_owned()
}
