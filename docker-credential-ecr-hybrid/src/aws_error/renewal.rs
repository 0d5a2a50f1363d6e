//! How to get credentials that are good again: it depends on where they come from.

use crate::identity::{Base, Identity, Source};

/// What a person has to do so that AWS accepts this identity's credentials again; `None` where
/// that is not known.
pub(super) fn renewal(identity: &Identity) -> Option<String> {
    let flag = profile_flag(identity.profile());
    let takes_roles =
        matches!(&identity.source, Source::Profile { roles, .. } if !roles.is_empty());
    match identity.base() {
        // A profile that takes a role on top of a login is none that `aws sso login` knows.
        Base::Sso { session, .. } if takes_roles => Some(match session {
            Some(session) => format!("Run: aws sso login --sso-session {}", shell_word(session)),
            None => format!(
                "Run aws sso login for the `source_profile` of `{}`",
                identity.profile().unwrap_or("default")
            ),
        }),
        Base::Sso { .. } => Some(format!("Run: aws sso login{flag}")),
        Base::LoginSession { .. } => Some(format!("Run: aws login{flag}")),
        Base::EnvironmentKeys { .. } => Some(
            "Renew AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN, or unset them to use a profile"
                .to_owned(),
        ),
        Base::Keys { .. } if !takes_roles => Some(format!("Renew the keys: aws configure{flag}")),
        _ => None,
    }
}

/// ` --profile NAME` for a command line, unless the profile is the default one.
pub(super) fn profile_flag(profile: Option<&str>) -> String {
    profile
        .filter(|profile| *profile != "default")
        .map_or(String::new(), |profile| {
            format!(" --profile {}", shell_word(profile))
        })
}

fn shell_word(text: &str) -> String {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_./@:+".contains(&byte));
    if plain {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Role;

    fn of_profile(name: &str, base: Base, roles: usize) -> String {
        let role = Role {
            arn: "arn:aws:iam::111122223333:role/r".into(),
            external_id: None,
        };
        renewal(&Identity {
            source: Source::Profile {
                name: name.into(),
                base,
                roles: vec![role; roles],
                account: None,
            },
            role_arn: None,
        })
        .unwrap_or_default()
    }

    #[test]
    fn the_command_is_the_one_that_renews_this_kind_of_credentials() {
        let sso = |session: Option<&str>| Base::Sso {
            session: session.map(str::to_owned),
            start_url: "https://corp".into(),
            account: "111122223333".into(),
            role: "Admin".into(),
        };
        let login = Base::LoginSession {
            arn: "arn:aws:iam::111122223333:user/ada".into(),
        };
        let keys = Base::Keys {
            access_key_id: "AKID".into(),
        };
        #[rustfmt::skip]
        let rows = [
            (of_profile("my dev", sso(Some("corp")), 0), "Run: aws sso login --profile 'my dev'"),
            (of_profile("default", sso(None), 0), "Run: aws sso login"),
            (of_profile("dev", sso(Some("corp")), 1), "Run: aws sso login --sso-session corp"),
            (of_profile("dev", sso(None), 1), "Run aws sso login for the `source_profile` of `dev`"),
            (of_profile("dev", login, 0), "Run: aws login --profile dev"),
            (of_profile("dev", keys.clone(), 0), "Renew the keys: aws configure --profile dev"),
            (of_profile("dev", keys, 2), ""),
        ];
        for (said, expected) in rows {
            assert_eq!(said, expected);
        }
    }
}
