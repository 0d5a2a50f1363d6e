//! `kubectl hybrid regcred watch`: the pull secret is never stale, and comes back when it is broken.
//!
//! Namespaces, pull secrets and service accounts are watched, not asked for. Time is the wall
//! clock's, looked at again and again: a timer stands still while a laptop sleeps.

mod ledger;
mod moved;

use std::cell::Cell;
use std::time::Duration;

use futures::future::{FutureExt as _, LocalBoxFuture, join_all};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use kube::{Api, ResourceExt};
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::job::Job;
use super::{MINIMUM_LIFE, apply, plan, sync};
use crate::cli::Keeping;
use crate::cluster::changes::{Change, Query, follow};
use crate::cluster::namespaces::Scope;
use crate::cluster::pull_secret::{self, Policy};
use crate::cluster::{Cluster, ClusterError, service_account};
use crate::commands::session::{Session, guard};
use crate::error::CommandError;
use crate::exit::Exit;
use ledger::{Did, Due, Ledger, News, Source};

/// Longer than the server is ever silent in a watch: it sends a bookmark each minute.
const SILENCE: Duration = Duration::from_mins(2);
/// How often the wall clock is looked at.
const TICK: Duration = Duration::from_secs(15);
/// How often the contract is read: an agent runs for weeks.
const CONTRACT_HOLDS: SignedDuration = SignedDuration::from_hours(1);
/// How long news are gathered before they are acted on: a namespace and its account come together.
const GATHER: Duration = Duration::from_millis(250);

enum Told {
    News(News),
    Trouble(ClusterError),
    Well,
}

/// `kubectl hybrid regcred watch`.
pub(crate) async fn watch(session: &Session<'_>, flags: &Keeping) -> Result<Exit, CommandError> {
    let mut cluster = session.patient_cluster(SILENCE).await?;
    let mut job = read_job(session, &cluster, flags).await?;
    loop {
        let is_troubled = Cell::new(false);
        let (tell, heard) = mpsc::channel(256);
        let (sources, watching) = watches(&cluster, &job, &tell);
        drop(tell);
        let heard = Heard {
            from: heard,
            is_troubled: &is_troubled,
        };
        let keeping = keep(session, &cluster, &job, Ledger::waiting_for(sources), heard);
        tokio::select! {
            ended = keeping => return ended,
            _ = join_all(watching) => return Ok(Exit::Ok),
            changed = changed_job(session, &cluster, flags, &job) => {
                job = changed;
                session.ui.step("watch", "the contract has changed");
            }
            (found, wanted) = moved::moved(session, flags, &cluster, &is_troubled) => {
                let (context, server) = (found.context(), found.server());
                let step = format!("context {context} leads to another cluster now, {server}");
                session.ui.step("watch", step);
                (cluster, job) = (found, wanted);
            }
        }
    }
}

async fn read_job(
    session: &Session<'_>,
    cluster: &Cluster,
    flags: &Keeping,
) -> Result<Job, CommandError> {
    let read = session.contract().await?;
    let project = session.project(&read, &[])?;
    guard(cluster, &project)?;
    Ok(Job::with(&project, flags))
}

/// Waits until the contract says something else. A contract that cannot be read says nothing.
async fn changed_job(session: &Session<'_>, cluster: &Cluster, flags: &Keeping, job: &Job) -> Job {
    let mut read_at = Timestamp::now();
    loop {
        tokio::time::sleep(TICK).await;
        let now = Timestamp::now();
        if now.duration_since(read_at) < CONTRACT_HOLDS {
            continue;
        }
        read_at = now;
        if let Ok(read) = Box::pin(read_job(session, cluster, flags)).await
            && read != *job
        {
            return read;
        }
    }
}

/// The watches that the job needs.
fn watches<'a>(
    cluster: &'a Cluster,
    job: &'a Job,
    tell: &Sender<Told>,
) -> (Vec<Source>, Vec<LocalBoxFuture<'a, ()>>) {
    let mut sources = vec![Source::Secrets];
    let mut all = vec![secrets(cluster, job, tell.clone()).boxed_local()];
    let scope = &job.namespaces;
    if scope.names().next().is_some() || scope.is_open_by_name() {
        sources.push(Source::Named);
        all.push(namespaces(cluster, scope, Source::Named, tell.clone()).boxed_local());
    }
    if scope.selector().is_some() {
        sources.push(Source::Labelled);
        all.push(namespaces(cluster, scope, Source::Labelled, tell.clone()).boxed_local());
    }
    if !job.accounts.is_empty() {
        sources.push(Source::Accounts);
        all.push(accounts(cluster, job, tell.clone()).boxed_local());
    }
    (sources, all)
}

async fn namespaces(cluster: &Cluster, scope: &Scope, source: Source, tell: Sender<Told>) {
    let is_meant = |namespace: &Namespace| {
        let name = namespace.name_any();
        namespace.metadata.deletion_timestamp.is_none()
            && match source {
                Source::Labelled => !scope.excludes(&name),
                _ => scope.includes(&name),
            }
    };
    let query = Query {
        labels: scope
            .selector()
            .filter(|_| source == Source::Labelled)
            .map(str::to_owned),
        fields: None,
    };
    let api = Api::all(cluster.client());
    follow(cluster, api, "namespaces", &query, tell, |change| {
        told(source, change, |namespace: Option<&Namespace>, gone| {
            let name = namespace.map(ResourceExt::name_any).unwrap_or_default();
            if !gone && namespace.is_some_and(is_meant) {
                News::Namespace(source, name)
            } else {
                News::NoNamespace(source, name)
            }
        })
    })
    .await;
}

async fn secrets(cluster: &Cluster, job: &Job, tell: Sender<Told>) {
    let query = Query {
        labels: None,
        fields: Some(format!("metadata.name={}", job.secret)),
    };
    let api = Api::all(cluster.client());
    follow(cluster, api, "pull secrets", &query, tell, |change| {
        told(Source::Secrets, change, |secret: Option<&Secret>, gone| {
            let namespace = secret.and_then(ResourceExt::namespace).unwrap_or_default();
            match secret.filter(|_| !gone) {
                Some(secret) => News::Secret(namespace, due(job, secret)),
                None => News::NoSecret(namespace),
            }
        })
    })
    .await;
}

async fn accounts(cluster: &Cluster, job: &Job, tell: Sender<Told>) {
    let query = Query {
        labels: None,
        fields: match job.accounts.as_slice() {
            [one] => Some(format!("metadata.name={one}")),
            _ => None,
        },
    };
    let api = Api::all(cluster.client());
    follow(cluster, api, "service accounts", &query, tell, |change| {
        told(
            Source::Accounts,
            change,
            |account: Option<&ServiceAccount>, gone| {
                let name = account.map(ResourceExt::name_any).unwrap_or_default();
                News::Account {
                    namespace: account.and_then(ResourceExt::namespace).unwrap_or_default(),
                    names_it: gone
                        || !job.accounts.contains(&name)
                        || account
                            .is_some_and(|account| service_account::has(account, &job.secret)),
                    name,
                }
            },
        )
    })
    .await;
}

fn told<K>(source: Source, change: Change<K>, news: impl Fn(Option<&K>, bool) -> News) -> Told {
    match change {
        Change::Listing => Told::News(News::Listing(source)),
        Change::Listed => Told::News(News::Listed(source)),
        Change::Seen(object) => Told::News(news(Some(&object), false)),
        Change::Gone(object) => Told::News(news(Some(&object), true)),
        Change::Trouble(error) => Told::Trouble(error),
        Change::Well => Told::Well,
    }
}

/// When a secret has to be written.
fn due(job: &Job, secret: &Secret) -> Due {
    let hosts = job.hosts();
    let policy = Policy {
        min_life: MINIMUM_LIFE,
        ..Policy::default()
    };
    if let Some(refusal) = pull_secret::refusal(secret, &hosts, policy) {
        return Due::Never(refusal.to_string());
    }
    let now = Timestamp::now();
    if pull_secret::assess(Some(secret), &hosts, "AWS", now, policy).is_empty()
        && job
            .all_with_too_much_power(&pull_secret::view(secret))
            .is_empty()
    {
        pull_secret::due_at(secret, &hosts, policy).map_or(Due::Now, Due::At)
    } else {
        Due::Now
    }
}

/// Acts on what the watches tell, until one of them says that it may not be.
async fn keep(
    session: &Session<'_>,
    cluster: &Cluster,
    job: &Job,
    mut ledger: Ledger,
    mut heard: Heard<'_>,
) -> Result<Exit, CommandError> {
    let mut begun = false;
    let mut last_error = String::new();
    loop {
        let now = Timestamp::now();
        let wait = ledger.next().filter(|_| begun).map_or(TICK, |next| {
            Duration::try_from(next.duration_since(now))
                .unwrap_or_default()
                .min(TICK)
        });
        tokio::select! {
            told = heard.from.recv() => match told {
                Some(told) => heard.take(session, &mut ledger, told, begun)?,
                None => return Ok(Exit::Ok),
            },
            () = tokio::time::sleep(wait) => {}
        }
        while let Ok(told) = heard.from.try_recv() {
            heard.take(session, &mut ledger, told, begun)?;
        }
        if !ledger.is_complete() {
            continue;
        }
        for (namespace, why) in ledger.unsaid() {
            session
                .ui
                .warn(format!("{namespace}/{} is not kept: {why}", job.secret));
        }
        if !begun {
            begun = true;
            session
                .ui
                .step("watch", format!("{} namespaces are kept", ledger.len()));
        }
        if ledger.due(Timestamp::now()).is_empty() {
            continue;
        }
        heard.gather(session, &mut ledger).await?;
        round(session, cluster, job, &mut ledger, &mut last_error).await;
    }
}

/// What the watches tell.
struct Heard<'a> {
    from: Receiver<Told>,
    /// Whether the API server cannot be asked at present.
    is_troubled: &'a Cell<bool>,
}

impl Heard<'_> {
    fn take(
        &self,
        session: &Session<'_>,
        ledger: &mut Ledger,
        told: Told,
        begun: bool,
    ) -> Result<(), CommandError> {
        match told {
            Told::News(news) => ledger.note(news),
            Told::Well => {
                self.is_troubled.set(false);
                session.ui.step("watch", "the API server answers again");
            }
            // What is not allowed from the start will not be allowed later.
            Told::Trouble(error @ ClusterError::Forbidden { .. }) if !begun => {
                return Err(super::in_cluster(&error).hint(
                    "a watch needs `list` and `watch` of namespaces and secrets in the whole cluster; `regcred sync` needs less",
                ));
            }
            Told::Trouble(error) => {
                self.is_troubled.set(true);
                session.ui.warn(format!("{error}; it is tried again"));
            }
        }
        Ok(())
    }

    /// Waits a moment for what belongs together.
    async fn gather(
        &mut self,
        session: &Session<'_>,
        ledger: &mut Ledger,
    ) -> Result<(), CommandError> {
        let end = tokio::time::Instant::now() + GATHER;
        while let Ok(Some(told)) = tokio::time::timeout_at(end, self.from.recv()).await {
            self.take(session, ledger, told, true)?;
        }
        Ok(())
    }
}

/// Writes what is due. What fails is tried again later, and said once.
async fn round(
    session: &Session<'_>,
    cluster: &Cluster,
    job: &Job,
    ledger: &mut Ledger,
    last_error: &mut String,
) {
    let due = ledger.due(Timestamp::now());
    let at = job.at(due.clone());
    let mut errors = Vec::new();
    let done = match plan::make(cluster, &at).await {
        Ok(mut found) => {
            errors.extend(found.failed.into_iter().map(|(_, error)| error));
            apply::all(cluster, &at, &mut found.made).await
        }
        Err(error) => Err(error),
    };
    let now = Timestamp::now();
    match done {
        Ok(done) => {
            for name in &due {
                let report = done.reports.iter().find(|report| report.namespace == *name);
                match report.filter(|report| report.error.is_none()) {
                    Some(report) => {
                        let did = Did {
                            wrote: matches!(report.change, "created" | "updated"),
                            linked: !report.linked.is_empty(),
                        };
                        ledger.done(name, did, now);
                    }
                    None => ledger.failed(name, now),
                }
            }
            sync::say(session, &done.reports);
            if session.ui.is_json() {
                session.ui.data(&done.reports, String::new);
            }
            errors.extend(done.failed);
        }
        Err(error) => {
            for name in &due {
                ledger.failed(name, now);
            }
            errors.push(error);
        }
    }
    let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let text = text.join("\n");
    if text != *last_error {
        for error in &errors {
            session.ui.error(error);
        }
        if !errors.is_empty() {
            session
                .ui
                .warn("it is tried again, and what is there serves until it expires");
        }
        *last_error = text;
    }
}
