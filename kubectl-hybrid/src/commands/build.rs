//! `kubectl hybrid build`: images alone, without a roll-out.

mod extra;

use std::time::Instant;

use futures::future::join_all;
use serde::Serialize;

use super::deploy::first_error;
use super::hooks::{self, Moment, PlannedHook};
use super::images::{self, ImagePlan, ImageRequest, Nodes, Workshop};
use super::session::Session;
use crate::cli::Build;
use crate::docker::Platform;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::registry::{Digest, ImageReference, Registry};
use crate::terraform::access::load_aws;

/// What `-o json` shows.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    workspace: &'a str,
    environment: &'a str,
    dry_run: bool,
    plan: Vec<Planned<'a>>,
    /// The hooks that run, in their order.
    hooks: Vec<PlannedHook>,
    services: Vec<ServiceReport>,
}

/// What is done with a service. No tag moves: that is part of a deploy.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Planned<'a> {
    name: &'a str,
    /// The image under its tag.
    image: &'a ImageReference,
    /// What it is built for, when it is built.
    platform: Option<&'a Platform>,
    builds: bool,
    pushes: bool,
    /// The digest, when the registry has the image already.
    digest: Option<&'a Digest>,
}

impl<'a> Planned<'a> {
    fn of(image: &'a ImagePlan, push: bool) -> Self {
        Self {
            name: &image.name,
            image: &image.reference,
            platform: image.platform.as_ref(),
            builds: image.builds,
            pushes: image.pushes && push,
            digest: image.digest.as_ref(),
        }
    }
}

/// What became of a service.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceReport {
    name: String,
    /// The image under its tag.
    image: String,
    /// The digest in the registry.
    digest: Option<Digest>,
    built: bool,
    pushed: bool,
    /// How long it took, in milliseconds.
    elapsed_ms: u128,
    /// Why it failed.
    error: Option<String>,
}

/// `kubectl hybrid build [SERVICE…]`.
pub(super) async fn run(session: &Session<'_>, flags: &Build) -> Result<Exit, CommandError> {
    if flags.push {
        extra::check_pushed(&flags.extra)?;
    }
    let (read, cluster) = tokio::join!(session.contract(), session.cluster());
    let project = session.project(&read?, &flags.services)?;
    let workshop = Workshop::new(session, &project, flags.jobs.get());
    if !flags.dry_run {
        hooks::run(session, &project, None, &workshop, Moment::BeforeBuild).await?;
    }
    // A machine that only builds may have no cluster: then the engine says what is built for.
    let nodes = match &cluster {
        Ok(cluster) => Nodes::of(session, cluster).await?,
        Err(_) => Nodes::default(),
    };
    let sdk = load_aws(None, Some(project.region.clone())).await;
    let registry = Registry::new(&sdk, &project.account, project.registry.host());
    let plan = images::plan(&ImageRequest {
        session,
        project: &project,
        registry: &registry,
        workshop: &workshop,
        nodes: &nodes,
        images: &[],
        builds: true,
    })
    .await?;
    for image in &plan {
        let what = match (image.builds, flags.push) {
            (false, _) => format!("{} is in the registry as {image}", image.name),
            (true, true) => format!("{} is built and pushed as {image}", image.name),
            (true, false) => format!("{} is built as {image}", image.name),
        };
        session.ui.step("plan", what);
    }
    let builds = plan.iter().any(|image| image.builds);
    let hooks = planned_hooks(session, flags.push && builds);
    if flags.dry_run {
        for hook in &hooks {
            session.ui.step("plan", hook);
        }
    }
    let mut services = Vec::new();
    let mut results = Vec::new();
    if !flags.dry_run {
        workshop.open(plan.iter()).await?;
        let made = plan
            .iter()
            .map(|image| one(session, flags, &workshop, &nodes, image));
        for (report, result) in join_all(made).await {
            services.push(report);
            results.push(result);
        }
        let is_ok = results.iter().all(Result::is_ok);
        if is_ok && flags.push && builds {
            hooks::run(session, &project, None, &workshop, Moment::AfterBuild).await?;
        }
    }
    if session.ui.is_json() {
        let report = Report {
            workspace: &project.workspace,
            environment: &project.environment,
            dry_run: flags.dry_run,
            plan: plan.iter().map(|it| Planned::of(it, flags.push)).collect(),
            hooks,
            services,
        };
        session.ui.data(&report, String::new);
    }
    first_error(session, results)
}

/// The hooks of a build. The last ones wait for images in the registry.
fn planned_hooks(session: &Session<'_>, is_built_and_pushed: bool) -> Vec<PlannedHook> {
    let after = Some(Moment::AfterBuild).filter(|_| is_built_and_pushed);
    let moments = std::iter::once(Moment::BeforeBuild).chain(after);
    moments
        .flat_map(|moment| {
            let commands = hooks::commands(session, moment).into_iter();
            commands.map(move |command| PlannedHook::new(moment, command, Some(true)))
        })
        .collect()
}

async fn one(
    session: &Session<'_>,
    flags: &Build,
    workshop: &Workshop<'_>,
    nodes: &Nodes,
    image: &ImagePlan,
) -> (ServiceReport, Result<(), CommandError>) {
    let started = Instant::now();
    let line = session.ui.line(&image.name);
    let mut report = ServiceReport {
        name: image.name.clone(),
        image: image.reference.to_string(),
        digest: image.digest.clone(),
        built: false,
        pushed: false,
        elapsed_ms: 0,
        error: None,
    };
    let mut go = async || {
        let Some(made) = &image.made else {
            return Ok(());
        };
        workshop.make(image, made, &flags.extra, &line).await?;
        report.built = true;
        if flags.push {
            report.digest = Some(workshop.push(image, nodes, &line).await?.digest);
            report.pushed = true;
        } else {
            workshop.check(image, nodes).await?;
        }
        Ok(())
    };
    let ended = go().await;
    report.elapsed_ms = started.elapsed().as_millis();
    report.error = ended.as_ref().err().map(ToString::to_string);
    (report, ended)
}
