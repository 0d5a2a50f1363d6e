//! Questions to the API server, asked as the admin and through the gate, as everybody does.

use serde::de::DeserializeOwned;

use super::certificates::ADMIN;
use super::endpoints::API_SERVER_PORT;
use super::{Layout, http};

/// The object or list at a path of the API, or nothing when there is none. An error is a fragment
/// that says why it is not known.
pub fn get<T: DeserializeOwned>(layout: &Layout, path: &str) -> Result<Option<T>, String> {
    let pki = layout.pki();
    let (certificate, key) = (
        pki.join(format!("{ADMIN}.crt")),
        pki.join(format!("{ADMIN}.key")),
    );
    let ca = layout.ca_certificate();
    let tls = http::Tls {
        ca: &ca,
        client: Some((&certificate, &key)),
    };
    let answer = http::get_tls(API_SERVER_PORT, path, tls)
        .map_err(|error| format!("the API server does not answer: {error}"))?;
    match answer.status {
        200 => serde_json::from_slice(&answer.body)
            .map(Some)
            .map_err(|error| error.to_string()),
        404 => Ok(None),
        status => Err(format!("the API server answers {status}")),
    }
}
