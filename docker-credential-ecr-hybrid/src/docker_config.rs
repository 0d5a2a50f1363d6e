//! Docker's `config.json`, as far as it decides who answers for a registry.
//!
//! Docker looks for the literal `host[:port]` in `credHelpers`, then takes `credsStore`, then the
//! file's own `auths`. There are no patterns.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::environment::Environment;

/// What decides who answers for a registry.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct DockerConfig {
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
    with_auth: Vec<String>,
}

/// Who answers for a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answerer {
    /// The helper `docker-credential-NAME`, chosen for this host by `credHelpers`.
    HelperOfHost(String),
    /// The helper `docker-credential-NAME`, chosen for every host by `credsStore`.
    HelperOfAll(String),
    /// Credentials in the file itself.
    File,
    /// Nobody.
    Nobody,
}

impl Answerer {
    /// The helper's name without `docker-credential-`, if a helper answers.
    pub fn helper(&self) -> Option<&str> {
        match self {
            Self::HelperOfHost(name) | Self::HelperOfAll(name) => Some(name),
            Self::File | Self::Nobody => None,
        }
    }
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DockerConfigError {
    /// The file is there and cannot be read.
    #[error("Docker's configuration `{}` cannot be read: {source}.", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is no JSON object.
    #[error("Docker's configuration `{}` is not a JSON object: {why}.", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column where they are known.
        why: String,
    },
}

impl DockerConfig {
    /// Where Docker keeps its configuration: `DOCKER_CONFIG`, else `~/.docker`.
    pub fn path(environment: &Environment) -> Option<PathBuf> {
        let folder = environment
            .path("DOCKER_CONFIG")
            .or_else(|| Some(environment.home_of_docker()?.join(".docker")));
        folder.map(|folder| folder.join("config.json"))
    }

    /// Reads a file. One that is not there says nothing.
    pub fn read(path: &Path) -> Result<Self, DockerConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => {
                return Err(DockerConfigError::Unreadable {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        Self::parse(&text).map_err(|why| DockerConfigError::Invalid {
            path: path.to_owned(),
            why,
        })
    }

    /// Reads a text. What is not of the expected type is passed over, as Docker's own keys and those
    /// of other tools are.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim_start_matches('\u{feff}');
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let Value::Object(object) = value else {
            return Err("it holds something else".to_owned());
        };
        let pairs = |name: &str| {
            let value = object.get(name).and_then(Value::as_object);
            value.into_iter().flatten()
        };
        let has_auth = |value: &Value| {
            ["auth", "identitytoken", "username"].iter().any(|key| {
                value
                    .get(key)
                    .and_then(Value::as_str)
                    .is_some_and(|text| !text.is_empty())
            })
        };
        Ok(Self {
            cred_helpers: pairs("credHelpers")
                .filter_map(|(host, name)| Some((host.clone(), name.as_str()?.to_owned())))
                .collect(),
            creds_store: object
                .get("credsStore")
                .and_then(Value::as_str)
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            with_auth: pairs("auths")
                .filter(|(_, value)| has_auth(value))
                .map(|(host, _)| host.clone())
                .collect(),
        })
    }

    /// Who answers for a registry, named as Docker would: `host` or `host:port`.
    pub fn answerer(&self, host: &str) -> Answerer {
        if let Some(name) = self.cred_helpers.get(host).filter(|name| !name.is_empty()) {
            return Answerer::HelperOfHost(name.clone());
        }
        if let Some(name) = &self.creds_store {
            return Answerer::HelperOfAll(name.clone());
        }
        if self.holds_auth(host) {
            return Answerer::File;
        }
        Answerer::Nobody
    }

    /// Whether the file itself holds credentials for a registry, whoever answers.
    pub fn holds_auth(&self, host: &str) -> bool {
        self.with_auth.iter().any(|key| bare(key) == host)
    }

    /// The hosts that have a helper of their own, with the helper's name.
    pub fn cred_helpers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.cred_helpers
            .iter()
            .map(|(host, name)| (host.as_str(), name.as_str()))
    }
}

/// Docker matches `auths` by host, whatever scheme and path the key was written with.
fn bare(key: &str) -> &str {
    let rest = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    rest.split('/').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::HOME_OF_DOCKER;

    const HOST: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";

    fn answerer(text: &str) -> Answerer {
        DockerConfig::parse(text).unwrap().answerer(HOST)
    }

    #[test]
    fn the_helper_of_the_host_goes_before_the_store_and_the_file() {
        let text = format!(
            r#"{{"auths":{{"https://{HOST}/v1/":{{"auth":"eA=="}}}},"credsStore":"desktop","credHelpers":{{"{HOST}":"ecr-hybrid"}}}}"#
        );
        assert_eq!(answerer(&text), Answerer::HelperOfHost("ecr-hybrid".into()));
        let without = text.replace(&format!("\"{HOST}\":\"ecr-hybrid\""), "");
        assert_eq!(answerer(&without), Answerer::HelperOfAll("desktop".into()));
        let file = without.replace("desktop", "");
        assert_eq!(answerer(&file), Answerer::File);
        assert_eq!(answerer("{}").helper(), None);
    }

    #[test]
    fn odd_files_are_read_leniently() {
        let odd = [
            "",
            " \n",
            "\u{feff}{}",
            r#"{"credHelpers":[1],"auths":null,"credsStore":7}"#,
            r#"{"auths":{"x":{}},"currentContext":"desktop-linux"}"#,
        ];
        for text in odd {
            assert_eq!(answerer(text), Answerer::Nobody, "{text}");
        }
        assert!(DockerConfig::parse("[]").is_err());
        assert!(DockerConfig::parse("{").unwrap_err().contains("line 1"));
    }

    #[test]
    fn the_folder_follows_its_variable() {
        let path = DockerConfig::path(&Environment::given([("DOCKER_CONFIG", "/d")]));
        assert_eq!(path, Some(PathBuf::from("/d/config.json")));
        let path = DockerConfig::path(&Environment::given([(HOME_OF_DOCKER, "/h")]));
        assert_eq!(path, Some(PathBuf::from("/h/.docker/config.json")));
    }
}
