//! Does what the plan says: each service goes its own way, and none waits for another.

use std::sync::Arc;
use std::time::Instant;

use futures::future::join_all;
use serde::Serialize;
use tokio::sync::{OnceCell, watch};

use super::plan::{BuildPlan, Plan, ServicePlan, Short, pins_of, registry_error};
use super::together::{Stop, Together};
use crate::cli::{Deploy, Strategy};
use crate::cluster::Cluster;
use crate::cluster::workload::{self, ContainerPin};
use crate::commands::regcred::{self, SecretPlan, SecretReport};
use crate::commands::roll::{self, Broken, Roll};
use crate::commands::rollback::short;
use crate::commands::session::Session;
use crate::docker::{self, BuildRequest, Builder, Docker, Login, Surroundings};
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

/// What the services share.
struct Shop<'a> {
    session: &'a Session<'a>,
    flags: &'a Deploy,
    cluster: &'a Cluster,
    project: &'a Project,
    plan: &'a Plan,
    tools: Option<(Docker, Builder)>,
    renewed: OnceCell<()>,
    /// How far the services of an atomic deploy are.
    together: Together,
}

/// Refreshes the pull secret and takes each service from its sources to ready pods.
pub(super) async fn all(
    session: &Session<'_>,
    flags: &Deploy,
    cluster: &Cluster,
    project: &Project,
    plan: &Plan,
    secrets: Vec<SecretPlan>,
) -> Result<(Vec<SecretReport>, Ended), CommandError> {
    let tools = if plan.builds() {
        Some(tools(flags, project).await?)
    } else {
        None
    };
    let shop = Shop {
        session,
        flags,
        cluster,
        project,
        plan,
        tools,
        renewed: OnceCell::new(),
        together: Together::new(flags.atomic, project.services.len()),
    };
    // Pods need the secret before they pull; builds do not wait for it.
    let (written, is_written) = watch::channel(None);
    let secret = async {
        let reports = regcred::apply(cluster, project, secrets).await;
        if let Ok(reports) = &reports {
            regcred::say(session, reports);
        }
        // Nobody listens any more when each service has ended already.
        let _ = written.send(Some(reports.is_ok()));
        reports
    };
    let services = join_all(
        project
            .services
            .iter()
            .zip(&plan.services)
            .map(|(service, planned)| shop.service(service, planned, is_written.clone())),
    );
    let (reports, mut ended) = tokio::join!(secret, services);
    if flags.atomic {
        let failed = ended.iter().any(|(_, ended)| ended.is_err());
        if failed {
            shop.go_back(&mut ended).await;
        } else {
            shop.move_tags(&mut ended).await;
        }
    }
    Ok((reports?, ended))
}

/// Docker with a login for the registry, and a builder.
async fn tools(flags: &Deploy, project: &Project) -> Result<(Docker, Builder), CommandError> {
    let own = std::env::current_exe()
        .map_err(|error| CommandError::from_error(Exit::Unexpected, &error))?;
    let surroundings = Surroundings::of_process();
    let login = Login::prepare(&surroundings, &own, &[project.registry.host().to_owned()])
        .map_err(|error| {
            CommandError::from_error(Exit::BuildOrPush, &error).maybe_hint(error.hint())
        })?;
    let docker = Docker::locate(&Arc::new(surroundings))
        .map_err(|error| {
            CommandError::from_error(Exit::BuildOrPush, &error).maybe_hint(error.hint())
        })?
        .with_login(Arc::new(login));
    let logs = super::log_folder().join(&project.name);
    let builder = Builder::new(docker.clone(), &logs, flags.jobs.get())
        .await
        .map_err(|error| CommandError::from_error(Exit::BuildOrPush, &error))?;
    Ok((docker, builder))
}

impl Shop<'_> {
    /// One service from its sources to ready pods.
    async fn service(
        &self,
        service: &Service,
        planned: &ServicePlan,
        secret: watch::Receiver<Option<bool>>,
    ) -> (ServiceReport, Result<(), CommandError>) {
        let started = Instant::now();
        let mut report = ServiceReport {
            name: service.name.clone(),
            image: planned.image.to_string(),
            digest: planned.digest.clone(),
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
        };
        let line = self.session.ui.line(&service.name);
        let ended = self
            .deliver(service, planned, secret, &line, &mut report)
            .await;
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
        }
    }

    async fn deliver(
        &self,
        service: &Service,
        planned: &ServicePlan,
        mut secret: watch::Receiver<Option<bool>>,
        line: &Line,
        report: &mut ServiceReport,
    ) -> Result<(), Stop> {
        let digest = match (&planned.build, &planned.digest, &self.tools) {
            (Some(build), _, Some(tools)) => {
                let digest = self
                    .build_and_push(service, planned, build, tools, line)
                    .await?;
                report.built = true;
                digest
            }
            (None, Some(digest), _) => digest.clone(),
            _ => {
                return Err(Stop::from(CommandError::new(
                    Exit::Unexpected,
                    format!(
                        "the plan for `{}` names neither a build nor a digest",
                        service.name
                    ),
                )));
            }
        };
        report.digest = Some(digest.clone());
        line.now("waits for the images of the other services");
        self.together.pushed().await?;
        if let Some(tag) = planned.moves_tag.as_ref().filter(|_| !self.flags.atomic) {
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
            _ => {
                return Err(Stop::from(CommandError::new(
                    Exit::RollOut,
                    format!(
                        "`{}` is not rolled out: the pull secret was not written",
                        service.name
                    ),
                )));
            }
        }
        if planned.rolls == Some(false) && planned.complete {
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
        let change_cause = format!("kubectl hybrid deploy {}", Short(&planned.image));
        let image = match self.flags.strategy {
            Strategy::Digest => planned.image.pinned(digest).to_string(),
            Strategy::Restart => format!("{}:{}", service.repository_url, self.project.workspace),
        };
        let pins = pins_of(&planned.containers, &image);
        let pinned = workload::pin(self.cluster, &service.workload, &pins, &change_cause)
            .await
            .map_err(|error| roll::workload_error(&error))?;
        report.rolled = !pinned.changes.is_empty();
        report.before = pinned
            .changes
            .into_iter()
            .map(|change| ContainerPin {
                container: change.container,
                image: change.from,
            })
            .collect();
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
            workload::restart(self.cluster, &service.workload, now, Some(&change_cause))
                .await
                .map_err(|error| roll::workload_error(&error))?;
            report.rolled = true;
        }
        let roll = self.roll_of(service, pins);
        let ended = self.together.unless_one_failed(roll.wait(line)).await?;
        match ended {
            Err(Broken::RefusedLogin(_)) => {
                self.renew_login().await?;
                let ended = self.together.unless_one_failed(roll.wait(line)).await?;
                ended.map_err(|broken| Stop::Failed(broken.into()))
            }
            ended => ended.map_err(|broken| Stop::Failed(broken.into())),
        }
    }

    fn roll_of<'a>(&'a self, service: &'a Service, expected: Vec<ContainerPin>) -> Roll<'a> {
        Roll {
            session: self.session,
            cluster: self.cluster,
            project: self.project,
            service: &service.name,
            workload: &service.workload,
            expected,
            timeout: self.flags.timeout,
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
                workload::pin(self.cluster, workload, before, change_cause)
                    .await
                    .map_err(|error| roll::workload_error(&error))?;
                let image = before.first().map(|pin| short(&pin.image));
                let step = format!("{workload} goes back to {}", image.unwrap_or_default());
                self.session.ui.step("roll-back", step);
                let roll = self.roll_of(service, before.clone());
                roll.wait(&line).await.map_err(CommandError::from)
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
            if let (Some(tag), Some(digest)) = (&planned.moves_tag, &report.digest)
                && let Err(error) = self.move_tag(service, planned, digest, tag).await
            {
                report.error = Some(error.to_string());
                *ended = Err(error);
            }
        }))
        .await;
    }

    /// A registry may refuse a login that looks alive. The secret gets a new one, once for all
    /// services, and the pods that were refused are recreated.
    async fn renew_login(&self) -> Result<(), CommandError> {
        self.renewed
            .get_or_try_init(|| async {
                let plans = regcred::plan(self.cluster, self.project, true).await?;
                let reports = regcred::apply(self.cluster, self.project, plans).await?;
                regcred::say(self.session, &reports);
                Ok::<_, CommandError>(())
            })
            .await
            .copied()?;
        // Those that were refused after the first renewal began.
        regcred::wake(self.cluster, self.project).await
    }

    async fn build_and_push(
        &self,
        service: &Service,
        planned: &ServicePlan,
        build: &BuildPlan,
        (docker, builder): &(Docker, Builder),
        line: &Line,
    ) -> Result<Digest, CommandError> {
        let mut request = BuildRequest::new(&service.name, build.source.clone());
        request.content = Some(build.content.clone());
        request.tags = vec![planned.image.clone()];
        request.folder = Some(self.session.config.root.clone());
        request.secrets.clone_from(&build.with.secrets);
        request.ssh.clone_from(&build.with.ssh);
        request.cache_from.clone_from(&build.with.cache_from);
        request.cache_to.clone_from(&build.with.cache_to);
        self.session.ui.step(
            "build",
            format!("{} from {}", service.name, build.source.context.display()),
        );
        line.now("waits for its turn to build");
        let show = Arc::new(line.follow("builds"));
        let image = builder.build(&request, Some(show)).await.map_err(|error| {
            let mut failed = CommandError::from_error(Exit::BuildOrPush, &error);
            if let Some(failure) = error.failure() {
                for line in &failure.tail {
                    failed = failed.hint(line.trim_end());
                }
            }
            failed
        })?;
        self.session.ui.step(
            "built",
            format!(
                "{} in {:.1}s, log {}",
                service.name,
                image.elapsed.as_secs_f64(),
                image.log.display()
            ),
        );
        let log = builder.log_of(&format!("{}-push", service.name));
        line.now("pushes");
        let show = Arc::new(line.follow("pushes"));
        let pushed = docker::push(docker, &planned.image, Some(&log), Some(show))
            .await
            .map_err(|error| {
                CommandError::from_error(Exit::BuildOrPush, &error).maybe_hint(error.hint())
            })?;
        self.session.ui.step(
            "pushed",
            format!(
                "{} {} in {:.1}s",
                service.name,
                pushed.digest.short(),
                pushed.elapsed.as_secs_f64()
            ),
        );
        Ok(pushed.digest)
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
        let moved = match &planned.found {
            Some(image) => registry.put_tag(&service.repository, image, tag).await,
            None => registry.move_tag(&planned.image.pinned(digest), tag).await,
        };
        moved.map(drop).map_err(|error| registry_error(&error))
    }
}
