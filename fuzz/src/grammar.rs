//! The grammar of ECR's hosts as regular expressions, one for each domain.

use std::sync::LazyLock;

use regex::Regex;

/// What a host says.
#[derive(Debug, PartialEq, Eq)]
pub struct Said<'a> {
    pub host: &'a str,
    /// Account, region and FIPS; none for the public gallery.
    pub private: Option<(&'a str, &'a str, bool)>,
}

const REGION: &str = "(?:[a-z]{2,}-)+[a-z]{2,}-[0-9]{1,2}";

/// A domain, how its regions begin, and whether they may begin like that.
const DOMAINS: [(&str, &str); 10] = [
    ("amazonaws\\.com", ""),
    ("amazonaws\\.com\\.cn", "cn-"),
    ("amazonaws\\.eu", "eusc-"),
    ("c2s\\.ic\\.gov", "us-iso-"),
    ("sc2s\\.sgov\\.gov", "us-isob-"),
    ("cloud\\.adc-e\\.uk", "eu-isoe-"),
    ("csp\\.hci\\.ic\\.gov", "us-isof-"),
    ("on\\.aws", ""),
    ("on\\.amazonwebservices\\.com\\.cn", "cn-"),
    ("on\\.amazonwebservices\\.eu", "eusc-"),
];

static HOSTS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let of = |(domain, prefix): &(&str, &'static str)| {
        let dot = if domain.starts_with("on") {
            "[.-]"
        } else {
            "\\."
        };
        let whole = format!(
            "^(?:https?://)?(?<host>(?<account>[0-9]{{12}})\\.dkr{dot}ecr(?<fips>-fips)?\\.\
             (?<region>{REGION})\\.{domain})(?<rest>[:/].*)?$"
        );
        (Regex::new(&whole).unwrap(), *prefix)
    };
    DOMAINS.iter().map(of).collect()
});

static PUBLIC: LazyLock<Regex> = LazyLock::new(|| {
    let whole =
        "^(?:https?://)?(?<host>public\\.ecr\\.aws|ecr-public\\.aws\\.com)(?<rest>[:/].*)?$";
    Regex::new(whole).unwrap()
});

/// Reads a text as a host of ECR.
pub fn read(text: &str) -> Option<Said<'_>> {
    if !text.bytes().all(|byte| (b'!'..=b'~').contains(&byte)) {
        return None;
    }
    if let Some(found) = PUBLIC.captures(text) {
        let said = Said {
            host: found.name("host")?.as_str(),
            private: None,
        };
        return is_port(found.name("rest").map_or("", |rest| rest.as_str())).then_some(said);
    }
    let (found, prefix) = HOSTS
        .iter()
        .find_map(|(regex, prefix)| Some((regex.captures(text)?, *prefix)))?;
    let region = found.name("region")?.as_str();
    let foreign = DOMAINS
        .iter()
        .any(|(_, other)| !other.is_empty() && region.starts_with(other));
    let fits = if prefix.is_empty() {
        !foreign
    } else {
        region.starts_with(prefix)
    };
    let rest = found.name("rest").map_or("", |rest| rest.as_str());
    (fits && region.len() <= 40 && is_port(rest)).then_some(Said {
        host: found.name("host")?.as_str(),
        private: Some((
            found.name("account")?.as_str(),
            region,
            found.name("fips").is_some(),
        )),
    })
}

/// Whether what follows a host is a path, a port of 1 to 65535, both, or nothing.
fn is_port(rest: &str) -> bool {
    let Some(rest) = rest.strip_prefix(':') else {
        return true;
    };
    let port = rest.split('/').next().unwrap_or(rest);
    let digits = port.trim_start_matches('0');
    port.bytes().all(|byte| byte.is_ascii_digit())
        && (1..=5).contains(&digits.len())
        && digits.parse::<u32>().is_ok_and(|port| port <= 65_535)
}
