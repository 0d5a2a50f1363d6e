//! `kubectl hybrid rollback`: what a service can go back to, and going back.

mod candidate;
mod plan;

use std::fmt::Write as _;

use futures::future::{join_all, try_join_all};
use serde::Serialize;

use super::regcred::{self, Refresh, SecretReport, in_cluster};
use super::renewal::Renewal;
use super::roll::{self, Roll};
use super::session::{Session, guard};
use super::settings;
use crate::cli::Rollback;
use crate::cluster::Cluster;
use crate::cluster::workload::{self, ContainerPin, PinChange, WorkloadError, WorkloadState};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::project::{Project, Service};
use crate::registry::{ImageReference, Registry, Tag};
use crate::terraform::access::load_aws;
use crate::ui::table;
pub(super) use candidate::short;
use candidate::{Candidate, Wanted};
use plan::Plan;

/// A service and what it can go back to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Choices {
    service: String,
    namespace: String,
    workload: String,
    /// Newest first.
    candidates: Vec<Candidate>,
}

/// What going back did, or would do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    service: &'a str,
    namespace: &'a str,
    workload: String,
    dry_run: bool,
    to: &'a Candidate,
    changes: Vec<PinChange>,
    plan: Plan,
    pull_secrets: Vec<SecretReport>,
    moved_tag: Option<Tag>,
}

/// `kubectl hybrid rollback [SERVICE] [--to REV|DIGEST]`.
pub(super) async fn run(session: &Session<'_>, flags: &Rollback) -> Result<Exit, CommandError> {
    let (read, cluster) = tokio::try_join!(session.contract(), session.cluster())?;
    let services: Vec<String> = flags.service.iter().cloned().collect();
    let project = session.project(&read, &services)?;
    guard(&cluster, &project)?;
    let sdk = load_aws(None, Some(project.region.clone())).await;
    let registry = Registry::new(&sdk, &project.account, project.registry.host());
    let found = try_join_all(
        project
            .services
            .iter()
            .map(|service| candidates(session, &cluster, &registry, service)),
    )
    .await?;
    if let (Some(to), Some(service), Some((state, candidates))) =
        (&flags.to, project.services.first(), found.first())
    {
        let wanted = Wanted::parse(to, candidates)?;
        let chosen = wanted.resolve(&registry, service, candidates).await?;
        let to = Going {
            session,
            flags,
            cluster: &cluster,
            project: &project,
            registry: &registry,
            service,
            state,
        };
        return to.go(&chosen).await;
    }
    let choices: Vec<Choices> = project
        .services
        .iter()
        .zip(found)
        .map(|(service, (_, candidates))| Choices {
            service: service.name.clone(),
            namespace: service.workload.namespace.clone(),
            workload: service.workload.to_string(),
            candidates,
        })
        .collect();
    session.ui.data(&choices, || text(&choices));
    if let (false, Some(hint)) = (session.ui.is_json(), hint(&choices)) {
        session.ui.hint(hint);
    }
    Ok(Exit::Ok)
}

/// What the cluster remembers, with what the registry says of each image.
async fn candidates(
    session: &Session<'_>,
    cluster: &Cluster,
    registry: &Registry,
    service: &Service,
) -> Result<(WorkloadState, Vec<Candidate>), CommandError> {
    let state = workload::read(cluster, &service.workload)
        .await
        .map_err(|error| in_cluster(&error))?
        .ok_or_else(|| {
            roll::workload_error(&WorkloadError::Missing {
                workload: service.workload.clone(),
            })
        })?;
    let revisions = workload::history(cluster, &state)
        .await
        .map_err(|error| in_cluster(&error))?;
    let asked = join_all(
        revisions
            .iter()
            .map(|revision| candidate::of(registry, service, revision)),
    )
    .await;
    let mut candidates = Vec::new();
    let mut silent = None;
    for (candidate, error) in asked {
        candidates.push(candidate);
        silent = silent.or(error);
    }
    if let Some(error) = silent {
        session.ui.warn(format!(
            "whether the images of `{}` still exist is not known: {error}",
            service.name
        ));
    }
    Ok((state, candidates))
}

/// Going back, with all that it needs.
struct Going<'a> {
    session: &'a Session<'a>,
    flags: &'a Rollback,
    cluster: &'a Cluster,
    project: &'a Project,
    registry: &'a Registry,
    service: &'a Service,
    state: &'a WorkloadState,
}

impl Going<'_> {
    async fn go(&self, to: &Candidate) -> Result<Exit, CommandError> {
        let (session, service) = (self.session, self.service);
        let workload = &service.workload;
        let pins: Vec<ContainerPin> = workload::containers_of(
            self.state,
            &service.container,
            &service.repository_url,
            &service.claimed,
        )
        .into_iter()
        .map(|container| ContainerPin {
            container,
            image: to.image.clone(),
        })
        .collect();
        let pin = workload::plan_pin(self.state, &pins)
            .map_err(|refusal| roll::workload_error(&refusal.into()))?;
        for change in &pin.changes {
            session.ui.step(
                "plan",
                format!(
                    "{workload}, container {}: {} instead of {}",
                    change.container,
                    short(&change.to),
                    short(&change.from)
                ),
            );
        }
        if pin.changes.is_empty() {
            let step = format!("{workload} has {} already", short(&to.image));
            session.ui.step("plan", step);
        }
        let refresh = Refresh {
            force: false,
            unstick: !self.flags.roll_out.no_unstick,
        };
        let (pull_secrets, moving) = tokio::join!(
            regcred::plan(session.ui, self.cluster, self.project, refresh),
            plan::moving_tag(self.project, self.registry, service, to),
        );
        let mut report = Report {
            service: &service.name,
            namespace: &workload.namespace,
            workload: workload.to_string(),
            dry_run: self.flags.dry_run,
            to,
            changes: pin.changes,
            plan: Plan {
                pull_secrets: pull_secrets?,
                moves_tag: moving.as_ref().map(|(_, tag)| tag.clone()),
            },
            pull_secrets: Vec::new(),
            moved_tag: None,
        };
        if let Some(tag) = &report.plan.moves_tag {
            let step = format!("tag {tag} moves to {}", short(&to.image));
            session.ui.step("plan", step);
        }
        let ended = if self.flags.dry_run {
            regcred::say_plans(session, &report.plan.pull_secrets);
            regcred::ended(session.ui, regcred::refused(&report.plan.pull_secrets)).map(drop)
        } else {
            self.apply(to, pins, moving, &mut report).await
        };
        if session.ui.is_json() {
            session.ui.data(&report, String::new);
        }
        ended.map(|()| Exit::Ok)
    }

    async fn apply(
        &self,
        to: &Candidate,
        pins: Vec<ContainerPin>,
        moving: Option<(ImageReference, Tag)>,
        report: &mut Report<'_>,
    ) -> Result<(), CommandError> {
        let (session, cluster, service) = (self.session, self.cluster, self.service);
        // The image may be gone from the node by now.
        self.refresh(report).await?;
        // The number changes by going back to it; the image does not.
        let image = to
            .tag
            .as_ref()
            .map_or_else(|| to.to_string(), ToString::to_string);
        let change_cause = format!("kubectl hybrid rollback {} to {image}", service.name);
        let pinned = workload::pin(cluster, &service.workload, None, &pins, &change_cause)
            .await
            .map_err(|error| roll::workload_error(&error))?;
        let line = session.ui.line(&service.name);
        let roll = Roll {
            session,
            cluster,
            project: self.project,
            service: &service.name,
            workload: &service.workload,
            expected: pins,
            timeout: settings::timeout(session, self.flags.roll_out.timeout),
        };
        let renewal = Renewal::new(session, cluster, self.project, self.flags.roll_out);
        let ended = renewal.wait(&roll, pinned.changed(), &line).await;
        if let Some(renewed) = renewal.into_reports() {
            report.pull_secrets = renewed;
        }
        ended?;
        if let Some((image, tag)) = moving {
            match self.registry.move_tag(&image, &tag).await {
                Ok(_) => report.moved_tag = Some(tag),
                Err(error) => session.ui.warn(format!(
                    "{} runs, but tag `{tag}` still names another image: {error}",
                    service.workload
                )),
            }
        }
        Ok(())
    }

    async fn refresh(&self, report: &mut Report<'_>) -> Result<(), CommandError> {
        let plans = &mut report.plan.pull_secrets;
        let done = regcred::apply(self.cluster, self.project, plans).await;
        regcred::say(self.session, &done.reports);
        report.pull_secrets = done.reports;
        regcred::ended(self.session.ui, done.failed)?;
        Ok(())
    }
}

/// How the first service that can goes back.
fn hint(choices: &[Choices]) -> Option<String> {
    choices.iter().find_map(|choice| {
        let to = candidate::newest_older(&choice.candidates)?;
        Some(format!(
            "go back with `kubectl hybrid rollback {} --to {to}`",
            choice.service
        ))
    })
}

fn text(choices: &[Choices]) -> String {
    let mut text = String::new();
    for choice in choices {
        if !text.is_empty() {
            text.push('\n');
        }
        let rows: Vec<Vec<String>> = choice.candidates.iter().map(Candidate::row).collect();
        let _ = writeln!(text, "{} ({})", choice.service, choice.workload);
        text.push_str(&table(&Candidate::COLUMNS, &rows));
    }
    text
}
