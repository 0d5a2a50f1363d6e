//! What going back does beside the change of the workload: known before anything is changed.

use serde::Serialize;

use super::candidate::Candidate;
use crate::commands::regcred::SecretPlan;
use crate::project::contract::TagMutability;
use crate::project::{Project, Service};
use crate::registry::{ImageReference, Registry, Tag};

/// The plan.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Plan {
    pub(super) pull_secrets: Vec<SecretPlan>,
    /// The workspace's tag, when it is not at the image yet.
    pub(super) moves_tag: Option<Tag>,
}

/// The workspace's tag, with the image that it is moved to: what `deploy --no-build` takes is what
/// runs. `None` where tags stay where they are, or where it is there already.
pub(super) async fn moving_tag(
    project: &Project,
    registry: &Registry,
    service: &Service,
    to: &Candidate,
) -> Option<(ImageReference, Tag)> {
    if service.tag_mutability == TagMutability::Immutable {
        return None;
    }
    let tag = Tag::from_name(&project.workspace)?;
    let image = to.reference(service)?;
    let tags = std::slice::from_ref(&tag);
    // A registry that does not tell is told all the same.
    let found = registry.look_up(&service.repository, tags).await.ok();
    let is_there = found
        .as_ref()
        .and_then(|found| found.digest(&tag))
        .is_some_and(|digest| to.digest.as_ref() == Some(digest));
    (!is_there).then_some((image, tag))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::project::fake;
    use crate::registry::fake::{HOST, registry};

    #[tokio::test]
    async fn the_tag_moves_unless_it_is_there_or_stays_for_ever() {
        let digest = |number: u8| format!("sha256:{}", number.to_string().repeat(64));
        let (mutable, immutable) = (TagMutability::Mutable, TagMutability::Immutable);
        // What the tag names now, and whether it moves to the first image.
        for (mutability, now, moves) in [
            (mutable, Some(2), true),
            (mutable, Some(1), false),
            (mutable, None, true),
            (immutable, None, false),
        ] {
            let at = now.map(digest);
            let (registry, asked) = registry(move |_, body| {
                let id = body["imageIds"][0].clone();
                let answer: (Vec<Value>, Vec<Value>) = match &at {
                    Some(digest) => (
                        vec![json!({ "imageManifest": "{}",
                            "imageId": { "imageDigest": digest, "imageTag": id["imageTag"] } })],
                        Vec::new(),
                    ),
                    None => (
                        Vec::new(),
                        vec![json!({ "imageId": id, "failureCode": "ImageNotFound" })],
                    ),
                };
                (200, json!({ "images": answer.0, "failures": answer.1 }))
            });
            let project = fake::project("dev", fake::service(mutability));
            let to = Candidate {
                revision: Some(3),
                current: false,
                made_at: None,
                pushed_at: None,
                image: format!("{HOST}/shop/web@{}", digest(1)),
                tag: None,
                digest: Some(digest(1).parse().unwrap()),
                change_cause: None,
                in_registry: Some(true),
            };
            let moved = moving_tag(&project, &registry, &project.services[0], &to).await;
            let moved = moved.map(|(image, tag)| (image.to_string(), tag.to_string()));
            let expected = moves.then(|| (to.image.clone(), "dev".to_owned()));
            assert_eq!(moved, expected, "{mutability:?} {now:?}");
            let is_asked = mutability == mutable;
            assert_eq!(asked.asked.lock().unwrap().len(), usize::from(is_asked));
        }
    }
}
