//! The two files that AWS tools share: `~/.aws/config` and `~/.aws/credentials`.
//!
//! Read leniently: a line that makes no sense is passed over. The SDK reads the same files again
//! when a call is made, and it is the one to complain.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::environment::Environment;

/// The settings of one section. Keys are lower case.
pub type Section = BTreeMap<String, String>;

/// Both files, merged: what the credentials file says of a profile wins.
#[derive(Debug, Default, Clone)]
pub struct AwsFiles {
    profiles: BTreeMap<String, Section>,
    sso_sessions: BTreeMap<String, Section>,
    services: BTreeMap<String, Section>,
}

/// Which of the two files a text is from: they name their sections differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Config,
    Credentials,
}

impl AwsFiles {
    /// Reads the files that the environment names. A file that cannot be read is an empty one.
    pub fn read(environment: &Environment) -> Self {
        let text = |path: Option<PathBuf>| {
            let bytes = path.and_then(|path| std::fs::read(path).ok());
            String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
        };
        Self::parse(
            &text(environment.aws_config_file()),
            &text(environment.aws_credentials_file()),
        )
    }

    /// Reads the text of the config file and that of the credentials file.
    pub fn parse(config: &str, credentials: &str) -> Self {
        let mut files = Self::default();
        files.add(config, Kind::Config);
        files.add(credentials, Kind::Credentials);
        files
    }

    /// A profile by its name.
    pub fn profile(&self, name: &str) -> Option<&Section> {
        self.profiles.get(name)
    }

    /// All profiles, by name.
    pub fn profiles(&self) -> impl Iterator<Item = (&str, &Section)> {
        self.profiles
            .iter()
            .map(|(name, section)| (name.as_str(), section))
    }

    /// An `[sso-session NAME]` section.
    pub fn sso_session(&self, name: &str) -> Option<&Section> {
        self.sso_sessions.get(name)
    }

    /// The endpoint that a profile configures for a service: in its `services` section, else its own
    /// `endpoint_url`.
    pub fn endpoint_url(&self, profile: &str, service: &str) -> Option<&str> {
        let profile = self.profiles.get(profile)?;
        let of_service = || {
            let definitions = self.services.get(profile.get("services")?)?;
            nested(definitions.get(service)?, "endpoint_url")
        };
        of_service().or_else(|| profile.get("endpoint_url").map(String::as_str))
    }

    fn add(&mut self, text: &str, kind: Kind) {
        let mut section: Option<&mut Section> = None;
        let mut last_key: Option<String> = None;
        for line in text.lines() {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
                continue;
            }
            if let Some(header) = trimmed.strip_prefix('[') {
                let header = header.split(']').next().unwrap_or_default();
                section = self.section(header, kind);
                last_key = None;
                continue;
            }
            let Some(section) = section.as_deref_mut() else {
                continue;
            };
            if line.starts_with([' ', '\t'])
                && let Some(value) = last_key.as_ref().and_then(|key| section.get_mut(key))
            {
                // A continuation: the value spans lines, or holds settings of its own.
                value.push('\n');
                value.push_str(trimmed);
                continue;
            }
            if let Some((key, value)) = trimmed.split_once('=') {
                let key = key.trim().to_ascii_lowercase();
                section.insert(key.clone(), without_comment(value).trim().to_owned());
                last_key = Some(key);
            }
        }
    }

    fn section(&mut self, header: &str, kind: Kind) -> Option<&mut Section> {
        let mut words = header.trim().splitn(2, [' ', '\t']);
        let first = words.next().unwrap_or_default();
        let name = words.next().map(unquoted);
        let (table, name) = match (kind, first, name) {
            (Kind::Config, "profile", Some(name)) => (&mut self.profiles, name),
            (Kind::Config, "sso-session", Some(name)) => (&mut self.sso_sessions, name),
            (Kind::Config, "services", Some(name)) => (&mut self.services, name),
            (Kind::Config, "default", None) => (&mut self.profiles, first),
            (Kind::Credentials, _, _) => (&mut self.profiles, unquoted(header)),
            _ => return None,
        };
        Some(table.entry(name.to_owned()).or_default())
    }
}

fn unquoted(text: &str) -> &str {
    text.trim().trim_matches(['"', '\''])
}

/// Cuts a comment behind a value: `#` or `;` after white space.
fn without_comment(value: &str) -> &str {
    let bytes = value.as_bytes();
    let starts = |&index: &usize| {
        matches!(bytes[index], b'#' | b';') && index > 0 && bytes[index - 1].is_ascii_whitespace()
    };
    (0..bytes.len())
        .find(starts)
        .map_or(value, |index| &value[..index])
}

fn nested<'a>(value: &'a str, key: &str) -> Option<&'a str> {
    value.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        let value = value.trim();
        (name.trim().eq_ignore_ascii_case(key) && !value.is_empty()).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
# People write these by hand.
[default]
region = eu-west-1 # Ireland

[profile dev]
sso_session = corp
SSO_Account_Id=111122223333
services = sandbox

[profile "with space"]
credential_process = /opt/creds --user "a#b"

[sso-session corp]
sso_start_url = https://corp.awsapps.com/start#/

[services sandbox]
ecr =
  endpoint_url = http://127.0.0.1:14566
s3 =
  endpoint_url = http://127.0.0.1:9000

[unknown thing]
region = nowhere
no equals sign
"#;

    #[test]
    fn sections_keys_comments_and_nested_settings_are_read() {
        let files = AwsFiles::parse(CONFIG, "[dev]\naws_access_key_id = AKIDEXAMPLE\n");
        assert_eq!(files.profile("default").unwrap()["region"], "eu-west-1");
        let dev = files.profile("dev").unwrap();
        assert_eq!(dev["sso_account_id"], "111122223333");
        assert_eq!(dev["aws_access_key_id"], "AKIDEXAMPLE");
        assert_eq!(
            files.profile("with space").unwrap()["credential_process"],
            r#"/opt/creds --user "a#b""#
        );
        assert_eq!(
            files.sso_session("corp").unwrap()["sso_start_url"],
            "https://corp.awsapps.com/start#/"
        );
        assert_eq!(
            files.endpoint_url("dev", "ecr"),
            Some("http://127.0.0.1:14566")
        );
        assert_eq!(files.endpoint_url("dev", "sts"), None);
        assert_eq!(files.profiles().count(), 3);
    }

    #[test]
    fn a_plain_section_name_is_a_profile_only_in_the_credentials_file() {
        let files = AwsFiles::parse("[dev]\nregion = a\n", "[prod]\nregion = b\n");
        assert!(files.profile("dev").is_none());
        assert!(files.profile("prod").is_some());
    }

    #[test]
    fn any_garbage_is_read_without_a_panic() {
        for text in [
            "[",
            "]",
            "[]",
            "=",
            "[profile]\n=\n = \n",
            "[default\nx=y\n\u{feff}",
        ] {
            AwsFiles::parse(text, text);
        }
    }
}
