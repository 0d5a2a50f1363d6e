//! Does what the plan says: each service goes its own way, and none waits for another.

use std::time::Instant;

use futures::future::join_all;
use serde::Serialize;
use tokio::sync::watch;

use super::moving_tag;
use super::plan::{Plan, ServicePlan, pins_of};
use super::together::{Stop, Together};
use super::view;
use crate::cli::{Deploy, Strategy};
use crate::cluster::Cluster;
use crate::cluster::workload::{self, ContainerPin};
use crate::commands::hooks::{self, Moment};
use crate::commands::images::{Workshop, registry_error};
use crate::commands::regcred::{self, SecretPlan, SecretReport};
use crate::commands::renewal::Renewal;
use crate::commands::roll::{self, Roll};
use crate::commands::rollback::short;
use crate::commands::session::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::project::{Project, Service};
use crate::registry::{Digest, Tag};
use crate::ui::Line;

/// What became of a service.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceReport {
    pub(super) name: String,
    /// The image under its tag.
    image: String,
    /// The digest that runs now.
    digest: Option<Digest>,
    /// Whether it was built and pushed.
    built: bool,
    /// Whether its workload got a new template.
    rolled: bool,
    /// Whether it went back because a service of an atomic deploy failed.
    rolled_back: bool,
    /// What it ran before.
    #[serde(skip)]
    before: Vec<ContainerPin>,
    /// How long it took, in milliseconds.
    elapsed_ms: u128,
    /// Where it answers.
    pub(super) url: Option<String>,
    /// Why it failed.
    error: Option<String>,
}

type Ended = Vec<(ServiceReport, Result<(), CommandError>)>;

/// What became of all of it.
pub(super) struct Applied {
    pub(super) secrets: Vec<SecretReport>,
    pub(super) services: Ended,
    /// What failed beside the services.
    pub(super) errors: Vec<CommandError>,
}

/// What the services share.
struct Shop<'a> {
    session: &'a Session<'a>,
    flags: &'a Deploy,
    cluster: &'a Cluster,
    project: &'a Project,
    plan: &'a Plan,
    workshop: &'a Workshop<'a>,
    renewal: Renewal<'a>,
    /// How far the services of an atomic deploy are.
    together: Together,
}

/// A service whose image is in the registry, or is not.
struct Made<'a> {
    service: &'a Service,
    planned: &'a ServicePlan,
    started: Instant,
    line: Line,
    report: ServiceReport,
    digest: Result<Digest, CommandError>,
}

/// Refreshes the pull secret and takes each service from its sources to ready pods. What is done is
/// told whatever else failed; an error means that nothing was done.
pub(super) async fn all(
    session: &Session<'_>,
    flags: &Deploy,
    cluster: &Cluster,
    project: &Project,
    plan: &Plan,
    workshop: &Workshop<'_>,
    secrets: &mut [SecretPlan],
) -> Result<Applied, CommandError> {
    let shop = Shop {
        session,
        flags,
        cluster,
        project,
        plan,
        workshop,
        renewal: Renewal::new(session, cluster, project, flags.roll_out),
        together: Together::new(flags.atomic, project.services.len()),
    };
    // Pods need the secret before they pull; builds do not wait for it. Without an engine all of it
    // ends before the secret is written.
    let (written, is_written) = watch::channel(None);
    let secret = async {
        let images = plan.services.iter().map(|planned| &planned.image);
        workshop.open(images).await?;
        let done = regcred::apply(cluster, project, secrets).await;
        regcred::say(session, &done.reports);
        // Nobody listens any more when each service has ended already.
        let _ = written.send(Some(done.failed.is_empty()));
        Ok::<_, CommandError>(done)
    };
    let services = async { Ok(shop.services(&is_written).await) };
    let (done, ended) = tokio::try_join!(secret, services)?;
    let mut ended = ended?;
    if flags.atomic {
        let failed = !done.failed.is_empty() || ended.iter().any(|(_, ended)| ended.is_err());
        if failed {
            shop.go_back(&mut ended).await;
        } else {
            shop.move_tags(&mut ended).await;
        }
    }
    let (mut secrets, mut errors) = (done.reports, done.failed);
    let all_well = errors.is_empty() && ended.iter().all(|(_, result)| result.is_ok());
    if all_well && ended.iter().any(|(report, _)| report.rolled) {
        errors.extend(shop.hook(Moment::AfterDeploy).await.err());
    }
    if let Some(renewed) = shop.renewal.into_reports() {
        secrets = renewed;
    }
    Ok(Applied {
        secrets,
        services: ended,
        errors,
    })
}

impl Shop<'_> {
    /// Each service on its own way. Hooks between image and roll-out make all wait for the last
    /// image.
    async fn services(
        &self,
        secret: &watch::Receiver<Option<bool>>,
    ) -> Result<Ended, CommandError> {
        let pairs = self.project.services.iter().zip(&self.plan.services);
        let is_hooked = |moment| !hooks::commands(self.session, moment).is_empty();
        if !is_hooked(Moment::AfterBuild) && !is_hooked(Moment::BeforeDeploy) {
            return Ok(join_all(pairs.map(|(service, planned)| async {
                let made = self.image(service, planned).await;
                self.finish(made, secret.clone()).await
            }))
            .await);
        }
        let mut made = join_all(pairs.map(|(service, planned)| self.image(service, planned))).await;
        if made.iter().all(|made| made.digest.is_ok()) {
            if view::builds(&self.plan.services) {
                self.hook(Moment::AfterBuild).await?;
            }
            if view::may_roll(&self.plan.services) {
                self.hook(Moment::BeforeDeploy).await?;
            }
        } else {
            for made in &mut made {
                if made.digest.is_ok() && !made.planned.is_settled() {
                    let why = format!(
                        "`{}` is not rolled out: hooks run when every image is in the registry",
                        made.service.name
                    );
                    made.digest = Err(CommandError::new(Exit::BuildOrPush, why));
                }
            }
        }
        let finished = made
            .into_iter()
            .map(|made| self.finish(made, secret.clone()));
        Ok(join_all(finished).await)
    }

    async fn hook(&self, moment: Moment) -> Result<(), CommandError> {
        let context = Some(self.cluster.context());
        hooks::run(self.session, self.project, context, self.workshop, moment).await
    }

    /// Sees to it that the image of a service is in the registry.
    async fn image<'s>(&self, service: &'s Service, planned: &'s ServicePlan) -> Made<'s> {
        let mut made = Made {
            service,
            planned,
            started: Instant::now(),
            line: self.session.ui.line(&service.name),
            report: ServiceReport {
                name: service.name.clone(),
                image: planned.image.reference.to_string(),
                digest: planned.image.digest.clone(),
                built: false,
                rolled: false,
                rolled_back: false,
                before: Vec::new(),
                elapsed_ms: 0,
                url: service
                    .port
                    .as_ref()
                    .and_then(|port| port.node_port)
                    .map(|port| format!("http://127.0.0.1:{port}/")),
                error: None,
            },
            digest: Err(CommandError::new(
                Exit::Unexpected,
                format!(
                    "the plan for `{}` names neither a build nor a digest",
                    service.name
                ),
            )),
        };
        let image = &planned.image;
        made.digest = match (&image.made, &image.digest) {
            (Some(way), _) => match self.workshop.make(image, way, &[], &made.line).await {
                Ok(()) => {
                    made.report.built = image.builds;
                    let nodes = &self.plan.nodes;
                    let pushed = self.workshop.push(image, nodes, &made.line).await;
                    pushed.map(|pushed| pushed.digest)
                }
                Err(error) => Err(error),
            },
            (None, Some(digest)) => Ok(digest.clone()),
            (None, None) => made.digest,
        };
        made
    }

    /// One service from its image to ready pods.
    async fn finish(
        &self,
        made: Made<'_>,
        secret: watch::Receiver<Option<bool>>,
    ) -> (ServiceReport, Result<(), CommandError>) {
        let Made {
            service,
            planned,
            started,
            line,
            mut report,
            digest,
        } = made;
        let ended = match digest {
            Ok(digest) => {
                self.deliver(service, planned, digest, secret, &line, &mut report)
                    .await
            }
            Err(error) => Err(Stop::Failed(error)),
        };
        report.elapsed_ms = started.elapsed().as_millis();
        match ended {
            Ok(()) => (report, Ok(())),
            Err(Stop::Failed(error)) => {
                self.together.failed();
                report.error = Some(error.to_string());
                (report, Err(error))
            }
            // The one that failed says why.
            Err(Stop::WithOthers) => {
                report.error = Some("stopped, because another service failed".to_owned());
                (report, Ok(()))
            }
            Err(Stop::WithoutSecret) => {
                let why = "not rolled out, because the pull secret was not written";
                report.error = Some(why.to_owned());
                (report, Ok(()))
            }
        }
    }

    async fn deliver(
        &self,
        service: &Service,
        planned: &ServicePlan,
        digest: Digest,
        mut secret: watch::Receiver<Option<bool>>,
        line: &Line,
        report: &mut ServiceReport,
    ) -> Result<(), Stop> {
        report.digest = Some(digest.clone());
        line.now("waits for the images of the other services");
        self.together.pushed().await?;
        // Before the roll-out, so that a deploy that is killed leaves no image that the tag does not
        // name. The tags of an atomic deploy move when everything runs.
        if let Some(tag) = planned
            .image
            .moves_tag
            .as_ref()
            .filter(|_| !self.flags.atomic)
        {
            line.now(format!("moves tag {tag}"));
            self.move_tag(service, planned, &digest, tag).await?;
        }
        line.now("waits for the pull secret");
        // The sender lives until the secret is written, or its failure known.
        match secret
            .wait_for(Option::is_some)
            .await
            .map(|written| *written)
        {
            Ok(Some(true)) => {}
            _ => return Err(Stop::WithoutSecret),
        }
        // The cluster's may be as dead.
        if self.workshop.token_was_refused() {
            line.now("renews the pull secret");
            self.renewal.renew().await?;
        }
        if !planned.waits {
            return Ok(());
        }
        self.roll(service, planned, &digest, line, report).await
    }

    /// Gives the workload the image and waits for its pods.
    async fn roll(
        &self,
        service: &Service,
        planned: &ServicePlan,
        digest: &Digest,
        line: &Line,
        report: &mut ServiceReport,
    ) -> Result<(), Stop> {
        let change_cause = format!("kubectl hybrid deploy {}", planned.image);
        let image = match self.flags.strategy {
            Strategy::Digest => planned.image.reference.pinned(digest).to_string(),
            Strategy::Restart => moving_tag::image(self.project, service)?,
        };
        let pins = pins_of(&planned.containers, &image);
        let (cluster, workload) = (self.cluster, &service.workload);
        let pinned = workload::pin(
            cluster,
            workload,
            Some(&planned.state),
            &pins,
            &change_cause,
        )
        .await
        .map_err(|error| roll::workload_error(&error))?;
        report.before = pinned
            .changes
            .iter()
            .map(|change| ContainerPin {
                container: change.container.clone(),
                image: change.from.clone(),
            })
            .collect();
        let mut changed = pinned.changed();
        report.rolled = changed.is_some();
        if report.rolled {
            self.session.ui.step(
                "roll-out",
                format!(
                    "{} gets {} {}",
                    service.workload,
                    service.repository,
                    digest.short()
                ),
            );
        } else if self.flags.strategy == Strategy::Restart {
            let now = jiff::Timestamp::now();
            let restarted = workload::restart(cluster, workload, now, Some(&change_cause))
                .await
                .map_err(|error| roll::workload_error(&error))?;
            changed = Some(restarted);
            report.rolled = true;
        }
        let roll = self.roll_of(service, pins);
        let ended = Box::pin(self.renewal.wait(&roll, changed, line));
        self.together.unless_one_failed(ended).await??;
        Ok(())
    }

    fn roll_of<'a>(&'a self, service: &'a Service, expected: Vec<ContainerPin>) -> Roll<'a> {
        Roll {
            session: self.session,
            cluster: self.cluster,
            project: self.project,
            service: &service.name,
            workload: &service.workload,
            expected,
            timeout: self.flags.roll_out.timeout,
        }
    }

    /// Gives each service that was rolled what it ran before.
    async fn go_back(&self, ended: &mut Ended) {
        let all = ended
            .iter_mut()
            .zip(&self.project.services)
            .filter(|((report, _), _)| !report.before.is_empty());
        join_all(all.map(|((report, _), service)| async {
            let line = self.session.ui.line(&service.name);
            let change_cause = "kubectl hybrid deploy --atomic: back, because a service failed";
            let (workload, before) = (&service.workload, &report.before);
            let gone_back = async {
                let pinned = workload::pin(self.cluster, workload, None, before, change_cause)
                    .await
                    .map_err(|error| roll::workload_error(&error))?;
                let image = before.first().map(|pin| short(&pin.image));
                let step = format!("{workload} goes back to {}", image.unwrap_or_default());
                self.session.ui.step("roll-back", step);
                let roll = self.roll_of(service, before.clone());
                self.renewal.wait(&roll, pinned.changed(), &line).await
            };
            match gone_back.await {
                Ok(()) => report.rolled_back = true,
                Err(error) => self.session.ui.error(&error),
            }
        }))
        .await;
    }

    /// Moves the tags of an atomic deploy, once everything runs.
    async fn move_tags(&self, ended: &mut Ended) {
        let all = ended
            .iter_mut()
            .zip(self.project.services.iter().zip(&self.plan.services));
        join_all(all.map(|((report, ended), (service, planned))| async move {
            if let (Some(tag), Some(digest)) = (&planned.image.moves_tag, &report.digest)
                && let Err(error) = self.move_tag(service, planned, digest, tag).await
            {
                report.error = Some(error.to_string());
                *ended = Err(error);
            }
        }))
        .await;
    }

    /// Moves the workspace's tag to the image, where the repository lets tags move.
    async fn move_tag(
        &self,
        service: &Service,
        planned: &ServicePlan,
        digest: &Digest,
        tag: &Tag,
    ) -> Result<(), CommandError> {
        let registry = &self.plan.registry;
        let moved = match &planned.image.found {
            Some(image) => registry.put_tag(&service.repository, image, tag).await,
            None => {
                registry
                    .move_tag(&planned.image.reference.pinned(digest), tag)
                    .await
            }
        };
        moved.map(drop).map_err(|error| registry_error(&error))
    }
}
