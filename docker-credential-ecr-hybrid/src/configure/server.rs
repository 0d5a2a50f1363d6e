//! A registry as the configuration files name it.

use std::fmt;
use std::str::FromStr;

use super::error::ConfigureError;
use crate::host::Registry;

/// A registry of ECR as `credHelpers` names it: `host` or `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server(String);

impl Server {
    /// The key of `credHelpers`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Server {
    type Err = ConfigureError;

    /// Reads a host, a URL, or a whole image reference.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if Registry::parse(text).is_none() {
            let host = text.escape_debug().take(200).collect();
            return Err(ConfigureError::NotOurs { host });
        }
        Ok(Self(authority(text).to_owned()))
    }
}

/// `host[:port]` of a key of `auths`, which may have a scheme and a path.
pub(super) fn authority(text: &str) -> &str {
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
        .unwrap_or(text);
    rest.split('/').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_host_and_port_of_whatever_names_it() {
        const HOST: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
        for text in [
            HOST.to_owned(),
            format!(" https://{HOST}/v2/ "),
            format!("{HOST}/team/app:1"),
        ] {
            assert_eq!(text.parse::<Server>().unwrap().as_str(), HOST);
        }
        let with_port = format!("{HOST}:443/app");
        let server: Server = with_port.parse().unwrap();
        assert_eq!(server.as_str(), format!("{HOST}:443"));
        for text in ["", "docker.io", "a\nb"] {
            assert!(text.parse::<Server>().is_err(), "{text}");
        }
    }
}
