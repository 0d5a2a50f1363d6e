//! Which image each service gets, and how it comes about: known before anything is made.

use std::collections::BTreeMap;
use std::fmt;

use futures::future::{join_all, try_join_all};
use serde::Serialize;

use super::nodes::{Nodes, parse};
use super::workshop::Workshop;
use crate::cli::ServiceImage;
use crate::commands::session::{Session, usage};
use crate::docker::image;
use crate::docker::{ContentTag, Platform, Source};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::project::contract::TagMutability;
use crate::project::{Build, Project, Service};
use crate::registry::{Digest, FoundImage, ImageReference, Lookup, Registry, RegistryError, Tag};

/// The image of one service.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::commands) struct ImagePlan {
    /// The service.
    pub(in crate::commands) name: String,
    /// The image under its tag.
    #[serde(rename = "image")]
    pub(in crate::commands) reference: ImageReference,
    /// What it is built for, when it is built here.
    pub(in crate::commands) platform: Option<Platform>,
    /// Whether it is built.
    pub(in crate::commands) builds: bool,
    /// Whether it is pushed.
    pub(in crate::commands) pushes: bool,
    /// The digest, when the registry has the image already.
    pub(in crate::commands) digest: Option<Digest>,
    /// The moving tag, when it is not at this image yet.
    pub(in crate::commands) moves_tag: Option<Tag>,
    /// How it comes about, when the registry does not have it.
    #[serde(skip)]
    pub(in crate::commands) made: Option<Made>,
    /// What the registry has, for moving the tag.
    #[serde(skip)]
    pub(in crate::commands) found: Option<FoundImage>,
}

/// How an image comes about.
#[derive(Debug)]
pub(in crate::commands) enum Made {
    /// From sources.
    Built(Box<BuildPlan>),
    /// By somebody else: it is in the Docker engine under this name.
    Named(ImageReference),
}

/// What is built.
#[derive(Debug)]
pub(in crate::commands) struct BuildPlan {
    pub(super) source: Source,
    pub(super) content: ContentTag,
    /// What the builder is given beside the sources: secrets, keys and caches.
    pub(super) with: Build,
}

impl fmt::Display for ImagePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reference.repository())?;
        match (self.reference.tag(), self.reference.digest()) {
            (Some(tag), _) => write!(f, ":{tag}"),
            (None, Some(digest)) => write!(f, "@{}", digest.short()),
            (None, None) => Ok(()),
        }
    }
}

/// What is asked for.
pub(in crate::commands) struct ImageRequest<'a> {
    pub(in crate::commands) session: &'a Session<'a>,
    pub(in crate::commands) project: &'a Project,
    pub(in crate::commands) registry: &'a Registry,
    pub(in crate::commands) workshop: &'a Workshop<'a>,
    /// What the nodes run.
    pub(in crate::commands) nodes: &'a Nodes,
    /// Images that were chosen by hand.
    pub(in crate::commands) images: &'a [ServiceImage],
    /// Whether sources are built at all. Else the workspace's tag says what is deployed, and where
    /// tags do not move, that of the sources.
    pub(in crate::commands) builds: bool,
}

/// Where the image of a service is to come from.
enum Wanted {
    Sources(Box<BuildPlan>),
    /// What the workspace's tag names.
    Moving(Tag),
    /// What was made of the sources as they are.
    MadeBefore(Tag),
    /// A tag or digest of the service's repository.
    Registry(ImageReference),
    /// An image in the engine, and the tag that it gets.
    Engine(ImageReference, Tag),
}

impl Wanted {
    /// The tag that is looked up.
    fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Sources(build) => Some(build.content.tag()),
            Self::Moving(tag) | Self::MadeBefore(tag) | Self::Engine(_, tag) => Some(tag),
            Self::Registry(reference) => reference.tag(),
        }
    }
}

/// Makes the plan: content tags, and one look-up for each repository.
pub(in crate::commands) async fn plan(
    request: &ImageRequest<'_>,
) -> Result<Vec<ImagePlan>, CommandError> {
    let project = request.project;
    for ServiceImage { service, .. } in request.images {
        if !project.services.iter().any(|known| known.name == *service) {
            return Err(CommandError::new(
                Exit::Usage,
                format!(
                    "--image names `{service}`, which is not among the services of this deploy"
                ),
            ));
        }
    }
    let moving = Tag::from_name(&project.workspace);
    let wanted = join_all(
        project
            .services
            .iter()
            .map(|service| wanted(request, service, moving.as_ref())),
    )
    .await;
    // The first in the order of the services, whichever failed first.
    let wanted: Vec<Wanted> = wanted.into_iter().collect::<Result<_, _>>()?;
    let found = look_up(request, &wanted, moving.as_ref()).await?;
    try_join_all(
        project
            .services
            .iter()
            .zip(wanted)
            .map(|(service, wanted)| settle(request, service, wanted, &found, moving.as_ref())),
    )
    .await
}

async fn wanted(
    request: &ImageRequest<'_>,
    service: &Service,
    moving: Option<&Tag>,
) -> Result<Wanted, CommandError> {
    let chosen = request.images.iter().rfind(|it| it.service == service.name);
    if let Some(ServiceImage { image, .. }) = chosen {
        return chosen_by_hand(request, service, image).await;
    }
    if request.builds {
        return Ok(Wanted::Sources(Box::new(sources(request, service).await?)));
    }
    if service.tag_mutability == TagMutability::Immutable {
        let build = sources(request, service).await;
        let build = build.map_err(|error| error.hint(by_hand(service)))?;
        return Ok(Wanted::MadeBefore(build.content.tag().clone()));
    }
    let workspace = &request.project.workspace;
    match moving {
        Some(tag) => Ok(Wanted::Moving(tag.clone())),
        None => Err(CommandError::new(
            Exit::Usage,
            format!("workspace `{workspace}` cannot be a tag"),
        )),
    }
}

/// How to deploy without a build where no tag says what the workspace runs.
fn by_hand(service: &Service) -> String {
    format!(
        "name an image that is in the registry: `--image {}={}:TAG`, or `…@DIGEST`",
        service.name, service.repository_url
    )
}

async fn chosen_by_hand(
    request: &ImageRequest<'_>,
    service: &Service,
    image: &ImageReference,
) -> Result<Wanted, CommandError> {
    if image.registry() == request.registry.host() {
        if image.repository() != service.repository {
            return Err(CommandError::new(
                Exit::Usage,
                format!(
                    "`{}` has the repository `{}`, and {image} is not of it",
                    service.name, service.repository
                ),
            )
            .hint("name an image of that repository, or one in the Docker engine"));
        }
        let latest = || Tag::from_name("latest").map(|tag| image.tagged(&tag));
        let named = image.tag().is_some() || image.digest().is_some();
        let image = Some(image.clone()).filter(|_| named).or_else(latest);
        return image
            .map(Wanted::Registry)
            .ok_or_else(|| CommandError::new(Exit::Unexpected, "`latest` is no tag"));
    }
    let docker = request.workshop.docker()?;
    let found = image::find(docker, image)
        .await
        .map_err(|error| CommandError::from_error(Exit::BuildOrPush, &error))?
        .ok_or_else(|| {
            CommandError::new(
                Exit::BuildOrPush,
                format!(
                    "the Docker engine has no image {image} for `{}`",
                    service.name
                ),
            )
            .hint(format!(
                "build it, or `docker pull {image}`, then run the command again"
            ))
        })?;
    request
        .nodes
        .check(service, std::slice::from_ref(&found.platform))?;
    let tag = Tag::from_name(&format!("image-{}", found.id.short()))
        .ok_or_else(|| CommandError::new(Exit::Unexpected, format!("{} is no tag", found.id)))?;
    Ok(Wanted::Engine(image.clone(), tag))
}

async fn sources(request: &ImageRequest<'_>, service: &Service) -> Result<BuildPlan, CommandError> {
    let session = request.session;
    let build = service
        .sources(&session.config, session.workspace.as_str())
        .map_err(|error| usage(&error))?;
    let platform = match (&build.platform, request.nodes.common()) {
        (Some(platform), _) => parse(platform)?,
        (None, Some(platform)) => platform.clone(),
        (None, None) => request.workshop.engine().await?.platform.clone(),
    };
    request
        .nodes
        .check(service, std::slice::from_ref(&platform))?;
    let source = Source {
        context: build.context.clone(),
        dockerfile: Some(build.dockerfile.clone()),
        target: build.target.clone(),
        build_args: build.args.clone(),
        platforms: vec![platform],
    };
    let content = ContentTag::of(&source)
        .await
        .map_err(|error| CommandError::from_error(Exit::BuildOrPush, &error))?;
    Ok(BuildPlan {
        source,
        content,
        with: build.clone(),
    })
}

/// Looks up what the registry has of the wanted tags and of the moving tag: one call for each
/// repository, and one for each digest that was named by hand.
async fn look_up(
    request: &ImageRequest<'_>,
    wanted: &[Wanted],
    moving: Option<&Tag>,
) -> Result<Found, CommandError> {
    let mut tags: BTreeMap<String, Vec<Tag>> = BTreeMap::new();
    let mut digests = Vec::new();
    for (service, wanted) in request.project.services.iter().zip(wanted) {
        if let Wanted::Registry(reference) = wanted
            && let Some(digest) = reference.digest()
        {
            digests.push((service.repository.as_str(), digest));
        }
        let known = tags.entry(service.repository.clone()).or_default();
        for tag in wanted.tag().into_iter().chain(moving) {
            if !known.contains(tag) {
                known.push(tag.clone());
            }
        }
    }
    let registry = request.registry;
    let (by_tag, by_digest) = tokio::join!(
        registry.look_up_all(&tags),
        join_all(
            digests
                .iter()
                .map(|(repository, digest)| registry.find_digest(repository, digest))
        )
    );
    let mut found = Found::default();
    for (repository, lookup) in by_tag {
        let lookup = lookup.map_err(|error| registry_error(&error))?;
        found.by_tag.insert(repository, lookup);
    }
    for image in by_digest {
        if let Some(image) = image.map_err(|error| registry_error(&error))? {
            found.by_digest.insert(image.digest.clone(), image);
        }
    }
    Ok(found)
}

/// What the registry has.
#[derive(Default)]
struct Found {
    by_tag: BTreeMap<String, Lookup>,
    by_digest: BTreeMap<Digest, FoundImage>,
}

impl Found {
    fn image(&self, service: &Service, wanted: &Wanted) -> Option<FoundImage> {
        if let Wanted::Registry(reference) = wanted
            && let Some(digest) = reference.digest()
        {
            return self.by_digest.get(digest).cloned();
        }
        let lookup = self.by_tag.get(&service.repository)?;
        lookup.images.get(wanted.tag()?).cloned()
    }

    fn digest(&self, service: &Service, tag: &Tag) -> Option<&Digest> {
        self.by_tag.get(&service.repository)?.digest(tag)
    }
}

async fn settle(
    request: &ImageRequest<'_>,
    service: &Service,
    wanted: Wanted,
    found: &Found,
    moving: Option<&Tag>,
) -> Result<ImagePlan, CommandError> {
    let image = found.image(service, &wanted);
    let base = ImageReference::new(request.registry.host(), &service.repository)
        .map_err(|error| CommandError::from_error(Exit::Usage, &error))?;
    let reference = match &wanted {
        Wanted::Registry(reference) => reference.clone(),
        other => other.tag().map_or(base.clone(), |tag| base.tagged(tag)),
    };
    // The platform of what was built here is part of its tag.
    let is_unknown = matches!(wanted, Wanted::Moving(_) | Wanted::Registry(_));
    let made = match wanted {
        _ if image.is_some() => None,
        Wanted::Sources(build) => Some(Made::Built(build)),
        Wanted::Engine(name, _) => Some(Made::Named(name)),
        Wanted::Moving(tag) => {
            return Err(CommandError::new(
                Exit::BuildOrPush,
                format!(
                    "repository `{}` has no image tagged `{tag}`",
                    service.repository
                ),
            )
            .hint("deploy without --no-build once"));
        }
        Wanted::MadeBefore(tag) => {
            return Err(CommandError::new(
                Exit::BuildOrPush,
                format!(
                    "repository `{}` has no image of the sources as they are (`{tag}`), and its \
                     tags do not move, so none says what the workspace runs",
                    service.repository
                ),
            )
            .hint("deploy without --no-build")
            .hint(by_hand(service)));
        }
        Wanted::Registry(reference) => {
            return Err(CommandError::new(
                Exit::BuildOrPush,
                format!("the registry has no image {reference}"),
            ));
        }
    };
    if let (true, Some(image)) = (is_unknown, &image) {
        let platforms = platforms(request, &base, image).await;
        request.nodes.check(service, &platforms)?;
    }
    let digest = image.as_ref().map(|image| image.digest.clone());
    let is_moved =
        digest.is_some() && moving.and_then(|tag| found.digest(service, tag)) == digest.as_ref();
    Ok(ImagePlan {
        name: service.name.clone(),
        reference,
        platform: match &made {
            Some(Made::Built(build)) => build.source.platforms.first().cloned(),
            _ => None,
        },
        builds: matches!(made, Some(Made::Built(_))),
        pushes: made.is_some(),
        digest,
        moves_tag: moving
            .filter(|_| !is_moved && service.tag_mutability == TagMutability::Mutable)
            .cloned(),
        made,
        found: image,
    })
}

/// What an image of the registry runs on, as far as its manifest or Docker can tell.
async fn platforms(
    request: &ImageRequest<'_>,
    repository: &ImageReference,
    image: &FoundImage,
) -> Vec<Platform> {
    let listed = image.platforms();
    if !listed.is_empty() || !request.nodes.are_known() {
        return listed.iter().filter_map(|it| it.parse().ok()).collect();
    }
    let Ok(docker) = request.workshop.docker() else {
        return Vec::new();
    };
    let asked = image::remote_platform(docker, &repository.pinned(&image.digest)).await;
    asked.into_iter().collect()
}

/// An error of the registry's API.
pub(in crate::commands) fn registry_error(error: &RegistryError) -> CommandError {
    let exit = match error {
        RegistryError::Aws(aws) if aws.cause().is_authentication() => Exit::AwsAuthentication,
        _ => Exit::BuildOrPush,
    };
    CommandError::from_error(exit, error).maybe_hint(error.hint())
}

#[cfg(test)]
mod tests;
