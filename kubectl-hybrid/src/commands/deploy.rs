//! `kubectl hybrid deploy`: from sources to running pods that pulled with the pull secret.
//!
//! What does not depend on each other runs at the same time. A plan comes first; what it says is
//! what is done.

mod apply;
mod moving_tag;
mod plan;
mod together;
mod view;

use serde::Serialize;

use super::held_lock;
use super::hooks::{self, Moment};
use super::images::Workshop;
use super::regcred::{self, Refresh, SecretReport};
use super::session::{Session, guard};
use crate::cli::{Deploy, Strategy};
use crate::error::CommandError;
use crate::exit::Exit;
use view::PlanView;

/// What `-o json` shows.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    workspace: &'a str,
    environment: &'a str,
    context: &'a str,
    namespace: &'a str,
    dry_run: bool,
    plan: PlanView<'a>,
    pull_secrets: Vec<SecretReport>,
    services: Vec<apply::ServiceReport>,
}

/// `kubectl hybrid deploy [SERVICE…]`.
pub(super) async fn run(session: &Session<'_>, flags: &Deploy) -> Result<Exit, CommandError> {
    if flags.atomic && flags.strategy == Strategy::Restart {
        return Err(CommandError::new(
            Exit::Usage,
            "--atomic needs --strategy digest: a tag that was moved leads back to nothing",
        ));
    }
    let line = session.ui.line("deploy");
    line.now("reads the contract");
    let (read, cluster) = tokio::join!(held_lock::contract(session), session.cluster());
    let (read, cluster) = (read?, cluster?);
    let project = session.project(&read, &flags.services)?;
    let admitted = guard(&cluster, &project)?;
    moving_tag::check(flags.strategy, &project)?;
    session.ui.step(
        "contract",
        format!(
            "{} in workspace {}, {} services",
            project.name,
            project.workspace,
            project.services.len()
        ),
    );
    session.ui.step(
        "cluster",
        format!(
            "context {} ({admitted}), namespace {}",
            cluster.context(),
            project.namespace
        ),
    );
    let workshop = Workshop::new(session, &project, flags.jobs.get());
    if !flags.no_build && !flags.dry_run {
        let context = Some(cluster.context());
        hooks::run(session, &project, context, &workshop, Moment::BeforeBuild).await?;
    }
    let refresh = Refresh {
        force: false,
        unstick: !flags.roll_out.no_unstick,
    };
    line.now("compares sources, registry and cluster");
    let (plan, mut secrets) = tokio::try_join!(
        plan::make(session, flags, &cluster, &project, &workshop),
        regcred::plan(session.ui, &cluster, &project, refresh),
    )?;
    for service in &plan.services {
        session.ui.step("plan", service);
    }
    let mut report = Report {
        workspace: &project.workspace,
        environment: &project.environment,
        context: cluster.context(),
        namespace: &project.namespace,
        dry_run: flags.dry_run,
        plan: PlanView::of(&plan.services, flags, |moment| {
            hooks::commands(session, moment)
        }),
        pull_secrets: Vec::new(),
        services: Vec::new(),
    };
    drop(line);
    if flags.dry_run {
        regcred::say_plans(session, &secrets);
        for hook in &report.plan.hooks {
            session.ui.step("plan", hook);
        }
        for unknown in &report.plan.unknown {
            session.ui.step("plan", format!("not known yet: {unknown}"));
        }
        report.plan.pull_secrets = &secrets;
        if session.ui.is_json() {
            session.ui.data(&report, String::new);
        }
        let refused = regcred::refused(&secrets);
        return first_error(session, refused.into_iter().map(Err).collect());
    }
    let todo = &mut secrets;
    let applied = apply::all(session, flags, &cluster, &project, &plan, &workshop, todo).await?;
    report.plan.pull_secrets = &secrets;
    report.pull_secrets = applied.secrets;
    let mut results: Vec<_> = applied.errors.into_iter().map(Err).collect();
    for (service, ended) in applied.services {
        report.services.push(service);
        results.push(ended);
    }
    if session.ui.is_json() {
        session.ui.data(&report, String::new);
    }
    let exit = first_error(session, results)?;
    for service in &report.services {
        if let Some(url) = &service.url {
            session.ui.step("serves", format!("{} {url}", service.name));
        }
    }
    Ok(exit)
}

/// The first of several errors ends the command; the others are said before it.
pub(super) fn first_error(
    session: &Session<'_>,
    ended: Vec<Result<(), CommandError>>,
) -> Result<Exit, CommandError> {
    let mut errors = ended.into_iter().filter_map(Result::err);
    let Some(first) = errors.next() else {
        return Ok(Exit::Ok);
    };
    for error in errors {
        session.ui.error(&error);
    }
    Err(first)
}
