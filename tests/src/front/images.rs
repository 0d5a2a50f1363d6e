//! What the emulator knows of a registry's repositories and images: it decides what is there.

use serde::Deserialize;
use serde_json::{Value, json};

use super::host::Registry;
use super::moto::MotoError;
use super::policy::is_like;
use super::state::State;

/// A repository, as far as pushes and pulls ask.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Repository {
    image_tag_mutability: String,
    image_tag_mutability_exclusion_filters: Vec<Exclusion>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Exclusion {
    filter: String,
}

impl Repository {
    /// Whether a tag, once there, stays as it is.
    pub(super) fn fixes(&self, tag: &str) -> bool {
        let excluded = self
            .image_tag_mutability_exclusion_filters
            .iter()
            .any(|exclusion| is_like(&exclusion.filter, tag));
        match self.image_tag_mutability.as_str() {
            "IMMUTABLE" => true,
            "IMMUTABLE_WITH_EXCLUSION" => !excluded,
            "MUTABLE_WITH_EXCLUSION" => excluded,
            _ => false,
        }
    }
}

/// A tag or a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reference<'a> {
    Tag(&'a str),
    Digest(&'a str),
}

impl<'a> Reference<'a> {
    /// A digest has a colon, which no tag can have.
    pub(super) fn of(text: &'a str) -> Self {
        if text.contains(':') {
            Self::Digest(text)
        } else {
            Self::Tag(text)
        }
    }

    fn id(self) -> Value {
        match self {
            Self::Tag(tag) => json!({ "imageTag": tag }),
            Self::Digest(digest) => json!({ "imageDigest": digest }),
        }
    }
}

/// One registry's repositories.
#[derive(Clone, Copy)]
pub(super) struct Images<'a> {
    pub(super) state: &'a State,
    pub(super) registry: &'a Registry,
}

impl Images<'_> {
    async fn ask(&self, action: &str, body: &Value) -> Result<Value, MotoError> {
        let Registry { account, region } = self.registry;
        self.state.ask_ecr(account, region, action, body).await
    }

    /// The repository of that name; none when there is none.
    pub(super) async fn repository(&self, name: &str) -> Result<Option<Repository>, MotoError> {
        let known = &self.state.repositories;
        let edition = match known.find(self.registry, name) {
            Ok(repository) => return Ok(Some(repository)),
            Err(edition) => edition,
        };
        let asked = json!({ "repositoryNames": [name] });
        let answer = match self.ask("DescribeRepositories", &asked).await {
            Ok(answer) => answer,
            Err(error) if error.names("RepositoryNotFoundException") => return Ok(None),
            Err(error) => return Err(error),
        };
        let found = answer
            .get("repositories")
            .and_then(|all| all.get(0))
            .cloned();
        let found = found.map(|found| serde_json::from_value(found).unwrap_or_default());
        if let Some(found) = &found {
            known.learn(edition, self.registry, name, found);
        }
        Ok(found)
    }

    /// The names of all repositories.
    pub(super) async fn repositories(&self) -> Result<Vec<String>, MotoError> {
        let answer = self.ask("DescribeRepositories", &json!({})).await?;
        Ok(texts(&answer, "repositories", |each| {
            each.get("repositoryName").into_iter().collect()
        }))
    }

    /// All tags of a repository.
    pub(super) async fn tags(&self, name: &str) -> Result<Vec<String>, MotoError> {
        let answer = self
            .ask("DescribeImages", &json!({ "repositoryName": name }))
            .await?;
        Ok(texts(&answer, "imageDetails", |each| {
            each.get("imageTags")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .collect()
        }))
    }

    /// The digest that a tag stands for, or the digest itself when there is such an image.
    pub(super) async fn digest(
        &self,
        name: &str,
        reference: Reference<'_>,
    ) -> Result<Option<String>, MotoError> {
        let asked = json!({ "repositoryName": name, "imageIds": [reference.id()] });
        let answer = match self.ask("DescribeImages", &asked).await {
            Ok(answer) => answer,
            Err(error) if error.names("ImageNotFoundException") => return Ok(None),
            Err(error) => return Err(error),
        };
        let digest = answer
            .pointer("/imageDetails/0/imageDigest")
            .and_then(Value::as_str);
        Ok(digest.map(str::to_owned))
    }

    /// Makes a pushed manifest known.
    pub(super) async fn put(&self, pushed: &Pushed<'_>) -> Result<(), MotoError> {
        let repository = pushed.repository;
        let old = if let Some(tag) = pushed.tag {
            self.tagged(repository, tag).await?
        } else if self.has(repository, pushed.digest).await? {
            // Without a tag there is nothing to do for a digest that is there.
            return Ok(());
        } else {
            None
        };
        self.put_image(pushed).await?;
        // The emulator drops an image with its last tag; ECR keeps it, untagged.
        if let Some(old) = old
            && old.digest != pushed.digest
            && !self.has(repository, &old.digest).await?
        {
            self.put_image(&Pushed {
                tag: None,
                digest: &old.digest,
                media_type: &old.media_type,
                manifest: &old.text,
                ..*pushed
            })
            .await?;
        }
        Ok(())
    }

    async fn has(&self, name: &str, digest: &str) -> Result<bool, MotoError> {
        let known = self.digest(name, Reference::Digest(digest)).await?;
        Ok(known.is_some())
    }

    async fn put_image(&self, pushed: &Pushed<'_>) -> Result<(), MotoError> {
        let mut body = json!({
            "repositoryName": pushed.repository,
            "imageManifest": pushed.manifest,
            "imageManifestMediaType": pushed.media_type,
            "imageDigest": pushed.digest,
        });
        if let (Some(tag), Some(fields)) = (pushed.tag, body.as_object_mut()) {
            fields.insert("imageTag".to_owned(), tag.into());
        }
        let Registry { account, region } = self.registry;
        match self
            .state
            .change_ecr(account, region, "PutImage", &body)
            .await
        {
            // The same manifest under the same tag: nothing changed.
            Err(error) if error.names("ImageAlreadyExistsException") => Ok(()),
            done => done,
        }
    }

    async fn tagged(&self, name: &str, tag: &str) -> Result<Option<Manifest>, MotoError> {
        let asked = json!({ "repositoryName": name, "imageIds": [Reference::Tag(tag).id()] });
        let answer = self.ask("BatchGetImage", &asked).await?;
        let text = |path: &str| {
            answer
                .pointer(path)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let (Some(digest), Some(manifest)) = (
            text("/images/0/imageId/imageDigest"),
            text("/images/0/imageManifest"),
        ) else {
            return Ok(None);
        };
        Ok(Some(Manifest {
            digest,
            text: manifest,
            media_type: text("/images/0/imageManifestMediaType").unwrap_or_default(),
        }))
    }
}

/// A manifest that the emulator has.
struct Manifest {
    digest: String,
    text: String,
    media_type: String,
}

/// A manifest that was pushed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pushed<'a> {
    pub(super) repository: &'a str,
    pub(super) tag: Option<&'a str>,
    pub(super) digest: &'a str,
    pub(super) media_type: &'a str,
    pub(super) manifest: &'a str,
}

fn texts<'a>(
    answer: &'a Value,
    list: &str,
    of: impl Fn(&'a Value) -> Vec<&'a Value>,
) -> Vec<String> {
    let mut all: Vec<String> = answer
        .get(list)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .flat_map(of)
        .filter_map(|text| text.as_str().map(str::to_owned))
        .collect();
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_fixed_as_the_repository_says() {
        for (mutability, filter, tag, expected) in [
            ("MUTABLE", "", "dev", false),
            ("IMMUTABLE", "", "dev", true),
            ("IMMUTABLE_WITH_EXCLUSION", "dev*", "dev-laptop1", false),
            ("IMMUTABLE_WITH_EXCLUSION", "dev*", "0a1b2c", true),
            ("MUTABLE_WITH_EXCLUSION", "v*", "v1", true),
            ("MUTABLE_WITH_EXCLUSION", "v*", "dev", false),
        ] {
            let repository: Repository = serde_json::from_value(json!({
                "imageTagMutability": mutability,
                "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": filter}],
            }))
            .expect("a repository");
            assert_eq!(repository.fixes(tag), expected, "{mutability} {tag}");
        }
    }

    #[test]
    fn a_reference_with_a_colon_is_a_digest() {
        assert_eq!(Reference::of("sha256:abc"), Reference::Digest("sha256:abc"));
        assert_eq!(Reference::of("v1.0"), Reference::Tag("v1.0"));
    }
}
