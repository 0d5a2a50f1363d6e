//! What a deploy will do: known before anything is changed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures::future::join_all;
use serde::Serialize;

use crate::cli::{Deploy, Strategy};
use crate::cluster::workload::{self, ContainerPin};
use crate::cluster::{Cluster, rollout};
use crate::commands::regcred::in_cluster;
use crate::commands::roll::workload_error;
use crate::commands::session::{Session, usage};
use crate::docker::{ContentTag, Docker, Engine, Platform, Source, Surroundings};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::project::contract::TagMutability;
use crate::project::{Build, Project, Service};
use crate::registry::{Digest, FoundImage, ImageReference, Lookup, Registry, RegistryError, Tag};
use crate::terraform::access::load_aws;

/// The whole plan.
pub(super) struct Plan {
    /// One for each service.
    pub(super) services: Vec<ServicePlan>,
    /// The registry's API.
    pub(super) registry: Registry,
}

/// What is done with one service.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServicePlan {
    pub(super) name: String,
    /// The image under its tag.
    pub(super) image: ImageReference,
    /// What is built, when the registry does not have it.
    #[serde(skip)]
    pub(super) build: Option<BuildPlan>,
    /// Whether it is built and pushed.
    pub(super) builds: bool,
    /// The digest, when the registry has the image already.
    pub(super) digest: Option<Digest>,
    /// The containers that get the image.
    pub(super) containers: Vec<String>,
    /// The image that the workload runs now.
    pub(super) running: Option<String>,
    /// Whether the workload gets a new image. Unknown until the build is done.
    pub(super) rolls: Option<bool>,
    /// Whether what the workload asks for runs already.
    #[serde(skip)]
    pub(super) complete: bool,
    /// The moving tag, when it is not at this image yet.
    pub(super) moves_tag: Option<Tag>,
    /// The image that the registry has, for moving the tag.
    #[serde(skip)]
    pub(super) found: Option<FoundImage>,
}

/// What is built.
#[derive(Debug, Clone)]
pub(super) struct BuildPlan {
    pub(super) source: Source,
    pub(super) content: ContentTag,
    /// What the builder is given beside the sources: secrets, keys and caches.
    pub(super) with: Build,
}

impl fmt::Display for ServicePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.name)?;
        match (self.builds, self.rolls) {
            (true, _) => write!(f, "is built and pushed as {}", Short(&self.image)),
            (false, Some(false)) => f.write_str("is unchanged"),
            (false, _) => write!(
                f,
                "is in the registry as {} and rolls out",
                Short(&self.image)
            ),
        }
    }
}

/// An image without its registry.
pub(super) struct Short<'a>(pub(super) &'a ImageReference);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.repository())?;
        match self.0.tag() {
            Some(tag) => write!(f, ":{tag}"),
            None => Ok(()),
        }
    }
}

/// Docker, and the engine that answers.
pub(super) async fn engine() -> Result<(Docker, Engine), CommandError> {
    let error = |error: &crate::docker::EngineError| {
        CommandError::from_error(Exit::BuildOrPush, error).maybe_hint(error.hint())
    };
    let docker = Docker::locate(&Arc::new(Surroundings::of_process())).map_err(|e| error(&e))?;
    let engine = docker.engine().await.map_err(|e| error(&e))?;
    Ok((docker, engine))
}

/// Makes the plan: content tags, one look-up for each repository, one read for each workload.
pub(super) async fn make(
    session: &Session<'_>,
    flags: &Deploy,
    cluster: &Cluster,
    project: &Project,
    engine: Option<&(Docker, Engine)>,
) -> Result<Plan, CommandError> {
    let moving = Tag::from_name(&project.workspace);
    let sdk = load_aws(None, Some(project.region.clone())).await;
    let registry = Registry::new(&sdk, &project.account, project.registry.host());
    let (builds, states) = tokio::join!(
        join_all(
            project
                .services
                .iter()
                .map(|service| build_plan(session, service, engine))
        ),
        workload::read_all(
            cluster,
            project.services.iter().map(|service| &service.workload)
        ),
    );
    let states = states.map_err(|error| in_cluster(&error))?;
    let builds: Vec<Option<BuildPlan>> = builds.into_iter().collect::<Result<_, _>>()?;
    let found = look_up(&registry, project, &builds, moving.as_ref()).await?;
    let mut services = Vec::new();
    for ((service, build), state) in project.services.iter().zip(builds).zip(states) {
        let state = state.ok_or_else(|| {
            workload_error(&workload::WorkloadError::Missing {
                workload: service.workload.clone(),
            })
        })?;
        let lookup = found.get(&service.repository);
        let tag = match (&build, &moving) {
            (Some(build), _) => build.content.tag().clone(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => {
                return Err(CommandError::new(
                    Exit::Usage,
                    format!("workspace `{}` cannot be a tag", project.workspace),
                ));
            }
        };
        let image = lookup.and_then(|lookup| lookup.images.get(&tag)).cloned();
        if build.is_none() && image.is_none() {
            return Err(CommandError::new(
                Exit::BuildOrPush,
                format!(
                    "repository `{}` has no image tagged `{tag}`",
                    service.repository
                ),
            )
            .hint("deploy without --no-build once"));
        }
        let reference = ImageReference::new(project.registry.host(), &service.repository)
            .map_err(|error| CommandError::from_error(Exit::Usage, &error))?
            .tagged(&tag);
        let digest = image.as_ref().map(|image| image.digest.clone());
        let containers = workload::containers_of(
            &state,
            &service.container,
            &service.repository_url,
            &service.claimed,
        );
        let rolls = match (&digest, flags.strategy) {
            (_, Strategy::Restart) => Some(true),
            (None, Strategy::Digest) => None,
            (Some(digest), Strategy::Digest) => {
                let pins = pins_of(&containers, &reference.pinned(digest).to_string());
                let plan = workload::plan_pin(&state, &pins)
                    .map_err(|refusal| workload_error(&refusal.into()))?;
                Some(!plan.changes.is_empty())
            }
        };
        let is_moved = digest.is_some()
            && moving
                .as_ref()
                .and_then(|tag| lookup.and_then(|lookup| lookup.digest(tag)))
                == digest.as_ref();
        services.push(ServicePlan {
            name: service.name.clone(),
            image: reference,
            builds: image.is_none(),
            build: build.filter(|_| image.is_none()),
            digest,
            containers,
            running: state
                .container(&service.container)
                .map(|container| container.image.clone()),
            rolls,
            complete: rollout::verdict(&state) == rollout::Verdict::Complete,
            moves_tag: moving
                .clone()
                .filter(|_| !is_moved && service.tag_mutability == TagMutability::Mutable),
            found: image,
        });
    }
    Ok(Plan { services, registry })
}

/// Looks up what the registry has of the content tags and of the moving tag: one call for each
/// repository.
async fn look_up(
    registry: &Registry,
    project: &Project,
    builds: &[Option<BuildPlan>],
    moving: Option<&Tag>,
) -> Result<BTreeMap<String, Lookup>, CommandError> {
    let mut wanted: BTreeMap<String, Vec<Tag>> = BTreeMap::new();
    for (service, build) in project.services.iter().zip(builds) {
        let tags = wanted.entry(service.repository.clone()).or_default();
        let content = build.as_ref().map(|build| build.content.tag());
        for tag in content.into_iter().chain(moving) {
            if !tags.contains(tag) {
                tags.push(tag.clone());
            }
        }
    }
    let found = registry.look_up_all(&wanted).await;
    found
        .into_iter()
        .map(|(repository, found)| Ok((repository, found.map_err(|error| registry_error(&error))?)))
        .collect()
}

/// The pins of a service's containers to one image.
pub(super) fn pins_of(containers: &[String], image: &str) -> Vec<ContainerPin> {
    containers
        .iter()
        .map(|container| ContainerPin {
            container: container.clone(),
            image: image.to_owned(),
        })
        .collect()
}

async fn build_plan(
    session: &Session<'_>,
    service: &Service,
    engine: Option<&(Docker, Engine)>,
) -> Result<Option<BuildPlan>, CommandError> {
    let Some((_, engine)) = engine else {
        return Ok(None);
    };
    let build = service
        .sources(&session.config, session.workspace.as_str())
        .map_err(|error| usage(&error))?;
    let platform: Platform = match &build.platform {
        Some(platform) => {
            platform
                .parse()
                .map_err(|error: crate::docker::platform::PlatformError| {
                    CommandError::from_error(Exit::Usage, &error)
                })?
        }
        None => engine.platform.clone(),
    };
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
    Ok(Some(BuildPlan {
        source,
        content,
        with: build.clone(),
    }))
}

/// An error of the registry's API.
pub(in crate::commands) fn registry_error(error: &RegistryError) -> CommandError {
    let exit = match error {
        RegistryError::Aws(aws) if aws.cause().is_authentication() => Exit::AwsAuthentication,
        _ => Exit::BuildOrPush,
    };
    CommandError::from_error(exit, error).maybe_hint(error.hint())
}
