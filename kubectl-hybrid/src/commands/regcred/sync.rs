//! `kubectl hybrid regcred sync`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::apply::{self, SecretReport};
use super::job::Job;
use super::plan::{self, SecretPlan};
use crate::cli::RegcredSync;
use crate::commands::session::{Session, guard};
use crate::commands::time_left;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::Ui;

/// From this many namespaces on only what is not as usual has a line of its own.
const MANY: usize = 20;

/// `kubectl hybrid regcred sync`.
pub(crate) async fn sync(session: &Session<'_>, flags: &RegcredSync) -> Result<Exit, CommandError> {
    let (read, cluster) = tokio::try_join!(session.contract(), session.cluster())?;
    let project = session.project(&read, &[])?;
    guard(&cluster, &project)?;
    let mut job = Job::with(&project, &flags.keeping);
    job.force = flags.force;
    let found = plan::make(&cluster, &job).await?;
    for warning in &found.warnings {
        session.ui.warn(warning);
    }
    if flags.dry_run {
        say_plans(session, &found.made);
        if session.ui.is_json() {
            let unread = |(namespace, error): &(String, CommandError)| {
                Planned::Unread(unread(&job, namespace.clone(), error))
            };
            let plans = found.made.iter().map(Planned::Plan);
            let plans: Vec<_> = plans.chain(found.failed.iter().map(unread)).collect();
            session.ui.data(&plans, String::new);
        }
        let failed = found.failed.into_iter().map(|(_, error)| error);
        return ended(session.ui, failed.chain(super::refused(&found.made)));
    }
    let plan::Plans {
        mut made,
        failed: unseen,
        ..
    } = found;
    let mut done = match apply::all(&cluster, &job, &mut made).await {
        Ok(done) => done,
        Err(error) => {
            let unseen = unseen.into_iter().map(|(_, error)| error);
            return ended(session.ui, std::iter::once(error).chain(unseen));
        }
    };
    let mut failed = Vec::new();
    for (namespace, error) in unseen {
        done.reports.push(unread(&job, namespace, &error));
        failed.push(error);
    }
    say(session, &done.reports);
    if session.ui.is_json() {
        session.ui.data(&done.reports, String::new);
    }
    ended(session.ui, failed.into_iter().chain(done.failed))
}

/// A line of what would be done.
#[derive(Serialize)]
#[serde(untagged)]
enum Planned<'a> {
    Plan(&'a SecretPlan),
    /// As it would be reported afterwards.
    Unread(SecretReport),
}

/// All that failed is said; the first decides how the command ends.
pub(crate) fn ended(
    ui: &Ui,
    failed: impl IntoIterator<Item = CommandError>,
) -> Result<Exit, CommandError> {
    let mut failed = failed.into_iter();
    let Some(first) = failed.next() else {
        return Ok(Exit::Ok);
    };
    for error in failed {
        ui.error(&error);
    }
    Err(first)
}

fn unread(job: &Job, namespace: String, error: &CommandError) -> SecretReport {
    SecretReport {
        namespace,
        name: job.secret.clone(),
        change: "failed",
        stays: None,
        expires_at: None,
        linked: Vec::new(),
        recreated: Vec::new(),
        left: Vec::new(),
        error: Some(error.to_string()),
    }
}

/// Says what would be done with the secrets, and with what uses them.
pub(crate) fn say_plans(session: &Session<'_>, plans: &[SecretPlan]) {
    let idle = plans.iter().filter(|plan| plan.is_idle()).count();
    if idle > MANY {
        session.ui.step("plan", format!("{idle} secrets stay"));
    }
    for plan in plans {
        if plan.is_idle() && idle > MANY {
            continue;
        }
        let place = format!("{}/{}", plan.namespace, plan.name);
        session.ui.step("plan", format!("{place} {plan}"));
        for account in &plan.link {
            session.ui.step(
                "plan",
                format!("{place} is added to service account {account}"),
            );
        }
        for pod in &plan.stuck_pods {
            session.ui.step(
                "plan",
                format!(
                    "pod {} waits for credentials: {}",
                    pod.trouble.pod,
                    pod.remedy.sentence()
                ),
            );
        }
    }
}

/// Says what became of the secrets.
pub(crate) fn say(session: &Session<'_>, reports: &[SecretReport]) {
    if reports.len() > MANY {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for report in reports {
            *counts.entry(report.change).or_default() += 1;
        }
        let counts: Vec<String> = counts
            .into_iter()
            .map(|(change, count)| format!("{count} {change}"))
            .collect();
        session.ui.step(
            "regcred",
            format!("{} secrets: {}", reports.len(), counts.join(", ")),
        );
    }
    for report in reports {
        let place = format!("{}/{}", report.namespace, report.name);
        match (&report.error, report.change) {
            _ if report.stays.is_some() => session.ui.warn(format!(
                "{place} stays as it is: {}; its token lives {}",
                report.stays.as_deref().unwrap_or_default(),
                time_left(report.expires_at)
            )),
            (Some(why), "skipped") => session
                .ui
                .step("regcred", format!("{place} skipped: {why}")),
            // Its error is said on its own.
            (_, "failed") => {}
            _ if reports.len() > MANY => {}
            _ => session.ui.step(
                "regcred",
                format!(
                    "{place} {}, its token lives {}",
                    report.change,
                    time_left(report.expires_at)
                ),
            ),
        }
        for account in &report.linked {
            session.ui.step(
                "regcred",
                format!("service account {}/{account} uses it now", report.namespace),
            );
        }
        for pod in &report.recreated {
            session.ui.step(
                "regcred",
                format!("pod {pod} is recreated: it waited for credentials"),
            );
        }
        for left in &report.left {
            session.ui.warn(format!(
                "pod {} in {} waits for credentials and is left alone: {}",
                left.pod, report.namespace, left.why
            ));
        }
    }
}
