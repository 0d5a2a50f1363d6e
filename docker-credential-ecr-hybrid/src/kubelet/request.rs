//! What the kubelet asks.

use serde::Deserialize;

use crate::configure::Server;
use crate::host::Registry;

/// The version of the API that is spoken here.
pub(super) const API_VERSION: &str = "credentialprovider.kubelet.k8s.io/v1";

const KIND: &str = "CredentialProviderRequest";

/// A request for an image's credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The image, with its host and without a tag or digest.
    pub image: String,
}

/// Why a request cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// There is no JSON object on standard input.
    #[error("Standard input holds no {KIND}: {why}.")]
    Json {
        /// What is wrong, with line and column, as a clause.
        why: String,
    },
    /// The object is of another kind.
    #[error("Standard input holds a `{kind}`, and only a {KIND} is answered.")]
    Kind {
        /// Its kind.
        kind: String,
    },
    /// The object is of another version.
    #[error(
        "The kubelet asks in apiVersion `{version}`, and only {API_VERSION} is answered; set it as the provider's `apiVersion` in the CredentialProviderConfig."
    )]
    Version {
        /// Its version.
        version: String,
    },
    /// No image is named.
    #[error("The {KIND} names no image.")]
    NoImage,
    /// The pull is to be made as the pod's service account.
    #[error(
        "The kubelet sends a service account token, and this provider answers with the node's own AWS identity; remove `tokenAttributes` from the CredentialProviderConfig."
    )]
    ServiceAccount,
}

impl Request {
    /// Reads what the kubelet has written.
    pub fn parse(text: &[u8]) -> Result<Self, RequestError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Given {
            #[serde(default)]
            kind: String,
            #[serde(default)]
            api_version: String,
            #[serde(default)]
            image: String,
            #[serde(default)]
            service_account_token: Option<serde::de::IgnoredAny>,
        }
        // A list would be taken for the fields in their order.
        if text.trim_ascii_start().first() == Some(&b'[') {
            let why = "it holds a list".to_owned();
            return Err(RequestError::Json { why });
        }
        let given: Given = serde_json::from_slice(text).map_err(|error| RequestError::Json {
            why: error.to_string(),
        })?;
        let shown = |text: &str| text.escape_debug().take(200).collect();
        if given.kind != KIND {
            let kind = shown(&given.kind);
            return Err(RequestError::Kind { kind });
        }
        if given.api_version != API_VERSION {
            let version = shown(&given.api_version);
            return Err(RequestError::Version { version });
        }
        if given.service_account_token.is_some() {
            return Err(RequestError::ServiceAccount);
        }
        match given.image.trim() {
            "" => Err(RequestError::NoImage),
            image => Ok(Self {
                image: image.to_owned(),
            }),
        }
    }

    /// The image's registry with the key that the kubelet looks it up by, if it is one of ECR's. The
    /// port belongs to the key.
    pub fn registry(&self) -> Option<(Registry, String)> {
        let registry = Registry::parse(&self.image)?;
        let server: Server = self.image.parse().ok()?;
        Some((registry, server.as_str().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com:8443/team/app";

    fn parse(kind: &str, version: &str, rest: &str) -> Result<Request, RequestError> {
        let text = format!(r#"{{"kind":"{kind}","apiVersion":"{version}"{rest}}}"#);
        Request::parse(text.as_bytes())
    }

    #[test]
    fn the_image_s_registry_is_named_with_its_port() {
        let image = format!(r#","image":"{IMAGE}""#);
        let request = parse(KIND, API_VERSION, &image).unwrap();
        let (registry, key) = request.registry().unwrap();
        assert_eq!(registry.account(), Some("111122223333"));
        assert_eq!(key, "111122223333.dkr.ecr.eu-west-1.amazonaws.com:8443");
        let other = parse(KIND, API_VERSION, r#","image":"docker.io/library/busybox""#);
        assert_eq!(other.unwrap().registry(), None);
    }

    #[test]
    fn each_wrong_request_has_a_sentence_of_its_own() {
        let image = format!(r#","image":"{IMAGE}""#);
        let token = format!(r#"{image},"serviceAccountToken":"t""#);
        let old = "credentialprovider.kubelet.k8s.io/v1beta1";
        #[rustfmt::skip]
        let rows = [
            (parse("Pod", "v1", &image), "holds a `Pod`"),
            (parse(KIND, old, &image), "apiVersion `credentialprovider.kubelet.k8s.io/v1beta1`"),
            (parse(KIND, "", &image), "apiVersion ``"),
            (parse(KIND, API_VERSION, ""), "names no image"),
            (parse(KIND, API_VERSION, &token), "`tokenAttributes`"),
            (Request::parse(b""), "EOF while parsing"),
            (Request::parse(b"[]"), "holds no CredentialProviderRequest"),
            (Request::parse(b"\xff\xff"), "line 1"),
        ];
        for (request, expected) in rows {
            let sentence = request.unwrap_err().to_string();
            assert!(sentence.contains(expected), "{sentence}");
        }
    }
}
