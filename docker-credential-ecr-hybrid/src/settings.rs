//! The settings file of the helper: which profile for which registry, which store, which log.
//!
//! ```toml
//! store = "auto"
//! log = "/tmp/helper.log"
//!
//! [[registry]]
//! host = "111122223333.dkr.ecr.*.amazonaws.com"
//! profile = "dev"
//! role_arn = "arn:aws:iam::111122223333:role/pull"
//! region = "eu-west-1"
//! ```
//!
//! Most people have none, and then looking for it costs one failed `open`.

use std::io::ErrorKind;
use std::path::PathBuf;

use serde::Deserialize;

use crate::environment::Environment;
use crate::host::Registry;
use crate::log::Destination;
use crate::store::StoreKind;

mod values;

pub use values::{HostPattern, ProfileName, RegionName, RoleArn};

/// What the settings file says.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(default, deserialize_with = "store_by_name")]
    store: Option<StoreKind>,
    #[serde(default, deserialize_with = "log_by_name")]
    log: Option<Destination>,
    #[serde(default)]
    registry: Vec<Rule>,
}

/// Which identity serves the registries that a pattern names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The registries.
    pub host: HostPattern,
    /// The AWS profile to use.
    pub profile: Option<ProfileName>,
    /// A role to assume, from that profile or from the default credentials.
    pub role_arn: Option<RoleArn>,
    /// The region whose API issues the token, in place of the one in the host's name.
    pub region: Option<RegionName>,
}

/// Why the settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The file is there and cannot be read.
    #[error("The settings file `{}` cannot be read: {why}.", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not, as a clause.
        why: String,
    },
    /// A line makes no sense.
    #[error("The settings file `{}` is wrong in line {line}: {why}.", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, counted from one.
        line: usize,
        /// What is wrong and what is allowed, as a clause.
        why: String,
    },
    /// A rule asks for a region that has nothing to do with the registry.
    #[error(
        "The settings file names the region `{region}` for `{host}`, which is of another partition of AWS."
    )]
    Region {
        /// The registry.
        host: String,
        /// The region.
        region: String,
    },
    /// `HYBRID_STORE` names no store.
    #[error("HYBRID_STORE is wrong: {why}.")]
    Store {
        /// What is wrong and what is allowed, as a clause.
        why: String,
    },
}

impl Settings {
    /// Reads the settings file, if there is one.
    pub fn read(environment: &Environment) -> Result<Self, SettingsError> {
        let Some(path) = environment.settings_file() else {
            return Ok(Self::default());
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(path, &text),
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                Ok(Self::default())
            }
            Err(error) => Err(SettingsError::Unreadable {
                path,
                why: error.to_string(),
            }),
        }
    }

    /// Reads a text. `path` is what errors name it by.
    pub fn parse(path: PathBuf, text: &str) -> Result<Self, SettingsError> {
        toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start).min(text.len());
            let before = text.get(..start).unwrap_or_default();
            SettingsError::Invalid {
                path,
                line: 1 + before.matches('\n').count(),
                why: error.message().trim_end_matches('.').replace('\n', " "),
            }
        })
    }

    /// The store to use: `HYBRID_STORE`, else the settings', else `auto`.
    ///
    /// A set `AWS_ECR_DISABLE_CACHE`, as other helpers know it, means none.
    pub fn store(&self, environment: &Environment) -> Result<StoreKind, SettingsError> {
        if let Some(name) = environment.var("HYBRID_STORE") {
            return name
                .trim()
                .parse()
                .map_err(|error: crate::store::UnknownStore| SettingsError::Store {
                    why: error.to_string().trim_end_matches('.').to_owned(),
                });
        }
        if environment.var("AWS_ECR_DISABLE_CACHE").is_some() {
            return Ok(StoreKind::None);
        }
        Ok(self.store.unwrap_or_default())
    }

    /// The log that the settings ask for.
    pub fn log(&self) -> Option<&Destination> {
        self.log.as_ref()
    }

    /// The first rule whose pattern fits a registry.
    pub fn rule(&self, registry: &Registry) -> Option<&Rule> {
        self.registry
            .iter()
            .find(|rule| rule.host.fits(registry.host()))
    }
}

fn store_by_name<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<StoreKind>, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse().map(Some).map_err(serde::de::Error::custom)
}

fn log_by_name<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Destination>, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse().map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, SettingsError> {
        Settings::parse(PathBuf::from("s.toml"), text)
    }

    #[test]
    fn the_first_rule_that_fits_is_taken() {
        let settings = parse(
            "[[registry]]\nhost = \"1*.dkr.ecr.*.amazonaws.com\"\nprofile = \"one\"\n\
             [[registry]]\nhost = \"*\"\nprofile = \"rest\"\n",
        )
        .unwrap();
        let rule = |host| {
            let registry = Registry::parse(host).unwrap();
            settings.rule(&registry).unwrap().profile.clone().unwrap()
        };
        let one = rule("111122223333.dkr.ecr.eu-west-1.amazonaws.com");
        assert_eq!(one.as_str(), "one");
        assert_eq!(rule("public.ecr.aws").as_str(), "rest");
    }

    #[test]
    fn a_wrong_line_is_named_with_what_is_allowed() {
        let message = |text: &str| parse(text).unwrap_err().to_string();
        let unknown = message("store = \"file\"\n\ncolour = 1\n");
        assert!(
            unknown.contains("line 3") && unknown.contains("`log`"),
            "{unknown}"
        );
        let store = message("store = \"keychian\"\n");
        assert!(
            store.contains("line 1") && store.contains("auto"),
            "{store}"
        );
        let log = message("log = \"helper.log\"\n");
        assert!(
            log.contains("line 1") && log.contains("the whole path of a file"),
            "{log}"
        );
        assert!(message("[[registry]]\nprofile = \"x\"\n").contains("host"));
        assert!(message("=").contains("line 1"));
        for (value, written_as) in [
            ("host = \"https://x\"", "without scheme"),
            ("host = \"*\"\nprofile = \"\"", "empty"),
            ("host = \"*\"\nrole_arn = \"pull\"", "role/NAME"),
            ("host = \"*\"\nregion = \"Ireland\"", "eu-west-1"),
            ("host = \"*\"\ncolour = 1", "`role_arn`"),
        ] {
            let text = format!("log = \"off\"\n\n[[registry]]\n{value}\n");
            let message = message(&text);
            let line = format!("line {}", text.lines().count());
            assert!(
                message.contains(&line) && message.contains(written_as),
                "{message}"
            );
        }
    }

    #[test]
    fn the_environment_chooses_the_store_before_the_settings_do() {
        let settings = parse("store = \"none\"").unwrap();
        let store = |variables: &[(&str, &str)]| {
            settings.store(&Environment::given(variables.iter().copied()))
        };
        assert_eq!(store(&[]), Ok(StoreKind::None));
        assert_eq!(store(&[("HYBRID_STORE", "file")]), Ok(StoreKind::File));
        assert!(store(&[("HYBRID_STORE", "flie")]).is_err());
    }
}
