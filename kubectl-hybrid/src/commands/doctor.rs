//! `kubectl hybrid doctor`: names what is broken, and the fix.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::held_lock;
use super::session::Session;
use crate::cli::Global;
use crate::cluster::guard;
use crate::diagnosis::{
    self, ClusterQuestion, ContextFacts, ContractFacts, EngineFacts, Facts, Finding, IdentityFacts,
    Known, LockFacts, ServiceQuestion, Severity, Summary,
};
use crate::docker::{Docker, Surroundings};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::project::Project;
use crate::terraform::access::load_aws;
use crate::terraform::contract::Provenance;
use crate::ui::Ui;

#[derive(Debug, Serialize)]
struct Report<'a> {
    workspace: &'a str,
    summary: Summary,
    findings: &'a [Finding],
}

/// `kubectl hybrid doctor`.
pub(super) async fn run(global: &Global, ui: &Ui) -> Result<Exit, CommandError> {
    let session = Session::open(global, ui)?;
    let line = ui.line("doctor");
    line.now("looks at AWS, Terraform, Docker and the cluster");
    let (engine, identity, locks, read, cluster) = tokio::join!(
        engine(),
        identity(),
        locks(&session),
        session.contract(),
        session.cluster()
    );
    let project = match &read {
        Ok(read) => session.project(read, &[]),
        Err(error) => Err(CommandError::new(error.exit(), error.to_string())),
    };
    let contract = match (&read, &project) {
        (Ok(read), Ok(project)) => Known::Known(ContractFacts {
            workspace: project.workspace.clone(),
            source: match &read.provenance {
                Provenance::State(facts) => facts.address.to_string(),
                Provenance::Cli { .. } => "terraform output -json".to_owned(),
            },
            account: project.account.clone(),
            registry: project.registry.host().to_owned(),
            services: project
                .services
                .iter()
                .map(|service| service.name.clone())
                .collect(),
        }),
        (Err(error), _) | (Ok(_), Err(error)) => unknown(error),
    };
    let (context, in_cluster) = match (&cluster, &project) {
        (Ok(cluster), project) => {
            let listed = project
                .as_ref()
                .map_or(&[][..], |project| &project.contexts);
            let judgement = guard::judge(cluster.endpoint(), listed);
            let asked = match (&judgement, project) {
                (Ok(_), Ok(project)) => {
                    diagnosis::gather_cluster(cluster, &question(project)).await
                }
                _ => Known::NotAsked,
            };
            let context = Known::Known(ContextFacts {
                context: cluster.context().to_owned(),
                server: cluster.server().to_owned(),
                judgement,
            });
            (context, asked)
        }
        (Err(error), _) => (unknown(error), Known::NotAsked),
    };
    let facts = Facts {
        now: Timestamp::now(),
        workspace: session.workspace.to_string(),
        engine,
        identity,
        contract,
        locks,
        context,
        cluster: in_cluster,
    };
    let findings = diagnosis::run(&facts);
    let summary = diagnosis::summary(&findings);
    drop(line);
    ui.data(
        &Report {
            workspace: &facts.workspace,
            summary,
            findings: &findings,
        },
        || text(&findings, summary),
    );
    Ok(if summary.error > 0 {
        Exit::DoctorFoundErrors
    } else {
        Exit::Ok
    })
}

fn unknown<T>(error: &CommandError) -> Known<T> {
    Known::unknown(error.to_string(), error.hints().first().cloned())
}

fn question(project: &Project) -> ClusterQuestion {
    ClusterQuestion {
        namespace: project.namespace.clone(),
        pull_secret: project.pull_secret.clone(),
        service_account: project.service_account.clone(),
        services: project
            .services
            .iter()
            .map(|service| ServiceQuestion {
                service: service.name.clone(),
                workload: service.workload.clone(),
                container: service.container.clone(),
            })
            .collect(),
    }
}

async fn engine() -> Known<EngineFacts> {
    let asked = async {
        Docker::locate(&Arc::new(Surroundings::of_process()))?
            .engine()
            .await
    };
    match asked.await {
        Ok(engine) => Known::Known(EngineFacts {
            version: engine.server_version,
            platform: engine.platform.to_string(),
            context: engine.endpoint,
        }),
        Err(error) => Known::unknown(error.to_string(), error.hint()),
    }
}

async fn identity() -> Known<IdentityFacts> {
    let sdk = load_aws(None, None).await;
    let asked = aws_sdk_sts::Client::new(&sdk)
        .get_caller_identity()
        .send()
        .await;
    match asked {
        Ok(caller) => Known::Known(IdentityFacts {
            arn: caller.arn().unwrap_or_default().to_owned(),
            account: caller.account().unwrap_or_default().to_owned(),
            source: ecr_hybrid::identity::Identity::resolve(
                &ecr_hybrid::environment::Environment::of_process(),
            )
            .map_or_else(|error| error.to_string(), |identity| identity.to_string()),
        }),
        Err(error) => {
            let error = ecr_hybrid::aws_error::AwsError::from_sdk("ask AWS who calls", &error);
            Known::unknown(error.to_string(), error.hint())
        }
    }
}

pub(super) async fn locks(session: &Session<'_>) -> Known<Vec<LockFacts>> {
    match held_lock::read(session).await {
        Ok(seen) => Known::Known(
            seen.held
                .into_iter()
                .map(|lock| LockFacts {
                    id: lock.id,
                    place: lock.place,
                    who: lock.who.unwrap_or_default(),
                    operation: lock.operation.unwrap_or_default(),
                    created: lock.created,
                    holder: lock.holder,
                    holder_is_dead: lock.holder_is_dead,
                })
                .collect(),
        ),
        Err(error) => Known::unknown(error.to_string(), error.hint()),
    }
}

fn text(findings: &[Finding], summary: Summary) -> String {
    let mut text = String::new();
    let mut category = "";
    for finding in findings {
        if finding.category != category {
            category = finding.category;
            let _ = writeln!(text, "{category}");
        }
        let mark = match finding.severity {
            Severity::Ok => "ok   ",
            Severity::Info => "info ",
            Severity::Warn => "warn ",
            Severity::Error => "ERROR",
            Severity::Skipped => "skip ",
        };
        let _ = writeln!(text, "  {mark} {} {}", finding.id, finding.message);
        if finding.severity == Severity::Ok {
            continue;
        }
        for evidence in &finding.evidence {
            let _ = writeln!(text, "          {}: {}", evidence.key, evidence.value);
        }
        if let Some(fix) = &finding.fix {
            let _ = writeln!(text, "          fix: {}", fix.description);
            if let Some(command) = &fix.command {
                let _ = writeln!(text, "               {command}");
            }
        }
    }
    let _ = writeln!(
        text,
        "{} ok, {} info, {} warnings, {} errors, {} skipped",
        summary.ok, summary.info, summary.warn, summary.error, summary.skipped
    );
    text
}
