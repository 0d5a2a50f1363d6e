//! Pushing a manifest: the real registry keeps it, the emulator knows of it.

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;

use super::super::images::{Images, Pushed, Reference, Repository};
use super::super::moto::MotoError;
use super::super::operation::header;
use super::proxy::{Answer, Proxy};
use super::refusal::Refusal;
use crate::digest::sha256;

/// The largest manifest that registries take.
const MOST: usize = 4 * 1024 * 1024;

/// Pushes the manifest of `repository` under a tag or digest.
pub(super) async fn manifest(
    images: Images<'_>,
    proxy: &Proxy<'_>,
    head: &Parts,
    (name, repository): (&str, &Repository),
    reference: &str,
    body: Incoming,
) -> Result<Answer, Refusal> {
    let body = Limited::new(body, MOST)
        .collect()
        .await
        .map_err(|error| Refusal::BadManifest(error.to_string()))?
        .to_bytes();
    let Ok(text) = std::str::from_utf8(&body) else {
        return Err(Refusal::BadManifest("the manifest is not text".to_owned()));
    };
    let tag = match Reference::of(reference) {
        Reference::Tag(tag) => Some(tag),
        Reference::Digest(_) => None,
    };
    // Looking for the tag and setting it are one step.
    let _pushing = images.state.pushing.lock().await;
    if let Some(tag) = tag
        && repository.fixes(tag)
        && images
            .digest(name, Reference::Tag(tag))
            .await
            .map_err(|error| emulator(&error))?
            .is_some()
    {
        return Err(Refusal::FixedTag {
            name: name.to_owned(),
            tag: tag.to_owned(),
        });
    }
    let sent = Full::new(body.clone())
        .map_err(|never| match never {})
        .boxed();
    let path = format!("{name}/manifests/{reference}");
    let answer = proxy.send(head, &path, sent).await?;
    if !answer.status().is_success() {
        return Ok(answer);
    }
    let digest = header(answer.headers(), "docker-content-digest")
        .unwrap_or_else(|| format!("sha256:{}", sha256(&body)));
    let media_type = header(&head.headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let pushed = Pushed {
        repository: name,
        tag,
        digest: &digest,
        media_type: &media_type,
        manifest: text,
    };
    images
        .put(&pushed)
        .await
        .map_err(|error| emulator(&error))?;
    let state = images.state;
    state.log(&format!(
        "pushed {}/{name}:{reference} {digest}",
        images.registry
    ));
    Ok(answer)
}

/// The emulator did not do its part.
pub(super) fn emulator(error: &MotoError) -> Refusal {
    Refusal::Failing {
        status: 503,
        reason: error.to_string(),
    }
}
