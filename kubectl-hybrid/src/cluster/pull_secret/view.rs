//! What a pull secret looks like from outside: for `status`, `doctor` and their JSON.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret as SecretObject;
use serde::Serialize;

use super::auths::Entry;
use super::marks::{Marks, annotation};
use super::owner::Owner;
use super::plan::document_of;
use super::spelling::is_read;
use super::{
    ANNOTATION_EXPIRES_AT, ANNOTATION_PRINCIPAL, ANNOTATION_REFRESHED_BY, ANNOTATION_SOURCE,
    LEGACY_TYPE, SECRET_TYPE,
};

/// A pull secret without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PullSecretView {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// Its type; the kubelet reads `kubernetes.io/dockerconfigjson` and the older `dockercfg`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether the kubelet reads this type.
    pub readable_type: bool,
    /// Whether its data can be changed.
    pub immutable: bool,
    /// Why the content as a whole cannot be read, when it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// The entries.
    pub registries: Vec<RegistryView>,
    /// When the first of our logins ends, as annotated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotated_expiry: Option<Timestamp>,
    /// The AWS identities that the logins stand for, as annotated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// How those identities were come by, as annotated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The tool that wrote last, as annotated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refreshed_by: Option<String>,
    /// Who keeps it.
    pub owner: Owner,
    /// Whether it names credential stores, which no kubelet asks.
    pub names_stores: bool,
}

/// One entry of a pull secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistryView {
    /// The key as it stands there.
    pub key: String,
    /// The user name, when there is a login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// When the login ends, when that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The AWS identity that it stands for, as annotated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// How that identity was come by, as annotated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What is wrong with the entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl PullSecretView {
    /// The login for `registry` as a whole: under the bare host, else under another spelling of it
    /// that the kubelet reads.
    pub fn entry(&self, registry: &str) -> Option<&RegistryView> {
        let logins = || {
            let entries = self.registries.iter().rev();
            entries.filter(|entry| entry.username.is_some())
        };
        let bare = logins().find(|entry| entry.key == registry);
        bare.or_else(|| logins().find(|entry| is_read(&entry.key, registry)))
    }

    /// When the login for `registry` ends.
    pub fn expiry_of(&self, registry: &str) -> Option<Timestamp> {
        self.entry(registry)?.expires_at
    }

    /// The entries with a login that the kubelet uses for an image.
    pub fn entries_for<'a>(&'a self, image: &str) -> impl Iterator<Item = &'a RegistryView> {
        let repository = crate::cluster::keyring::repository_of(image);
        self.registries.iter().filter(move |entry| {
            entry.username.is_some()
                && crate::cluster::keyring::key_matches(&entry.key, &repository)
        })
    }
}

/// Reads a Secret for people. Passwords do not leave it.
pub fn view(secret: &SecretObject) -> PullSecretView {
    let kind = secret.type_.clone().unwrap_or_else(|| "Opaque".to_owned());
    let document = document_of(secret);
    let marks = Marks::of(secret);
    let annotated = marks.first_expiry();
    let mut registries: Vec<RegistryView> = document
        .entries()
        .map(|(key, entry)| registry(key, &entry, &marks))
        .collect();
    for entry in &mut registries {
        if entry.problem.is_none() && crate::cluster::keyring::normal_key(&entry.key).is_none() {
            entry.problem = Some("the kubelet ignores this key: it is no URL".to_owned());
        }
    }
    let text = |name| annotation(secret, name).map(str::to_owned);
    let mut unreadable = document.broken().map(str::to_owned);
    if unreadable.is_none()
        && annotated.is_none()
        && let Some(at) = annotation(secret, ANNOTATION_EXPIRES_AT)
        && registries.is_empty()
    {
        unreadable = Some(format!("it is empty, and says that it expires at `{at}`"));
    }
    PullSecretView {
        namespace: secret.metadata.namespace.clone().unwrap_or_default(),
        name: secret.metadata.name.clone().unwrap_or_default(),
        readable_type: kind == SECRET_TYPE || kind == LEGACY_TYPE,
        kind,
        immutable: secret.immutable == Some(true),
        unreadable,
        registries,
        annotated_expiry: annotated,
        principal: text(ANNOTATION_PRINCIPAL),
        source: text(ANNOTATION_SOURCE),
        refreshed_by: text(ANNOTATION_REFRESHED_BY),
        owner: Owner::of(secret),
        names_stores: document.names_stores(),
    }
}

fn registry(key: &str, entry: &Entry, marks: &Marks) -> RegistryView {
    let mut view = RegistryView {
        key: key.to_owned(),
        username: None,
        expires_at: None,
        principal: None,
        source: None,
        problem: None,
    };
    match entry {
        Entry::Login(login) => {
            let origin = marks.origin_of(key, login);
            view.username = Some(login.username.clone());
            view.expires_at = marks.expiry_of(key, login).at();
            view.principal = origin.principal;
            view.source = origin.source;
        }
        Entry::Empty => {
            let why = "no login: it was copied from a Docker config with a credential store";
            view.problem = Some(why.to_owned());
        }
        Entry::Broken(why) => view.problem = Some(why.clone()),
    }
    view
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use serde_json::json;

    use super::*;

    fn view_of(config: &serde_json::Value, annotations: serde_json::Value) -> PullSecretView {
        let data = base64::engine::general_purpose::STANDARD.encode(config.to_string());
        let secret = serde_json::from_value(json!({
            "type": SECRET_TYPE,
            "metadata": { "name": "regcred", "namespace": "shop", "annotations": annotations },
            "data": { ".dockerconfigjson": data },
        }))
        .unwrap();
        view(&secret)
    }

    #[test]
    fn no_password_leaves_the_view() {
        let seen = view_of(
            &json!({ "auths": {
                "h.example": { "username": "u", "password": "hunter2" },
                "i.example": { "auth": "dTpodW50ZXIy" },
            } }),
            json!({}),
        );
        let text = format!("{seen:?}{}", serde_json::to_string(&seen).unwrap());
        assert!(
            !text.contains("hunter2") && !text.contains("dTpodW50ZXIy"),
            "{text}"
        );
        assert_eq!(seen.registries[1].username.as_deref(), Some("u"));
    }

    #[test]
    fn the_expiry_comes_from_the_password_before_the_annotation() {
        let password = base64::engine::general_purpose::STANDARD
            .encode(r#"{"payload":"x","datakey":"y","version":"2","type":"DATA_KEY","expiration":1795428000}"#);
        let seen = view_of(
            &json!({ "auths": {
                "own.example": { "username": "AWS", "password": password },
                "annotated.example": { "username": "AWS", "password": "opaque" },
                "foreign.example": { "username": "u", "password": "opaque" },
            } }),
            json!({ ANNOTATION_EXPIRES_AT: "2026-11-23T22:00:00Z" }),
        );
        assert_eq!(
            seen.expiry_of("own.example"),
            Some("2026-11-23T10:00:00Z".parse().unwrap())
        );
        let annotated = "2026-11-23T22:00:00Z".parse().unwrap();
        assert_eq!(seen.expiry_of("annotated.example"), Some(annotated));
        assert_eq!(seen.expiry_of("foreign.example"), None);
    }

    #[test]
    fn the_older_type_is_read_in_its_own_shape() {
        let password = base64::engine::general_purpose::STANDARD
            .encode(r#"{"payload":"x","expiration":1795428000}"#);
        let auths = json!({
            "https://h.example": { "username": "AWS", "password": password },
            "https://index.docker.io/v1/": { "auth": "dTpw", "email": "u@h.example" },
        });
        let data = base64::engine::general_purpose::STANDARD.encode(auths.to_string());
        for kind in [LEGACY_TYPE, "Opaque"] {
            let secret = json!({ "type": kind, "metadata": {}, "data": { ".dockercfg": data } });
            let seen = view(&serde_json::from_value(secret).unwrap());
            let keys: Vec<_> = seen.registries.iter().map(|entry| &entry.key).collect();
            assert_eq!(keys, ["https://h.example", "https://index.docker.io/v1/"]);
            assert!(seen.registries.iter().all(|entry| entry.problem.is_none()));
            let at = "2026-11-23T10:00:00Z".parse().unwrap();
            assert_eq!(seen.expiry_of("h.example"), Some(at), "{kind}");
            assert_eq!(seen.readable_type, kind == LEGACY_TYPE);
        }
    }

    #[test]
    fn a_key_that_the_kubelet_ignores_is_named() {
        let seen = view_of(
            &json!({ "auths": { " h.example": { "auth": "dTpw" }, "g.example": {} } }),
            json!({}),
        );
        assert!(
            seen.registries[0]
                .problem
                .as_deref()
                .unwrap()
                .contains("no URL")
        );
        assert!(
            seen.registries[1]
                .problem
                .as_deref()
                .unwrap()
                .contains("credential store")
        );
        assert_eq!(seen.entries_for("h.example/a:1").count(), 0);
    }
}
