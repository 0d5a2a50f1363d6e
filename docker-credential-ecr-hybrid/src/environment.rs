//! What the process was started with: variables and the places derived from them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What [`Environment::time_limit`] is when nobody says.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// The variable of [`Environment::home_of_docker`].
pub(crate) const HOME_OF_DOCKER: &str = if cfg!(windows) { "USERPROFILE" } else { "HOME" };

/// The variable that leads to the cache folder when none is given.
pub(crate) const HOME_OF_CACHES: &str = if cfg!(windows) {
    "LOCALAPPDATA"
} else {
    "HOME"
};

/// The environment variables that decide identity, places, and behaviour.
///
/// A value of its own, and not `std::env` read here and there, so that every rule built on it can
/// be tested with a table.
#[derive(Debug, Clone)]
pub struct Environment {
    variables: Variables,
}

#[derive(Debug, Clone)]
enum Variables {
    Process,
    Given(BTreeMap<String, String>),
}

impl Environment {
    /// The environment of this process, read when it is asked for.
    pub fn of_process() -> Self {
        Self {
            variables: Variables::Process,
        }
    }

    /// An environment that holds just the given variables.
    pub fn given<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            variables: Variables::Given(variables.into_iter().map(owned).collect()),
        }
    }

    /// A variable that is set, valid Unicode, and not blank.
    ///
    /// The AWS SDKs treat a blank variable as unset, and so do we.
    pub fn var(&self, name: &str) -> Option<String> {
        let value = match &self.variables {
            Variables::Process => std::env::var(name).ok(),
            Variables::Given(map) => map.get(name).cloned(),
        };
        value.filter(|value| !value.trim().is_empty())
    }

    /// Whether a variable says yes: `1`, `true`, `yes`, or `on`, in any case.
    pub fn is_on(&self, name: &str) -> bool {
        self.var(name).is_some_and(|value| {
            ["1", "true", "yes", "on"]
                .iter()
                .any(|yes| value.trim().eq_ignore_ascii_case(yes))
        })
    }

    /// How long a call may take in all that has no token or no credentials yet: `HYBRID_TIMEOUT` in
    /// seconds, up to an hour, else half a minute.
    pub(crate) fn time_limit(&self) -> Duration {
        self.var("HYBRID_TIMEOUT")
            .and_then(|text| text.trim().trim_end_matches('s').parse().ok())
            .map_or(TIME_LIMIT, |seconds: u64| {
                Duration::from_secs(seconds.clamp(1, 3600))
            })
    }

    /// A variable that names a path.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        match &self.variables {
            // A path need not be Unicode.
            Variables::Process => std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from),
            Variables::Given(_) => self.var(name).map(PathBuf::from),
        }
    }

    /// The home folder by the rules of the AWS SDKs: `HOME`, on Windows `USERPROFILE` as well.
    pub fn home(&self) -> Option<PathBuf> {
        self.path("HOME").or_else(|| {
            if cfg!(windows) {
                self.path("USERPROFILE")
            } else {
                None
            }
        })
    }

    /// The home folder by the rules of Docker and Podman, which are Go's: `HOME`, on Windows
    /// `USERPROFILE` and nothing else.
    pub fn home_of_docker(&self) -> Option<PathBuf> {
        self.path(HOME_OF_DOCKER)
    }

    /// The shared AWS config file: `AWS_CONFIG_FILE`, else `~/.aws/config`.
    pub fn aws_config_file(&self) -> Option<PathBuf> {
        self.aws_file("AWS_CONFIG_FILE", "config")
    }

    /// The shared AWS credentials file: `AWS_SHARED_CREDENTIALS_FILE`, else `~/.aws/credentials`.
    pub fn aws_credentials_file(&self) -> Option<PathBuf> {
        self.aws_file("AWS_SHARED_CREDENTIALS_FILE", "credentials")
    }

    fn aws_file(&self, variable: &str, name: &str) -> Option<PathBuf> {
        let Some(given) = self.path(variable) else {
            return Some(self.home()?.join(".aws").join(name));
        };
        match given.strip_prefix("~") {
            Ok(rest) => Some(self.home()?.join(rest)),
            Err(_) => Some(given),
        }
    }

    /// The folder for locks, the log, and the file store: `HYBRID_CACHE_DIR`, else `ecr-hybrid` in
    /// the user's cache folder. `None` when there is no home.
    pub fn cache_folder(&self) -> Option<PathBuf> {
        if let Some(given) = self.path("HYBRID_CACHE_DIR") {
            return Some(given);
        }
        let base = if cfg!(windows) {
            self.path(HOME_OF_CACHES)
        } else if cfg!(target_os = "macos") {
            self.home().map(|home| home.join("Library").join("Caches"))
        } else {
            self.path("XDG_CACHE_HOME")
                .filter(|path| path.is_absolute())
                .or_else(|| self.home().map(|home| home.join(".cache")))
        };
        base.map(|base| base.join("ecr-hybrid"))
    }

    /// The settings file: `HYBRID_HELPER_SETTINGS`, else `ecr-hybrid/settings.toml` in the user's
    /// configuration folder. It need not exist.
    pub fn settings_file(&self) -> Option<PathBuf> {
        if let Some(given) = self.path("HYBRID_HELPER_SETTINGS") {
            return Some(given);
        }
        let base = if cfg!(windows) {
            self.path("APPDATA")
        } else {
            self.path("XDG_CONFIG_HOME")
                .filter(|path| path.is_absolute())
                .or_else(|| self.home().map(|home| home.join(".config")))
        };
        base.map(|base| base.join("ecr-hybrid").join("settings.toml"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_variable_counts_as_unset() {
        let environment = Environment::given([("AWS_PROFILE", "  "), ("HOME", "/home/ada")]);
        assert_eq!(environment.var("AWS_PROFILE"), None);
        assert_eq!(environment.var("HOME").as_deref(), Some("/home/ada"));
    }

    #[test]
    fn the_aws_files_follow_their_variables_and_expand_the_home() {
        let environment =
            Environment::given([("HOME", "/home/ada"), ("AWS_CONFIG_FILE", "~/work/aws")]);
        assert_eq!(
            environment.aws_config_file(),
            Some(PathBuf::from("/home/ada/work/aws"))
        );
        assert_eq!(
            environment.aws_credentials_file(),
            Some(PathBuf::from("/home/ada/.aws/credentials"))
        );
    }

    #[test]
    fn without_a_home_there_is_no_folder_unless_one_is_given() {
        assert_eq!(Environment::given([]).cache_folder(), None);
        assert_eq!(
            Environment::given([("HYBRID_CACHE_DIR", "/x")]).cache_folder(),
            Some(PathBuf::from("/x"))
        );
    }

    #[test]
    fn the_time_limit_is_read_in_seconds_and_bounded() {
        let limit = |value: &str| Environment::given([("HYBRID_TIMEOUT", value)]).time_limit();
        assert_eq!(limit("5"), Duration::from_secs(5));
        assert_eq!(limit("0"), Duration::from_secs(1));
        assert_eq!(limit("soon"), TIME_LIMIT);
    }
}
