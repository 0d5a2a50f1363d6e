//! Look-ups and moving tags through the ECR API.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_ecr::Client;
use aws_sdk_ecr::operation::batch_get_image::BatchGetImageOutput;
use aws_sdk_ecr::operation::describe_images::DescribeImagesError;
use aws_sdk_ecr::operation::put_image::PutImageError;
use aws_sdk_ecr::types::{self, ImageIdentifier, ImageTagMutability};
use futures::future::join_all;
use jiff::Timestamp;

use super::error::RegistryError;
use super::image::{FoundImage, ImageDetail, Lookup, RepositoryDetail};
use super::mutability::Mutability;
use super::reference::{Digest, ImageReference, Tag};

/// The kinds of manifest that are asked for as they are. Without the list ECR converts OCI
/// manifests and indexes for old clients.
const MEDIA_TYPES: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// The most images that one call takes.
const IMAGES_PER_CALL: usize = 100;

/// One ECR registry: an account in a region.
#[derive(Debug, Clone)]
pub struct Registry {
    client: Client,
    account: String,
    host: String,
}

impl Registry {
    /// The registry of this account, twelve digits, in the region of the configuration. `host` is
    /// its name for people and for references.
    pub fn new(config: &SdkConfig, account: &str, host: &str) -> Self {
        Self {
            client: Client::new(config),
            account: account.to_owned(),
            host: host.to_owned(),
        }
    }

    /// The registry's host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Looks tags up in one repository, with one call. Tags that do not exist are left out of the
    /// answer; a repository that does not exist is an error.
    ///
    /// This is what decides whether a service must be built: the digest behind its content tag, the
    /// digest behind the moving tag, and the manifest to move it with. No date is known; see
    /// [`Self::describe`].
    pub async fn look_up(&self, repository: &str, tags: &[Tag]) -> Result<Lookup, RegistryError> {
        let mut lookup = Lookup::default();
        for tags in tags.chunks(IMAGES_PER_CALL) {
            let ids = tags.iter().map(by_tag).collect();
            let answer = self.batch(repository, ids).await?;
            let unsolved = assign(tags, &answer, &mut lookup.images);
            for tag in unsolved {
                // With one tag asked for there is no doubt whose image the answer is.
                if let Some(image) = self.image(repository, by_tag(&tag)).await? {
                    lookup.images.insert(tag, image);
                }
            }
        }
        Ok(lookup)
    }

    /// The image of this digest, with its manifest; `None` when it does not exist.
    pub async fn find_digest(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<Option<FoundImage>, RegistryError> {
        let id = ImageIdentifier::builder()
            .image_digest(digest.as_str())
            .build();
        self.image(repository, id).await
    }

    /// One image with its manifest, or nothing.
    async fn image(
        &self,
        repository: &str,
        id: ImageIdentifier,
    ) -> Result<Option<FoundImage>, RegistryError> {
        let answer = self.batch(repository, vec![id]).await?;
        Ok(answer.images().iter().find_map(content))
    }

    async fn batch(
        &self,
        repository: &str,
        ids: Vec<ImageIdentifier>,
    ) -> Result<BatchGetImageOutput, RegistryError> {
        self.client
            .batch_get_image()
            .registry_id(&self.account)
            .repository_name(repository)
            .set_image_ids(Some(ids))
            .set_accepted_media_types(Some(MEDIA_TYPES.map(str::to_owned).to_vec()))
            .send()
            .await
            .map_err(|error| {
                RegistryError::sort("look up images of", &self.host, repository, &error)
            })
    }

    /// Looks tags up in several repositories at once, one call each.
    pub async fn look_up_all(
        &self,
        wanted: &BTreeMap<String, Vec<Tag>>,
    ) -> BTreeMap<String, Result<Lookup, RegistryError>> {
        let calls = wanted.iter().map(|(repository, tags)| async move {
            (repository.clone(), self.look_up(repository, tags).await)
        });
        join_all(calls).await.into_iter().collect()
    }

    /// Describes the image behind a tag: its digest, date, media type and other tags. `None` when
    /// the tag does not exist.
    pub async fn describe(
        &self,
        repository: &str,
        tag: &Tag,
    ) -> Result<Option<ImageDetail>, RegistryError> {
        self.describe_image(repository, by_tag(tag)).await
    }

    /// Describes the image of this digest. `None` when it does not exist (any more).
    pub async fn describe_digest(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<Option<ImageDetail>, RegistryError> {
        let id = ImageIdentifier::builder()
            .image_digest(digest.as_str())
            .build();
        self.describe_image(repository, id).await
    }

    async fn describe_image(
        &self,
        repository: &str,
        id: ImageIdentifier,
    ) -> Result<Option<ImageDetail>, RegistryError> {
        // One image per call: a call that names one missing image tells nothing of the others.
        let asked = self
            .client
            .describe_images()
            .registry_id(&self.account)
            .repository_name(repository)
            .image_ids(id)
            .send()
            .await;
        match asked {
            Ok(answer) => Ok(answer.image_details().iter().find_map(detail)),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DescribeImagesError::is_image_not_found_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(RegistryError::sort(
                "describe images of",
                &self.host,
                repository,
                &error,
            )),
        }
    }

    /// Describes a repository. `None` when it does not exist.
    pub async fn repository(&self, name: &str) -> Result<Option<RepositoryDetail>, RegistryError> {
        let asked = self
            .client
            .describe_repositories()
            .registry_id(&self.account)
            .repository_names(name)
            .send()
            .await
            .map_err(|error| {
                RegistryError::sort("describe the repository", &self.host, name, &error)
            });
        match asked {
            Ok(answer) => Ok(answer.repositories().first().map(repository)),
            Err(RegistryError::NoRepository { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Describes several repositories at once. A call for all of them would fail for one that does
    /// not exist, so there is one call each.
    pub async fn repositories(
        &self,
        names: &[String],
    ) -> BTreeMap<String, Result<Option<RepositoryDetail>, RegistryError>> {
        let calls = names
            .iter()
            .map(|name| async move { (name.clone(), self.repository(name).await) });
        join_all(calls).await.into_iter().collect()
    }

    /// Gives an image another tag, or moves the tag to it. Layers stay where they are.
    ///
    /// A tag that is there already is a success; whether it was is the answer.
    pub async fn put_tag(
        &self,
        repository: &str,
        image: &FoundImage,
        tag: &Tag,
    ) -> Result<TagChange, RegistryError> {
        let asked = self
            .client
            .put_image()
            .registry_id(&self.account)
            .repository_name(repository)
            .image_manifest(&image.manifest)
            .set_image_manifest_media_type(image.media_type.clone())
            .image_digest(image.digest.as_str())
            .image_tag(tag.as_str())
            .send()
            .await;
        let Err(error) = asked else {
            return Ok(TagChange::Moved);
        };
        match error.as_service_error() {
            // The message names the image that is there. Another one than ours means that the tag
            // was refused, in words that some stand-ins for ECR use.
            Some(PutImageError::ImageAlreadyExistsException(error))
                if Digest::find_in(error.message().unwrap_or_default())
                    .is_none_or(|there| there == image.digest) =>
            {
                Ok(TagChange::WasThere)
            }
            Some(
                PutImageError::ImageAlreadyExistsException(_)
                | PutImageError::ImageTagAlreadyExistsException(_),
            ) => Err(RegistryError::ImmutableTag {
                tag: tag.clone(),
                repository: repository.to_owned(),
            }),
            _ => Err(RegistryError::sort(
                "set a tag in",
                &self.host,
                repository,
                &error,
            )),
        }
    }

    /// Moves a tag to the image that another tag or digest of the same repository names: one call
    /// to read the manifest, one to write it back. Who has looked both tags up needs the second
    /// only: [`Self::put_tag`].
    pub async fn move_tag(
        &self,
        image: &ImageReference,
        tag: &Tag,
    ) -> Result<TagChange, RegistryError> {
        let id = match (image.digest(), image.tag()) {
            (Some(digest), _) => ImageIdentifier::builder()
                .image_digest(digest.as_str())
                .build(),
            (None, Some(from)) => by_tag(from),
            (None, None) => return Err(self.no_image(image)),
        };
        let found = self.image(image.repository(), id).await?;
        let found = found.ok_or_else(|| self.no_image(image))?;
        self.put_tag(image.repository(), &found, tag).await
    }

    fn no_image(&self, image: &ImageReference) -> RegistryError {
        let name = image
            .digest()
            .map(ToString::to_string)
            .or_else(|| image.tag().map(ToString::to_string));
        RegistryError::NoImage {
            image: name.unwrap_or_else(|| "without a tag".to_owned()),
            repository: image.repository().to_owned(),
            registry: self.host.clone(),
        }
    }
}

/// What a request to give a tag did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagChange {
    /// The tag names the image now and did not before.
    Moved,
    /// The tag named the image already.
    WasThere,
}

fn by_tag(tag: &Tag) -> ImageIdentifier {
    ImageIdentifier::builder().image_tag(tag.as_str()).build()
}

/// Finds each tag's image in the answer, and returns the tags that exist and whose image is not
/// clear: an image that has several of the tags may come with another of its names.
fn assign(
    tags: &[Tag],
    answer: &BatchGetImageOutput,
    images: &mut BTreeMap<Tag, FoundImage>,
) -> Vec<Tag> {
    let mut unnamed = Vec::new();
    for image in answer.images() {
        let Some(found) = content(image) else {
            continue;
        };
        let name = image.image_id().and_then(ImageIdentifier::image_tag);
        match tags.iter().find(|tag| Some(tag.as_str()) == name) {
            Some(tag) if !images.contains_key(tag) => {
                images.insert(tag.clone(), found);
            }
            _ => unnamed.push(found),
        }
    }
    let is_missing = |tag: &Tag| {
        answer.failures().iter().any(|failure| {
            let id = failure.image_id();
            id.and_then(ImageIdentifier::image_tag) == Some(tag.as_str())
        })
    };
    let mut unsolved: Vec<Tag> = tags
        .iter()
        .filter(|tag| !images.contains_key(*tag) && !is_missing(tag))
        .cloned()
        .collect();
    if let Some((first, others)) = unnamed.split_first()
        && others.iter().all(|other| other.digest == first.digest)
    {
        images.extend(unsolved.drain(..).map(|tag| (tag, first.clone())));
    }
    unsolved
}

fn content(image: &types::Image) -> Option<FoundImage> {
    Some(FoundImage {
        digest: image.image_id()?.image_digest()?.parse().ok()?,
        manifest: image.image_manifest()?.to_owned(),
        media_type: image.image_manifest_media_type().map(str::to_owned),
    })
}

fn detail(detail: &types::ImageDetail) -> Option<ImageDetail> {
    Some(ImageDetail {
        digest: detail.image_digest()?.parse().ok()?,
        tags: detail
            .image_tags()
            .iter()
            .filter_map(|tag| tag.parse().ok())
            .collect(),
        pushed_at: detail
            .image_pushed_at()
            .and_then(|at| Timestamp::from_second(at.secs()).ok()),
        media_type: detail.image_manifest_media_type().map(str::to_owned),
        size: detail
            .image_size_in_bytes()
            .and_then(|bytes| u64::try_from(bytes).ok()),
    })
}

fn repository(repository: &types::Repository) -> RepositoryDetail {
    let filters = || {
        repository
            .image_tag_mutability_exclusion_filters()
            .iter()
            .map(|filter| filter.filter().to_owned())
            .collect()
    };
    let mutability = match repository.image_tag_mutability() {
        Some(ImageTagMutability::Immutable) => Mutability::Immutable,
        Some(ImageTagMutability::ImmutableWithExclusion) => Mutability::ImmutableExcept(filters()),
        Some(ImageTagMutability::MutableWithExclusion) => Mutability::MutableExcept(filters()),
        // The API's default.
        _ => Mutability::Mutable,
    };
    RepositoryDetail {
        name: repository.repository_name().unwrap_or_default().to_owned(),
        uri: repository.repository_uri().unwrap_or_default().to_owned(),
        mutability,
    }
}

#[cfg(test)]
mod tests;
