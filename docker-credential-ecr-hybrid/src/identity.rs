//! Which AWS identity a call will use, found from files and environment alone.
//!
//! The rules and their order are those of the AWS SDK for Rust: keys in the environment, then the
//! profile, then a web identity, then the container, then the instance. The answer names the
//! identity as it was declared (SSO account and role, role chain, key id, process), never by the
//! short-lived key that it will be given. That is what makes a cache hit possible before any
//! credential was resolved, and what keeps the tokens of two roles apart.

use std::fmt;
use std::path::PathBuf;

use crate::aws_files::AwsFiles;
use crate::environment::Environment;
use crate::host::is_account;

mod sources;

use sources::{chain, container, environment_keys, instance, web_identity};

/// The identity that a call will use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Where its credentials come from.
    pub source: Source,
    /// A role to assume on top, which no file declares.
    pub role_arn: Option<String>,
}

/// Where credentials come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A profile of the shared AWS files.
    Profile {
        /// The profile's name.
        name: String,
        /// What the chain of profiles begins with.
        base: Base,
        /// The roles assumed from there, in order.
        roles: Vec<Role>,
        /// The account that the profile declares (`aws_account_id`).
        account: Option<String>,
    },
    /// No profile: the environment, the container, or the instance.
    Ambient(Base),
}

/// The first credentials of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Keys in environment variables.
    EnvironmentKeys {
        /// The access key id: public, and stable for as long as these keys are.
        access_key_id: String,
    },
    /// Keys in a profile.
    Keys {
        /// The access key id.
        access_key_id: String,
    },
    /// An account and role of IAM Identity Center.
    Sso {
        /// The `[sso-session]` in use; `None` for the older form without one.
        session: Option<String>,
        /// The portal that people log in to.
        start_url: String,
        /// The account.
        account: String,
        /// The role's name.
        role: String,
    },
    /// The session of `aws login`.
    LoginSession {
        /// The ARN of who logged in.
        arn: String,
    },
    /// A command that prints credentials.
    Process {
        /// The command line; it may hold secrets, so it is hashed, never shown.
        command: String,
    },
    /// A role for the bearer of a token file.
    WebIdentity {
        /// The role.
        role_arn: String,
    },
    /// The credentials endpoint of a container.
    Container {
        /// The endpoint. That of a Kubernetes node is the same for all of its pods.
        uri: String,
        /// The container's host name.
        machine: String,
        /// What the endpoint tells callers apart by: the value of an authorization token, which is
        /// hashed, never shown, or the path of the file that holds one that changes.
        authorization: Option<String>,
    },
    /// The role of the machine, from its metadata service.
    Instance {
        /// The machine's name, so that two machines with one home folder are told apart.
        machine: String,
        /// The configured address of the metadata service.
        endpoint: Option<String>,
    },
}

/// A role in a chain of profiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// The external id that its trust policy asks for.
    pub external_id: Option<String>,
}

/// Why the identity cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The named profile is in neither file.
    #[error("The AWS profile `{name}` does not exist{}.", known_profiles(.known))]
    ProfileMissing {
        /// The profile that was asked for.
        name: String,
        /// The profiles that exist.
        known: Vec<String>,
    },
    /// The settings file names a profile that is in neither file.
    #[error(
        "The AWS profile `{name}`, which the settings file `{}` names for `{pattern}`, does not exist{}.",
        file.display(), known_profiles(.known)
    )]
    RuleProfileMissing {
        /// The profile of the rule.
        name: String,
        /// The profiles that exist.
        known: Vec<String>,
        /// The settings file.
        file: PathBuf,
        /// The pattern of the rule.
        pattern: String,
    },
    /// A profile refers to something that is not there or contradicts itself.
    #[error("The AWS profile `{name}` cannot be used: {why}.")]
    ProfileInvalid {
        /// The profile.
        name: String,
        /// What is wrong, as a clause.
        why: String,
    },
    /// The profile wants a code from a person, which a credential helper cannot ask for.
    #[error(
        "The AWS profile `{name}` asks for an MFA code (`mfa_serial`), and a credential helper cannot ask for one."
    )]
    NeedsMfa {
        /// The profile.
        name: String,
    },
    /// There is nothing to log in with.
    #[error(
        "There are no AWS credentials: no keys in the environment, no usable profile, and no role of a container or an instance."
    )]
    NoCredentials,
    /// Several profiles would do for the account of a registry.
    #[error("Several AWS profiles are for account {account}: {}.", .profiles.join(", "))]
    Ambiguous {
        /// The registry's account.
        account: String,
        /// The profiles.
        profiles: Vec<String>,
    },
}

impl IdentityError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::ProfileMissing { .. } => {
                Some("Set AWS_PROFILE to one of them, or run: aws configure sso".to_owned())
            }
            // A rule goes before AWS_PROFILE.
            Self::RuleProfileMissing { .. } => {
                Some("Name one of them in that rule, or run: aws configure sso".to_owned())
            }
            Self::ProfileInvalid { name, .. } => {
                Some(format!("See the section of `{name}` in ~/.aws/config"))
            }
            Self::NeedsMfa { name } => Some(format!(
                "Use a profile whose `credential_process` or SSO session handles MFA in place of `{name}`"
            )),
            Self::NoCredentials => Some("Set AWS_PROFILE, or run: aws configure sso".to_owned()),
            Self::Ambiguous { .. } => Some(
                "Set AWS_PROFILE to the one to use, or name it in the settings file".to_owned(),
            ),
        }
    }
}

fn known_profiles(known: &[String]) -> String {
    match known {
        [] => " (there are none)".to_owned(),
        _ if known.len() > 12 => format!(" (there are {} others)", known.len()),
        _ => format!(" (there are: {})", known.join(", ")),
    }
}

impl Identity {
    /// The identity of the default chain, as the SDK would choose it.
    pub fn resolve(environment: &Environment) -> Result<Self, IdentityError> {
        Self::resolve_with(environment, &AwsFiles::read(environment))
    }

    /// Like [`Identity::resolve`], with the files already read.
    pub fn resolve_with(
        environment: &Environment,
        files: &AwsFiles,
    ) -> Result<Self, IdentityError> {
        if let Some(base) = environment_keys(environment) {
            return Ok(Self::of(Source::Ambient(base)));
        }
        let chosen = chosen_profile(environment);
        let name = chosen.as_deref().unwrap_or("default");
        match Self::of_profile(environment, files, name) {
            // A profile that only sets a region lets the rest of the chain have its turn.
            Err(IdentityError::NoCredentials) => {}
            Err(IdentityError::ProfileMissing { .. }) if chosen.is_none() => {}
            found => return found,
        }
        let base = web_identity(environment)
            .or_else(|| container(environment))
            .or_else(|| instance(environment, files.profile(name)));
        base.map(|base| Self::of(Source::Ambient(base)))
            .ok_or(IdentityError::NoCredentials)
    }

    /// The identity of one profile, whatever the environment would prefer.
    ///
    /// `NoCredentials` means that the profile exists and holds none.
    pub fn of_profile(
        environment: &Environment,
        files: &AwsFiles,
        name: &str,
    ) -> Result<Self, IdentityError> {
        let (base, roles) = chain(environment, files, name)?;
        let account = files
            .profile(name)
            .and_then(|profile| profile.get("aws_account_id"))
            .filter(|account| roles.is_empty() && is_account(account))
            .cloned();
        Ok(Self::of(Source::Profile {
            name: name.to_owned(),
            base,
            roles,
            account,
        }))
    }

    fn of(source: Source) -> Self {
        Self {
            source,
            role_arn: None,
        }
    }

    /// The same identity, with one more role assumed on top.
    #[must_use]
    pub fn assuming(mut self, role_arn: &str) -> Self {
        self.role_arn = Some(role_arn.to_owned());
        self
    }

    /// The profile that is in use, if one is.
    pub fn profile(&self) -> Option<&str> {
        match &self.source {
            Source::Profile { name, .. } => Some(name),
            Source::Ambient(_) => None,
        }
    }

    /// What the chain begins with.
    pub fn base(&self) -> &Base {
        match &self.source {
            Source::Profile { base, .. } | Source::Ambient(base) => base,
        }
    }

    /// The account that this identity acts in, where its declaration says so.
    pub fn account(&self) -> Option<&str> {
        let of_role = |arn: &str| arn.split(':').nth(4).map(str::len) == Some(12);
        let last_role = self.role_arn.as_deref().or_else(|| match &self.source {
            Source::Profile { roles, .. } => roles.last().map(|role| role.arn.as_str()),
            Source::Ambient(_) => None,
        });
        if let Some(arn) = last_role.filter(|arn| of_role(arn)) {
            return arn.split(':').nth(4);
        }
        match self.base() {
            Base::Sso { account, .. } => Some(account),
            Base::WebIdentity { role_arn: arn } | Base::LoginSession { arn } => {
                arn.split(':').nth(4).filter(|part| part.len() == 12)
            }
            _ => match &self.source {
                Source::Profile { account, .. } => account.as_deref(),
                Source::Ambient(_) => None,
            },
        }
    }

    /// The parts that tell this identity from any other, for hashing. The profile's name is not one
    /// of them: two names for one SSO role share a token.
    pub(crate) fn parts(&self) -> Vec<&str> {
        let mut parts = match self.base() {
            Base::EnvironmentKeys { access_key_id } | Base::Keys { access_key_id } => {
                vec!["keys", access_key_id]
            }
            Base::Sso {
                start_url,
                account,
                role,
                ..
            } => vec!["sso", start_url, account, role],
            Base::LoginSession { arn } => vec!["login", arn],
            Base::Process { command } => vec!["process", command],
            Base::WebIdentity { role_arn } => vec!["web-identity", role_arn],
            Base::Container {
                uri,
                machine,
                authorization,
            } => vec![
                "container",
                uri,
                machine,
                authorization.as_deref().unwrap_or_default(),
            ],
            Base::Instance { machine, endpoint } => {
                vec!["instance", machine, endpoint.as_deref().unwrap_or_default()]
            }
        };
        if let Source::Profile { roles, .. } = &self.source {
            for role in roles {
                let external_id = role.external_id.as_deref().unwrap_or_default();
                parts.extend(["role", role.arn.as_str(), external_id]);
            }
        }
        if let Some(arn) = &self.role_arn {
            parts.extend(["role", arn.as_str(), ""]);
        }
        parts
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Ambient(base) => write!(f, "{base}")?,
            Source::Profile {
                name, base, roles, ..
            } => {
                write!(f, "profile {name} ({base}")?;
                for role in roles {
                    write!(f, ", role {}", role.arn)?;
                }
                f.write_str(")")?;
            }
        }
        match &self.role_arn {
            Some(arn) => write!(f, ", assuming {arn}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnvironmentKeys { access_key_id } => {
                write!(f, "access key {access_key_id} from the environment")
            }
            Self::Keys { access_key_id } => write!(f, "access key {access_key_id}"),
            Self::Sso {
                session: Some(session),
                account,
                role,
                ..
            } => write!(f, "SSO session {session}, account {account}, role {role}"),
            Self::Sso {
                start_url,
                account,
                role,
                ..
            } => write!(f, "SSO at {start_url}, account {account}, role {role}"),
            Self::LoginSession { arn } => write!(f, "login session {arn}"),
            Self::Process { .. } => f.write_str("credential process"),
            Self::WebIdentity { role_arn } => write!(f, "web identity, role {role_arn}"),
            Self::Container { .. } => f.write_str("container credentials"),
            Self::Instance { .. } => f.write_str("instance role"),
        }
    }
}

/// The profile that the environment chooses, if it chooses one.
pub fn chosen_profile(environment: &Environment) -> Option<String> {
    environment
        .var("AWS_PROFILE")
        .or_else(|| environment.var("AWS_DEFAULT_PROFILE"))
}

#[cfg(test)]
mod tests;
