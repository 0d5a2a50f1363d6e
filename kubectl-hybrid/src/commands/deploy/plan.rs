//! What a deploy will do: known before anything is changed.

use std::fmt;

use serde::Serialize;

use super::moving_tag;
use crate::cli::{Deploy, Strategy};
use crate::cluster::Cluster;
use crate::cluster::rollout::{Verdict, verdict};
use crate::cluster::workload::{self, ContainerPin, WorkloadState};
use crate::commands::images::{self, ImagePlan, ImageRequest, Nodes, Workshop};
use crate::commands::regcred::in_cluster;
use crate::commands::roll::workload_error;
use crate::commands::session::Session;
use crate::error::CommandError;
use crate::project::Project;
use crate::registry::Registry;
use crate::terraform::access::load_aws;

/// The whole plan.
pub(super) struct Plan {
    /// One for each service.
    pub(super) services: Vec<ServicePlan>,
    /// The registry's API.
    pub(super) registry: Registry,
    /// What the nodes run.
    pub(super) nodes: Nodes,
}

/// What is done with one service.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServicePlan {
    /// Its image.
    #[serde(flatten)]
    pub(super) image: ImagePlan,
    /// The containers that get the image.
    pub(super) containers: Vec<String>,
    /// The image that the workload runs now.
    pub(super) running: Option<String>,
    /// Whether the workload gets a new image. Unknown until the build is done.
    pub(super) rolls: Option<bool>,
    /// Whether its roll-out is waited for: one that begins, or one that is under way.
    pub(super) waits: bool,
    /// The workload as the plan found it.
    #[serde(skip)]
    pub(super) state: WorkloadState,
}

impl ServicePlan {
    /// Whether there is nothing to do and nothing to wait for.
    pub(super) fn is_settled(&self) -> bool {
        !self.waits && self.image.moves_tag.is_none()
    }

    /// What only the build or the push of its image tells, when it has to come first.
    pub(super) fn unknown(&self) -> Option<String> {
        if self.image.digest.is_some() {
            return None;
        }
        let name = &self.image.name;
        let what = match self.rolls {
            None => format!("the digest of {name}, and whether it rolls out"),
            Some(_) => format!("the digest of {name}"),
        };
        let when = if self.image.builds { "built" } else { "pushed" };
        Some(format!("{what}: known when it is {when}"))
    }
}

impl fmt::Display for ServicePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let image = &self.image;
        write!(f, "{} ", image.name)?;
        match (image.builds, image.pushes, self.rolls) {
            (true, ..) => write!(f, "is built and pushed as {image}")?,
            (false, true, _) => write!(f, "is pushed as {image}")?,
            (false, false, Some(false)) => f.write_str("is unchanged")?,
            (false, false, _) => write!(f, "is in the registry as {image}")?,
        }
        if let Some(tag) = &image.moves_tag {
            write!(f, ", tag {tag} moves to it")?;
        }
        match (self.rolls, self.waits) {
            (Some(true), _) => f.write_str(", rolls out"),
            (None, _) => f.write_str(", rolls out when its digest is a new one"),
            (Some(false), true) => f.write_str(", its roll-out is waited for"),
            (Some(false), false) => Ok(()),
        }
    }
}

/// Makes the plan: content tags, one look-up for each repository, one read of the workloads and of
/// the nodes.
pub(super) async fn make(
    session: &Session<'_>,
    flags: &Deploy,
    cluster: &Cluster,
    project: &Project,
    workshop: &Workshop<'_>,
) -> Result<Plan, CommandError> {
    let sdk = load_aws(None, Some(project.region.clone())).await;
    let registry = Registry::new(&sdk, &project.account, project.registry.host());
    let images = async {
        let nodes = Nodes::of(session, cluster).await?;
        let request = ImageRequest {
            session,
            project,
            registry: &registry,
            workshop,
            nodes: &nodes,
            images: &flags.images,
            builds: !flags.no_build,
        };
        let images = images::plan(&request).await?;
        Ok::<_, CommandError>((nodes, images))
    };
    let states = async {
        workload::read_all(cluster, project.services.iter().map(|it| &it.workload))
            .await
            .map_err(|error| in_cluster(&error))
    };
    let ((nodes, images), states) = tokio::try_join!(images, states)?;
    let mut services = Vec::new();
    for ((service, image), state) in project.services.iter().zip(images).zip(states) {
        let state = state.ok_or_else(|| {
            workload_error(&workload::WorkloadError::Missing {
                workload: service.workload.clone(),
            })
        })?;
        let containers = workload::containers_of(
            &state,
            &service.container,
            &service.repository_url,
            &service.claimed,
        );
        if flags.strategy == Strategy::Restart {
            moving_tag::check_pulled(&containers, &state)?;
        }
        let rolls = rolls(flags, &containers, &image, &state)?;
        services.push(ServicePlan {
            rolls,
            containers,
            running: state
                .container(&service.container)
                .map(|container| container.image.clone()),
            waits: rolls != Some(false) || verdict(&state) != Verdict::Complete,
            image,
            state,
        });
    }
    Ok(Plan {
        services,
        registry,
        nodes,
    })
}

fn rolls(
    flags: &Deploy,
    containers: &[String],
    image: &ImagePlan,
    state: &WorkloadState,
) -> Result<Option<bool>, CommandError> {
    match (&image.digest, flags.strategy) {
        (_, Strategy::Restart) => Ok(Some(true)),
        (None, Strategy::Digest) => Ok(None),
        (Some(digest), Strategy::Digest) => {
            let pins = pins_of(containers, &image.reference.pinned(digest).to_string());
            let plan = workload::plan_pin(state, &pins)
                .map_err(|refusal| workload_error(&refusal.into()))?;
            Ok(Some(!plan.changes.is_empty()))
        }
    }
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
