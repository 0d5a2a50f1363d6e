//! Which identity serves which registry, and why.

use std::fmt;

use crate::aws_files::AwsFiles;
use crate::environment::Environment;
use crate::host::Registry;
use crate::identity::{Base, Identity, IdentityError, chosen_profile};
use crate::known_accounts::KnownAccounts;
use crate::settings::{ProfileName, RegionName, RoleArn, Settings};

/// A caller's own wish, which goes before every rule.
#[derive(Debug, Default, Clone)]
pub struct Wish {
    /// The profile to use.
    pub profile: Option<String>,
    /// A role to assume on top.
    pub role_arn: Option<String>,
}

/// The identity chosen for a registry.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The identity.
    pub identity: Identity,
    /// Why it was chosen.
    pub reason: Reason,
    /// The region whose API is to issue the token, where a rule names one.
    pub region: Option<RegionName>,
}

/// Why an identity was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The caller asked for it.
    Asked,
    /// A rule of the settings file.
    Settings {
        /// The pattern that fitted.
        pattern: String,
    },
    /// The environment names it.
    Environment,
    /// It is the only profile of the registry's account.
    OnlyProfile {
        /// The account.
        account: String,
        /// No file says so, but an earlier token did.
        remembered: bool,
    },
    /// Nothing else decided.
    DefaultChain,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("asked for"),
            Self::Settings { pattern } => {
                write!(f, "the settings file names it for `{pattern}`")
            }
            Self::Environment => f.write_str("the environment names it"),
            Self::OnlyProfile {
                account,
                remembered: false,
            } => write!(f, "the only profile of account {account}"),
            Self::OnlyProfile {
                account,
                remembered: true,
            } => write!(
                f,
                "the only profile of account {account}, as an earlier token said"
            ),
            Self::DefaultChain => f.write_str("the default credentials"),
        }
    }
}

impl Choice {
    /// Chooses: what the caller asks for, what the settings say of the registry, what the
    /// environment names, the one profile of the registry's account, else the default chain.
    pub fn make(
        environment: &Environment,
        files: &AwsFiles,
        settings: &Settings,
        registry: &Registry,
        wish: &Wish,
    ) -> Result<Self, IdentityError> {
        if wish.profile.is_some() || wish.role_arn.is_some() {
            let (profile, role) = (wish.profile.as_deref(), wish.role_arn.as_deref());
            let identity = named(environment, files, profile, role)?;
            return Ok(Self::of(identity, Reason::Asked));
        }
        let rule = settings.rule(registry);
        let region = rule.and_then(|rule| rule.region.clone());
        if let Some(rule) = rule.filter(|rule| rule.profile.is_some() || rule.role_arn.is_some()) {
            let profile = rule.profile.as_ref().map(ProfileName::as_str);
            let assumed = rule.role_arn.as_ref().map(RoleArn::as_str);
            let pattern = rule.host.as_str().to_owned();
            let identity = named(environment, files, profile, assumed)
                .map_err(|error| of_rule(error, environment, &pattern))?;
            let choice = Self::of(identity, Reason::Settings { pattern });
            return Ok(Self { region, ..choice });
        }
        let choice = Self::without_a_rule(environment, files, registry)?;
        Ok(Self { region, ..choice })
    }

    fn without_a_rule(
        environment: &Environment,
        files: &AwsFiles,
        registry: &Registry,
    ) -> Result<Self, IdentityError> {
        let default = Identity::resolve_with(environment, files);
        if environment_decides(environment) {
            return Ok(Self::of(default?, Reason::Environment));
        }
        let Some(account) = registry.account() else {
            return Ok(Self::of(default?, Reason::DefaultChain));
        };
        let acts_there = |identity: &Identity| identity.account() == Some(account);
        if default.as_ref().is_ok_and(acts_there) {
            return Ok(Self::of(default?, Reason::DefaultChain));
        }
        let known = KnownAccounts::read(environment.cache_folder().as_deref());
        let was_there = |identity: &Identity| {
            identity.account().is_none() && known.of(identity) == Some(account)
        };
        if default.as_ref().is_ok_and(was_there) {
            return Ok(Self::of(default?, Reason::DefaultChain));
        }
        let mut found = profiles(environment, files);
        found.retain(|identity| acts_there(identity) || was_there(identity));
        match found.len() {
            0 => Ok(Self::of(default?, Reason::DefaultChain)),
            1 => {
                let identity = found.remove(0);
                let reason = Reason::OnlyProfile {
                    account: account.to_owned(),
                    remembered: !acts_there(&identity),
                };
                Ok(Self::of(identity, reason))
            }
            _ => match default {
                // Declared credentials may well reach the registry across accounts.
                Ok(identity) if !matches!(identity.base(), Base::Instance { .. }) => {
                    Ok(Self::of(identity, Reason::DefaultChain))
                }
                _ => Err(IdentityError::Ambiguous {
                    account: account.to_owned(),
                    profiles: found
                        .iter()
                        .filter_map(|identity| identity.profile().map(str::to_owned))
                        .collect(),
                }),
            },
        }
    }

    fn of(identity: Identity, reason: Reason) -> Self {
        Self {
            identity,
            reason,
            region: None,
        }
    }
}

fn named(
    environment: &Environment,
    files: &AwsFiles,
    profile: Option<&str>,
    role_arn: Option<&str>,
) -> Result<Identity, IdentityError> {
    let identity = match profile {
        Some(profile) => Identity::of_profile(environment, files, profile)?,
        None => Identity::resolve_with(environment, files)?,
    };
    Ok(match role_arn {
        Some(role_arn) => identity.assuming(role_arn),
        None => identity,
    })
}

/// Names the rule that asks for a profile which does not exist.
fn of_rule(error: IdentityError, environment: &Environment, pattern: &str) -> IdentityError {
    match error {
        IdentityError::ProfileMissing { name, known } => IdentityError::RuleProfileMissing {
            name,
            known,
            file: environment.settings_file().unwrap_or_default(),
            pattern: pattern.to_owned(),
        },
        error => error,
    }
}

fn environment_decides(environment: &Environment) -> bool {
    let given = |name| environment.var(name).is_some();
    chosen_profile(environment).is_some()
        || given("AWS_ACCESS_KEY_ID")
        || given("AWS_WEB_IDENTITY_TOKEN_FILE")
        || given("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        || given("AWS_CONTAINER_CREDENTIALS_FULL_URI")
}

/// The usable profiles, one for each distinct principal.
fn profiles(environment: &Environment, files: &AwsFiles) -> Vec<Identity> {
    let mut found: Vec<Identity> = Vec::new();
    for (name, _) in files.profiles() {
        let Ok(identity) = Identity::of_profile(environment, files, name) else {
            continue;
        };
        if found.iter().all(|other| other.parts() != identity.parts()) {
            found.push(identity);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r"
[profile dev]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = Admin

[profile dev-too]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = Admin

[profile prod-a]
role_arn = arn:aws:iam::444455556666:role/a
source_profile = dev

[profile prod-b]
role_arn = arn:aws:iam::444455556666:role/b
source_profile = dev

[sso-session corp]
sso_start_url = https://corp.awsapps.com/start
";

    fn choose(variables: &[(&str, &str)], account: &str) -> Result<String, String> {
        let environment = Environment::given(variables.iter().copied());
        let files = AwsFiles::parse(CONFIG, "");
        let host = format!("{account}.dkr.ecr.eu-west-1.amazonaws.com");
        let registry = Registry::parse(&host).unwrap();
        let settings = Settings::default();
        Choice::make(&environment, &files, &settings, &registry, &Wish::default())
            .map(|choice| {
                format!(
                    "{}: {}",
                    choice.identity.profile().unwrap_or("-"),
                    choice.reason
                )
            })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_one_profile_of_the_account_is_taken_and_two_are_a_question() {
        assert_eq!(
            choose(&[], "111122223333").unwrap(),
            "dev: the only profile of account 111122223333"
        );
        assert_eq!(
            choose(&[], "444455556666").unwrap_err(),
            "Several AWS profiles are for account 444455556666: prod-a, prod-b."
        );
        assert_eq!(
            choose(&[], "999999999999").unwrap(),
            "-: the default credentials"
        );
    }

    #[test]
    fn the_environment_goes_before_the_account() {
        assert_eq!(
            choose(&[("AWS_PROFILE", "prod-a")], "111122223333").unwrap(),
            "prod-a: the environment names it"
        );
        let keys = [
            ("AWS_ACCESS_KEY_ID", "AKID"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
        ];
        assert_eq!(
            choose(&keys, "111122223333").unwrap(),
            "-: the environment names it"
        );
    }

    #[test]
    fn an_account_that_a_token_told_finds_its_profile_again() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_str().unwrap();
        let environment = Environment::given([("HYBRID_CACHE_DIR", place)]);
        let config = "[profile keys]\naws_access_key_id = AKIDONE\n\
                      [profile more]\naws_access_key_id = AKIDTWO\n\
                      [profile told]\naws_access_key_id = AKIDTHREE\naws_account_id = 444455556666\n";
        let files = AwsFiles::parse(config, "");
        let settings = Settings::default();
        let choose = |account: &str| {
            let host = format!("{account}.dkr.ecr.eu-west-1.amazonaws.com");
            let registry = Registry::parse(&host).unwrap();
            Choice::make(&environment, &files, &settings, &registry, &Wish::default())
        };
        assert_eq!(choose("111122223333").unwrap().reason, Reason::DefaultChain);
        let keys = Identity::of_profile(&environment, &files, "keys").unwrap();
        KnownAccounts::remember(folder.path(), &keys, "111122223333");
        let choice = choose("111122223333").unwrap();
        assert_eq!(choice.identity.profile(), Some("keys"));
        assert_eq!(
            choice.reason.to_string(),
            "the only profile of account 111122223333, as an earlier token said"
        );
        assert_eq!(
            choose("444455556666").unwrap().identity.profile(),
            Some("told")
        );
    }

    #[test]
    fn a_rule_goes_before_the_environment_and_may_name_only_a_region() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.toml");
        let text = "[[registry]]\nhost = \"444455556666.dkr.ecr.*.amazonaws.com\"\nprofile = \"prod-b\"\n\
                    [[registry]]\nhost = \"*\"\nregion = \"us-east-1\"\n";
        std::fs::write(&path, text).unwrap();
        let environment = Environment::given([
            ("HYBRID_HELPER_SETTINGS", path.to_str().unwrap()),
            ("AWS_PROFILE", "dev"),
        ]);
        let settings = Settings::read(&environment).unwrap();
        let files = AwsFiles::parse(CONFIG, "");
        let choose = |account: &str| {
            let host = format!("{account}.dkr.ecr.eu-west-1.amazonaws.com");
            let registry = Registry::parse(&host).unwrap();
            Choice::make(&environment, &files, &settings, &registry, &Wish::default()).unwrap()
        };
        let ruled = choose("444455556666");
        assert_eq!(ruled.identity.profile(), Some("prod-b"));
        assert!(ruled.reason.to_string().contains("the settings file"));
        assert_eq!(ruled.region, None);
        let other = choose("111122223333");
        assert_eq!(other.identity.profile(), Some("dev"));
        assert_eq!(other.reason, Reason::Environment);
        assert_eq!(other.region.unwrap().as_str(), "us-east-1");
    }

    #[test]
    fn a_wish_goes_before_everything() {
        let environment = Environment::given([("AWS_PROFILE", "dev")]);
        let files = AwsFiles::parse(CONFIG, "");
        let registry = Registry::parse("public.ecr.aws").unwrap();
        let wish = Wish {
            profile: Some("prod-b".into()),
            role_arn: Some("arn:aws:iam::777788889999:role/pull".into()),
        };
        let choice =
            Choice::make(&environment, &files, &Settings::default(), &registry, &wish).unwrap();
        assert_eq!(choice.identity.profile(), Some("prod-b"));
        assert_eq!(choice.identity.account(), Some("777788889999"));
    }
}
