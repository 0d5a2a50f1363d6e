//! What the annotations of a secret say of each of its logins: whose it is, and how long it lives.
//!
//! Several workspaces may keep their registries in one secret, each as another AWS identity, so
//! there is a mark for each registry. The annotations with one value for all of them came first:
//! they are still written, for people, and read where there is no mark.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret as SecretObject;
use serde::{Deserialize, Serialize};

use super::auths::{Credential, Expiry, expiry_of};
use super::plan::RegistryLogin;
use super::{
    ANNOTATION_EXPIRES_AT, ANNOTATION_ISSUED_AT, ANNOTATION_LOGINS, ANNOTATION_PRINCIPAL,
    ANNOTATION_REFRESHED_BY, ANNOTATION_REGISTRIES, ANNOTATION_SOURCE,
};

/// A password that ends at another time than its mark says is not the one that was marked.
const SAME_MOMENT: SignedDuration = SignedDuration::from_mins(1);

/// Where a login comes from, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The ARN of the AWS identity that it stands for.
    pub principal: Option<String>,
    /// How that identity was come by, for example `profile dev`.
    pub source: Option<String>,
    /// When it was issued: its life is counted from there.
    pub issued_at: Option<Timestamp>,
}

/// What is known of one login.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mark {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issued_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
}

/// The annotations of a secret.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// By registry.
    logins: BTreeMap<String, Mark>,
    /// What is said of all of them together.
    whole: Mark,
    /// The registries that are kept, when that is said.
    registries: Option<Vec<String>>,
}

impl Marks {
    /// Reads the annotations. One that cannot be read says nothing.
    pub(super) fn of(secret: &SecretObject) -> Self {
        let text = |name| annotation(secret, name);
        let moment = |name| text(name).and_then(|at| at.parse().ok());
        Self {
            logins: text(ANNOTATION_LOGINS)
                .and_then(|logins| serde_json::from_str(logins).ok())
                .unwrap_or_default(),
            whole: Mark {
                expires_at: moment(ANNOTATION_EXPIRES_AT),
                issued_at: moment(ANNOTATION_ISSUED_AT),
                principal: text(ANNOTATION_PRINCIPAL).map(str::to_owned),
                source: text(ANNOTATION_SOURCE).map(str::to_owned),
            },
            registries: text(ANNOTATION_REGISTRIES).map(|names| {
                let names = names.split(',').filter(|name| !name.is_empty());
                names.map(str::to_owned).collect()
            }),
        }
    }

    /// When the first of the logins ends, as it is said of all of them together.
    pub(super) fn first_expiry(&self) -> Option<Timestamp> {
        self.whole.expires_at
    }

    /// The registries that are kept.
    pub(super) fn registries(&self) -> &[String] {
        self.registries.as_deref().unwrap_or_default()
    }

    fn mark(&self, registry: &str) -> Option<&Mark> {
        if let Some(mark) = self.logins.get(registry) {
            return Some(mark);
        }
        let is_meant = match &self.registries {
            Some(registries) => registries.iter().any(|name| name == registry),
            None => self.logins.is_empty(),
        };
        is_meant.then_some(&self.whole)
    }

    /// When the login for `registry` ends: its password says so, or its mark.
    pub(super) fn expiry_of(&self, registry: &str, login: &Credential) -> Expiry {
        let marked = self.mark(registry).and_then(|mark| mark.expires_at);
        // The marks speak of Amazon ECR logins only.
        Expiry::of(&login.password, marked.filter(|_| login.username == "AWS"))
    }

    /// Where the login for `registry` comes from. Nothing is known of one that somebody else put
    /// in the place of ours.
    pub(super) fn origin_of(&self, registry: &str, login: &Credential) -> Origin {
        let Some(mark) = self.mark(registry) else {
            return Origin::default();
        };
        let is_another = match (expiry_of(&login.password), mark.expires_at) {
            // What is said of all of them together is when the first of them ends.
            (Some(found), Some(marked)) if self.logins.contains_key(registry) => {
                found.duration_since(marked).abs() > SAME_MOMENT
            }
            _ => login.username != "AWS",
        };
        if is_another {
            return Origin::default();
        }
        Origin {
            principal: mark.principal.clone(),
            source: mark.source.clone(),
            issued_at: mark.issued_at,
        }
    }

    /// Marks these logins, and of the others those that are `kept`, each with its end.
    pub(super) fn renew(
        &mut self,
        wanted: &[RegistryLogin<'_>],
        kept: &[(String, Option<Timestamp>)],
    ) {
        let mut logins = BTreeMap::new();
        for (registry, expires_at) in kept {
            if let Some(mark) = self.mark(registry) {
                let expires_at = self
                    .logins
                    .get(registry)
                    .map_or(*expires_at, |mark| mark.expires_at);
                let mark = Mark {
                    expires_at,
                    ..mark.clone()
                };
                logins.insert(registry.clone(), mark);
            }
        }
        for login in wanted {
            let origin = login.origin.cloned().unwrap_or_default();
            // What the password says is what it is known by later.
            let expires_at = expiry_of(login.password).unwrap_or(login.expires_at);
            let mark = Mark {
                expires_at: Some(expires_at),
                issued_at: origin.issued_at,
                principal: origin.principal,
                source: origin.source,
            };
            logins.insert(login.registry.to_owned(), mark);
        }
        let ours = wanted.iter().map(|login| login.registry.to_owned());
        let kept = kept.iter().map(|(registry, _)| registry.clone());
        self.registries = Some(ours.chain(kept).collect());
        self.logins = logins;
    }

    /// The annotations to write. `None` takes one away.
    pub(super) fn annotations(
        &self,
        first_expiry: Option<Timestamp>,
        refreshed_by: &str,
    ) -> BTreeMap<&'static str, Option<String>> {
        let moment = |at: Option<Timestamp>| at.map(|at| format!("{at:.0}"));
        let marks = || self.registries().iter().filter_map(|name| self.mark(name));
        let logins: BTreeMap<&str, Mark> = self
            .logins
            .iter()
            .map(|(registry, mark)| {
                let whole = |at: Option<Timestamp>| Timestamp::from_second(at?.as_second()).ok();
                let mark = Mark {
                    expires_at: whole(mark.expires_at),
                    issued_at: whole(mark.issued_at),
                    ..mark.clone()
                };
                (registry.as_str(), mark)
            })
            .collect();
        BTreeMap::from([
            (ANNOTATION_EXPIRES_AT, moment(first_expiry)),
            (
                ANNOTATION_ISSUED_AT,
                moment(marks().filter_map(|mark| mark.issued_at).min()),
            ),
            (ANNOTATION_REGISTRIES, Some(self.registries().join(","))),
            (
                ANNOTATION_PRINCIPAL,
                distinct(marks().map(|mark| mark.principal.as_deref())),
            ),
            (
                ANNOTATION_SOURCE,
                distinct(marks().map(|mark| mark.source.as_deref())),
            ),
            (ANNOTATION_LOGINS, serde_json::to_string(&logins).ok()),
            (ANNOTATION_REFRESHED_BY, Some(refreshed_by.to_owned())),
        ])
    }
}

/// The different ones, separated by commas.
fn distinct<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> Option<String> {
    texts.flatten().fold(None, |all: Option<String>, text| {
        Some(match all {
            Some(all) if lists(&all, text) => all,
            Some(all) if !lists(text, &all) => format!("{all}, {text}"),
            _ => text.to_owned(),
        })
    })
}

/// Whether `one` is among those that are separated by commas. It may have commas itself: an SSO
/// session is told with its account and its role.
pub(super) fn lists(all: &str, one: &str) -> bool {
    format!(", {all}, ").contains(&format!(", {one}, "))
}

/// The value of an annotation.
pub(super) fn annotation<'a>(secret: &'a SecretObject, name: &str) -> Option<&'a str> {
    let annotations = secret.metadata.annotations.as_ref()?;
    annotations.get(name).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use ecr_hybrid::secret::Secret;
    use serde_json::json;

    use super::*;

    fn marks(annotations: serde_json::Value) -> Marks {
        let secret = json!({ "metadata": { "annotations": annotations } });
        Marks::of(&serde_json::from_value(secret).unwrap())
    }

    fn login(username: &str, password: &str) -> Credential {
        Credential {
            username: username.to_owned(),
            password: Secret::new(password.to_owned()),
        }
    }

    fn found(marks: &Marks, registry: &str) -> (Option<String>, Option<String>) {
        let login = login("AWS", "opaque");
        (
            marks.origin_of(registry, &login).principal,
            marks
                .expiry_of(registry, &login)
                .at()
                .map(|at| at.to_string()),
        )
    }

    #[test]
    fn each_registry_has_its_own_mark_before_what_is_said_of_all() {
        let marks = marks(json!({
            ANNOTATION_LOGINS: r#"{"a.example":{"principal":"P","expiresAt":"2026-11-23T20:00:00Z"}}"#,
            ANNOTATION_REGISTRIES: "a.example,b.example",
            ANNOTATION_PRINCIPAL: "Q",
            ANNOTATION_EXPIRES_AT: "2026-11-23T10:00:00Z",
        }));
        let table = [
            (
                "a.example",
                Some("P".to_owned()),
                Some("2026-11-23T20:00:00Z".to_owned()),
            ),
            (
                "b.example",
                Some("Q".to_owned()),
                Some("2026-11-23T10:00:00Z".to_owned()),
            ),
            ("c.example", None, None),
        ];
        for (registry, principal, expires_at) in table {
            assert_eq!(
                found(&marks, registry),
                (principal, expires_at),
                "{registry}"
            );
        }
    }

    #[test]
    fn what_was_said_of_all_before_there_were_marks_is_still_read() {
        let old = |registries: Option<&str>, logins: Option<&str>| {
            let mut annotations = json!({
                ANNOTATION_PRINCIPAL: "P",
                ANNOTATION_EXPIRES_AT: "2026-11-23T10:00:00Z",
            });
            for (name, value) in [
                (ANNOTATION_REGISTRIES, registries),
                (ANNOTATION_LOGINS, logins),
            ] {
                if let Some(value) = value {
                    annotations[name] = json!(value);
                }
            }
            found(&marks(annotations), "a.example")
        };
        let read = (
            Some("P".to_owned()),
            Some("2026-11-23T10:00:00Z".to_owned()),
        );
        assert_eq!(old(None, None), read);
        assert_eq!(old(Some("a.example"), None), read);
        assert_eq!(old(Some("a.example"), Some("no JSON")), read);
        assert_eq!(old(Some("b.example"), None), (None, None));
        assert_eq!(old(None, Some(r#"{"b.example":{}}"#)), (None, None));
    }

    #[test]
    fn identities_are_told_once_each_whatever_commas_they_have() {
        let (one, two) = (
            "SSO session s, account 1, role dev",
            "SSO session s, account 2, role dev",
        );
        let both = format!("{one}, {two}");
        let table = [
            (vec![], None),
            (vec![one, one], Some(one)),
            (vec![one, two, one], Some(both.as_str())),
            // As it was told of all together once.
            (vec![one, both.as_str()], Some(both.as_str())),
            (vec![both.as_str(), two], Some(both.as_str())),
        ];
        for (texts, expected) in table {
            let told = distinct(texts.iter().copied().map(Some));
            assert_eq!(told.as_deref(), expected, "{texts:?}");
        }
        assert!(lists(&both, two) && !lists(one, two) && !lists(&both, "account 3"));
    }

    /// A password that says when it ends.
    fn ends(second: i64) -> String {
        use base64::Engine as _;
        let inside = format!(r#"{{"payload":"x","expiration":{second}}}"#);
        base64::engine::general_purpose::STANDARD.encode(inside)
    }

    #[test]
    fn a_login_is_known_by_the_end_that_its_password_says() {
        let origin = Origin {
            principal: Some("P".to_owned()),
            ..Origin::default()
        };
        let password = Secret::new(ends(1_795_428_000));
        let wanted = RegistryLogin {
            registry: "a.example",
            username: "AWS",
            password: &password,
            // The service says something else of it.
            expires_at: "2026-11-23T12:00:00Z".parse().unwrap(),
            origin: Some(&origin),
        };
        let mut marks = Marks::default();
        marks.renew(&[wanted], &[]);
        let login = login("AWS", &ends(1_795_428_000));
        assert_eq!(marks.origin_of("a.example", &login), origin);
    }

    #[test]
    fn nothing_is_known_of_a_login_that_somebody_else_put_there() {
        let marks = marks(json!({
            ANNOTATION_LOGINS: r#"{"a.example":{"principal":"P","expiresAt":"2026-11-23T10:00:00Z"}}"#,
        }));
        // 10:00:00, a little later, and an hour later.
        let table = [
            (0, Some("P".to_owned())),
            (59, Some("P".to_owned())),
            (3600, None),
        ];
        for (later, principal) in table {
            let login = login("AWS", &ends(1_795_428_000 + later));
            let origin = marks.origin_of("a.example", &login);
            assert_eq!(origin.principal, principal, "{later}");
        }
        let other = marks.origin_of("a.example", &login("me", "opaque"));
        assert_eq!(other, Origin::default());
    }
}
