//! The values that a rule of the settings file may hold, each checked when it is read.

use serde::Deserialize;

use crate::host::{is_account, is_region};

/// A host name in which `*` stands for anything but a dot, or for every host when alone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HostPattern(String);

impl HostPattern {
    /// The pattern as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern fits a host, label by label.
    pub fn fits(&self, host: &str) -> bool {
        let pattern = self.as_str();
        let same_count = pattern.split('.').count() == host.split('.').count();
        pattern == "*"
            || same_count
                && pattern
                    .split('.')
                    .zip(host.split('.'))
                    .all(|(pattern, label)| label_fits(pattern, label))
    }
}

impl TryFrom<String> for HostPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_pattern = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'*');
        if !text.is_empty() && text.bytes().all(is_pattern) {
            return Ok(Self(text));
        }
        Err(format!(
            "`{text}` is not a host name: it is written without scheme, port, and path, in small letters, with `*` for any part of a label"
        ))
    }
}

/// What stands between two asterisks is looked for from the left on, and what is found first leaves
/// the most for the rest: no pattern takes longer than its length times the label's.
fn label_fits(pattern: &str, label: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == label;
    };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    let inner = label
        .strip_prefix(head)
        .and_then(|label| label.strip_suffix(tail));
    middle
        .split('*')
        .try_fold(inner, |label, part| {
            let (_, behind) = label?.split_once(part)?;
            Some(Some(behind))
        })
        .flatten()
        .is_some()
}

/// The name of a profile of the AWS files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ProfileName(String);

impl ProfileName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ProfileName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("the name of a profile is empty".to_owned());
        }
        Ok(Self(text))
    }
}

/// The ARN of a role: `arn:PARTITION:iam::ACCOUNT:role/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RoleArn(String);

impl RoleArn {
    /// The ARN.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RoleArn {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_role = matches!(
            *text.splitn(6, ':').collect::<Vec<_>>().as_slice(),
            ["arn", partition, "iam", "", account, role]
                if !partition.is_empty() && is_account(account) && role.len() > "role/".len() && role.starts_with("role/")
        );
        if is_role && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(text));
        }
        Err(format!(
            "`{text}` is not a role: it is written as arn:aws:iam::111122223333:role/NAME"
        ))
    }
}

/// The name of a region.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RegionName(String);

impl RegionName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RegionName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if is_region(&text) {
            return Ok(Self(text));
        }
        Err(format!(
            "`{text}` is not a region: it is written as eu-west-1"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_label_by_label() {
        let host = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
        let fits = |pattern: &str| {
            let pattern = HostPattern::try_from(pattern.to_owned());
            pattern.unwrap().fits(host)
        };
        let fitting = [
            host,
            "*",
            "111122223333.dkr.ecr.*.amazonaws.com",
            "1111*.dkr.ecr.eu-*-1.amazonaws.com",
            "*******3.dkr.ecr.**.amazonaws.com",
            "1*1*2*3*3.dkr.*.eu-west-1*.*azon*.*c*o*m*",
        ];
        for pattern in fitting {
            assert!(fits(pattern), "{pattern}");
        }
        for pattern in [
            "*.com",
            "1111.*",
            "2*.dkr.ecr.*.amazonaws.com",
            "**",
            "111122223333*3.dkr.ecr.*.amazonaws.com",
            "1111*2222*2222*3333.dkr.ecr.*.amazonaws.com",
        ] {
            assert!(!fits(pattern), "{pattern}");
        }
    }

    #[test]
    fn many_asterisks_take_no_longer_than_few() {
        let label = "a".repeat(63);
        let pattern = format!("{}b", "*a".repeat(40));
        let pattern = HostPattern::try_from(pattern).unwrap();
        assert!(!pattern.fits(&label));
        assert!(pattern.fits(&format!("{label}b")));
    }

    #[test]
    fn what_is_no_value_is_refused_with_how_it_is_written() {
        let pattern = |text: &str| HostPattern::try_from(text.to_owned());
        for wrong in ["", "https://host", "host:443", "host/path", "HOST", "a b"] {
            let why = pattern(wrong).unwrap_err();
            assert!(why.contains("without scheme"), "{why}");
        }
        let role = |text: &str| RoleArn::try_from(text.to_owned());
        assert!(role("arn:aws-cn:iam::111122223333:role/path/pull").is_ok());
        for wrong in [
            "",
            "pull",
            "arn:aws:iam::1111:role/pull",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:iam::111122223333:user/ada",
            "arn:aws:sts::111122223333:role/pull",
        ] {
            assert!(role(wrong).unwrap_err().contains("role/NAME"), "{wrong}");
        }
        let region = |text: &str| RegionName::try_from(text.to_owned());
        assert!(region("us-gov-west-1").is_ok());
        assert!(region("Ireland").unwrap_err().contains("eu-west-1"));
        assert!(ProfileName::try_from(" ".to_owned()).is_err());
    }
}
