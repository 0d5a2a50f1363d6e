//! Registry host names.

use std::fmt;

/// The registry of an account in a region.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Registry {
    /// Twelve digits.
    pub(super) account: String,
    /// For example `eu-central-1`.
    pub(super) region: String,
}

impl Registry {
    /// Reads `ACCOUNT.dkr.ecr.REGION.amazonaws.com` out of a Host header, port or not.
    pub(super) fn of_host(host: &str) -> Option<Self> {
        let name = host.split_once(':').map_or(host, |(name, _)| name);
        let (account, rest) = name.split_once(".dkr.ecr.")?;
        let region = rest
            .strip_suffix(".amazonaws.com")
            .or_else(|| rest.strip_suffix(".amazonaws.com.cn"))?;
        let digits = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (digits && !region.is_empty() && region.bytes().all(letters)).then(|| Self {
            account: account.to_owned(),
            region: region.to_owned(),
        })
    }

    /// The first part of this registry's repository names in the real registry, which holds all.
    pub(super) fn prefix(&self) -> String {
        format!("{}-{}", self.account, self.region)
    }

    /// The ARN of a repository.
    pub(super) fn arn(&self, repository: &str) -> String {
        format!(
            "arn:aws:ecr:{}:{}:repository/{repository}",
            self.region, self.account
        )
    }
}

impl fmt::Display for Registry {
    /// The host name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let china = if self.region.starts_with("cn-") {
            ".cn"
        } else {
            ""
        };
        write!(
            f,
            "{}.dkr.ecr.{}.amazonaws.com{china}",
            self.account, self.region
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_read_from_its_host_name_and_written_as_it() {
        for (host, account, region) in [
            (
                "123456789012.dkr.ecr.eu-central-1.amazonaws.com",
                "123456789012",
                "eu-central-1",
            ),
            (
                "210987654321.dkr.ecr.us-east-1.amazonaws.com:8443",
                "210987654321",
                "us-east-1",
            ),
            (
                "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
                "123456789012",
                "cn-north-1",
            ),
        ] {
            let registry = Registry::of_host(host).expect("a registry");
            assert_eq!(
                (registry.account.as_str(), registry.region.as_str()),
                (account, region)
            );
            assert_eq!(
                registry.to_string(),
                host.split(':').next().expect("a name")
            );
        }
    }

    #[test]
    fn anything_else_is_no_registry() {
        for host in [
            "",
            "localhost",
            "127.0.0.9:443",
            "12345678901.dkr.ecr.eu-central-1.amazonaws.com",
            "123456789012.dkr.ecr..amazonaws.com",
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil",
            "123456789012.dkr.ecr.eu/../x.amazonaws.com",
        ] {
            assert_eq!(Registry::of_host(host), None, "{host}");
        }
    }
}
