//! `kubectl hybrid status`: what runs, on one screen.

use std::fmt::Write as _;

use futures::future::join_all;
use jiff::Timestamp;
use serde::Serialize;

use super::regcred::in_cluster;
use super::session::{Session, guard};
use super::{age, doctor, time_left};
use crate::cluster::pull_secret::{self, SecretRef};
use crate::cluster::rollout::{Verdict, verdict};
use crate::cluster::workload::{self, WorkloadState};
use crate::diagnosis::{Known, LockFacts};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::project::contract::TagMutability;
use crate::project::{Project, Service};
use crate::registry::{Digest, ImageDetail, ImageReference, Registry, RegistryError, Tag};
use crate::terraform::access::load_aws;
use crate::terraform::contract::Provenance;
use crate::ui::table;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    project: String,
    workspace: String,
    environment: String,
    context: String,
    namespace: String,
    /// When Terraform wrote the contract, when that is known.
    contract_written_at: Option<Timestamp>,
    /// Who holds the state's lock. `null`: not known.
    locks: Option<Vec<LockStatus>>,
    /// Whether there is a pull secret at all.
    has_pull_secret: bool,
    token_expires_at: Option<Timestamp>,
    services: Vec<ServiceStatus>,
    /// What could not be found out, and why.
    unknown: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LockStatus {
    id: String,
    place: String,
    who: String,
    operation: String,
    created: Option<Timestamp>,
}

impl From<LockFacts> for LockStatus {
    fn from(lock: LockFacts) -> Self {
        Self {
            id: lock.id,
            place: lock.place,
            who: lock.who,
            operation: lock.operation,
            created: lock.created,
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceStatus {
    name: String,
    workload: String,
    namespace: String,
    /// Whether there is such a workload.
    exists: bool,
    ready: i32,
    desired: i32,
    /// For what its roll-out waits, or why it stopped. `null`: it is complete.
    rolling: Option<String>,
    image: Option<String>,
    tag: Option<Tag>,
    digest: Option<Digest>,
    registry: Match,
    url: Option<String>,
    /// When somebody last changed what it asks for.
    rolled_at: Option<Timestamp>,
    change_cause: Option<String>,
}

/// Whether the workload runs what the registry has under the workspace's tag. Where tags do not
/// move, the workspace has none: then, whether the registry has what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Match {
    /// It does.
    Same,
    /// The tag names another image.
    Differs,
    /// The registry has no such image.
    NoImage,
    /// The registry did not answer, or the workload asks for an image without a digest.
    Unknown,
}

impl Match {
    fn of(running: Option<&Digest>, tagged: Option<&Option<ImageDetail>>) -> Self {
        match (running, tagged) {
            (_, Some(None)) => Self::NoImage,
            (Some(running), Some(Some(tagged))) if *running == tagged.digest => Self::Same,
            (Some(_), Some(Some(_))) => Self::Differs,
            (None, _) | (_, None) => Self::Unknown,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Differs => "differs",
            Self::NoImage => "no image",
            Self::Unknown => "unknown",
        }
    }
}

/// `kubectl hybrid status [SERVICE…]`.
pub(super) async fn run(session: &Session<'_>, services: &[String]) -> Result<Exit, CommandError> {
    let line = session.ui.line("status");
    line.now("reads the contract and looks at registry, lock and cluster");
    let known = async {
        let (read, cluster) = tokio::try_join!(session.contract(), session.cluster())?;
        let project = session.project(&read, services)?;
        guard(&cluster, &project)?;
        let secret = SecretRef {
            namespace: project.namespace.clone(),
            name: project.pull_secret.clone(),
        };
        let (secret, workloads, (registry, tagged)) = tokio::join!(
            pull_secret::read(&cluster, &secret),
            workload::read_all(
                &cluster,
                project.services.iter().map(|service| &service.workload)
            ),
            async {
                let sdk = load_aws(None, Some(project.region.clone())).await;
                let registry = Registry::new(&sdk, &project.account, project.registry.host());
                let tagged = tagged(&registry, &project).await;
                (registry, tagged)
            },
        );
        let workloads = workloads.map_err(|error| in_cluster(&error))?;
        let found = found(&registry, &project, &workloads, tagged).await;
        Ok::<_, CommandError>((read, cluster, project, secret, workloads, found))
    };
    let (known, locks) = tokio::join!(known, doctor::locks(session));
    let (read, cluster, project, secret, workloads, found) = known?;
    let mut unknown = Vec::new();
    let secret = secret.unwrap_or_else(|error| {
        unknown.push(format!("the pull secret: {error}"));
        None
    });
    let locks = match locks {
        Known::Known(locks) => Some(locks.into_iter().map(LockStatus::from).collect()),
        Known::Unknown { reason, .. } => {
            unknown.push(format!("the lock: {reason}"));
            None
        }
        Known::NotAsked => None,
    };
    let mut shown = Vec::new();
    for ((service, state), found) in project.services.iter().zip(workloads).zip(found) {
        let found = found.unwrap_or_else(|reason| {
            let reason = format!("the images of `{}`: {reason}", service.name);
            unknown.push(reason);
            None
        });
        shown.push(service_status(service, state.as_ref(), found.as_ref()));
    }
    let status = Status {
        project: project.name.clone(),
        workspace: project.workspace.clone(),
        environment: project.environment.clone(),
        context: cluster.context().to_owned(),
        namespace: project.namespace.clone(),
        contract_written_at: match &read.provenance {
            Provenance::State(facts) => facts.last_modified,
            Provenance::Cli { .. } => None,
        },
        locks,
        has_pull_secret: secret.is_some(),
        token_expires_at: secret
            .as_ref()
            .and_then(|secret| pull_secret::view(secret).expiry_of(project.registry.host())),
        services: shown,
        unknown,
    };
    drop(line);
    session.ui.data(&status, || text(&status));
    for unknown in &status.unknown {
        session.ui.warn(format!("not known: {unknown}"));
    }
    Ok(Exit::Ok)
}

/// What the registry has: nothing that was looked for, no such image, or an image. Else why it did
/// not tell.
type Found = Result<Option<Option<ImageDetail>>, String>;

fn told(answer: Result<Option<ImageDetail>, RegistryError>) -> Found {
    answer.map(Some).map_err(|error| error.to_string())
}

/// What the registry has under the workspace's tag, for each service whose tags move: one call
/// each, all at once.
async fn tagged(registry: &Registry, project: &Project) -> Vec<Found> {
    let tag = Tag::from_name(&project.workspace);
    let asked = project
        .services
        .iter()
        .map(async |service| match (&tag, service.tag_mutability) {
            (Some(tag), TagMutability::Mutable) => {
                told(registry.describe(&service.repository, tag).await)
            }
            _ => Ok(None),
        });
    join_all(asked).await
}

/// The same for all services: where tags do not move, what runs is looked up itself.
async fn found(
    registry: &Registry,
    project: &Project,
    workloads: &[Option<WorkloadState>],
    tagged: Vec<Found>,
) -> Vec<Found> {
    let all = project.services.iter().zip(workloads).zip(tagged);
    let asked = all.map(async |((service, state), tagged)| {
        let Some(image) = image_of(service, state.as_ref()) else {
            return tagged;
        };
        let repository = format!("{}/{}", image.registry(), image.repository());
        if service.tag_mutability == TagMutability::Mutable || repository != service.repository_url
        {
            return tagged;
        }
        match (image.digest(), image.tag()) {
            (Some(digest), _) => told(registry.describe_digest(&service.repository, digest).await),
            (None, Some(tag)) => told(registry.describe(&service.repository, tag).await),
            (None, None) => tagged,
        }
    });
    join_all(asked).await
}

/// The image that the workload asks for.
fn image_of(service: &Service, state: Option<&WorkloadState>) -> Option<ImageReference> {
    state?.container(&service.container)?.image.parse().ok()
}

fn service_status(
    service: &Service,
    state: Option<&WorkloadState>,
    found: Option<&Option<ImageDetail>>,
) -> ServiceStatus {
    let image = state
        .and_then(|state| state.container(&service.container))
        .map(|container| container.image.clone());
    let reference = image_of(service, state);
    let digest = reference.as_ref().and_then(|it| it.digest().cloned());
    let matches = Match::of(digest.as_ref(), found);
    let change_cause = state.and_then(|state| state.change_cause.clone());
    // A pinned image has lost its tag; the registry knows it, or who deployed it said so.
    let tag = match (reference.as_ref().and_then(ImageReference::tag), found) {
        (Some(tag), _) => Some(tag.clone()),
        (None, Some(Some(detail))) if matches == Match::Same => detail
            .tags
            .iter()
            .max_by_key(|tag| tag.as_str().len())
            .cloned(),
        _ => change_cause.as_deref().and_then(tag_of),
    };
    let port = service.port.as_ref().and_then(|port| port.node_port);
    ServiceStatus {
        name: service.name.clone(),
        workload: service.workload.to_string(),
        namespace: service.workload.namespace.clone(),
        exists: state.is_some(),
        ready: state.map_or(0, |state| state.counts.ready),
        desired: state.map_or(0, |state| state.counts.desired),
        rolling: state.and_then(|state| match verdict(state) {
            Verdict::Complete => None,
            Verdict::Waiting(what) => Some(what),
            Verdict::Failed(cause) => Some(cause.to_string()),
        }),
        image,
        tag,
        digest,
        registry: matches,
        url: port.map(|port| format!("http://127.0.0.1:{port}/")),
        rolled_at: state.and_then(|state| state.changed_at),
        change_cause,
    }
}

/// The tag of `kubectl hybrid deploy knowledge-repo-dev/web:src-1cfcb41b57ed`.
fn tag_of(change_cause: &str) -> Option<Tag> {
    let image = change_cause.strip_prefix("kubectl hybrid deploy ")?;
    image.rsplit_once(':')?.1.parse().ok()
}

fn text(status: &Status) -> String {
    let token = if status.has_pull_secret {
        time_left(status.token_expires_at)
    } else {
        "no pull secret".to_owned()
    };
    let lock = match status.locks.as_deref() {
        None => "unknown".to_owned(),
        Some([]) => "free".to_owned(),
        Some([lock, ..]) => format!(
            "held by {}, {} (`kubectl hybrid unlock` shows it)",
            lock.who,
            age(lock.created)
        ),
    };
    let facts = [
        ("Project", status.project.clone()),
        (
            "Workspace",
            format!("{} (environment {})", status.workspace, status.environment),
        ),
        (
            "Context",
            format!("{}, namespace {}", status.context, status.namespace),
        ),
        ("Contract", age(status.contract_written_at)),
        ("Lock", lock),
        ("Token", token),
    ];
    let mut text = String::new();
    for (name, value) in facts {
        let _ = writeln!(text, "{name:<10} {value}");
    }
    text.push('\n');
    let rows: Vec<Vec<String>> = status.services.iter().map(row).collect();
    text.push_str(&table(
        &[
            "SERVICE",
            "READY",
            "TAG",
            "DIGEST",
            "REGISTRY",
            "LAST ROLL-OUT",
            "URL",
            "STATE",
        ],
        &rows,
    ));
    text
}

fn row(service: &ServiceStatus) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let state = match (&service.rolling, service.exists) {
        (_, false) => format!("there is no {}", service.workload),
        (Some(rolling), true) => rolling.clone(),
        (None, true) => "complete".to_owned(),
    };
    vec![
        service.name.clone(),
        format!("{}/{}", service.ready, service.desired),
        or_dash(service.tag.as_ref().map(ToString::to_string)),
        or_dash(
            service
                .digest
                .as_ref()
                .map(|digest| digest.short().to_owned()),
        ),
        service.registry.words().to_owned(),
        service
            .rolled_at
            .map_or_else(|| "-".to_owned(), |at| age(Some(at))),
        or_dash(service.url.clone()),
        state,
    ]
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;
    use serde_json::json;

    use super::*;
    use crate::project::fake;
    use crate::registry::fake::{HOST, registry};

    fn detail(digest: &Digest) -> ImageDetail {
        ImageDetail {
            digest: digest.clone(),
            tags: vec!["dev".parse().unwrap()],
            pushed_at: None,
            media_type: None,
            size: None,
        }
    }

    #[test]
    fn the_running_digest_is_compared_with_that_of_the_tag() {
        let digest =
            |digit: &str| -> Digest { format!("sha256:{}", digit.repeat(64)).parse().unwrap() };
        let (one, two) = (digest("1"), digest("2"));
        let table = [
            (Some(&one), Some(Some(detail(&one))), Match::Same),
            (Some(&one), Some(Some(detail(&two))), Match::Differs),
            (Some(&one), Some(None), Match::NoImage),
            (Some(&one), None, Match::Unknown),
            (None, Some(Some(detail(&one))), Match::Unknown),
        ];
        for (running, tagged, expected) in table {
            assert_eq!(Match::of(running, tagged.as_ref()), expected);
        }
    }

    #[tokio::test]
    async fn where_tags_do_not_move_the_image_that_runs_is_looked_up() {
        // An immutable repository that has image 1 under a tag of its content.
        let there = format!("sha256:{}", "1".repeat(64));
        let gone = format!("sha256:{}", "2".repeat(64));
        let digest = there.clone();
        let (registry, fake) = registry(move |_, body| {
            let id = &body["imageIds"][0];
            if id["imageDigest"] == digest.as_str() || id["imageTag"] == "src-1cfcb41b57ed" {
                let detail = json!({ "imageDigest": digest, "imageTags": ["src-1cfcb41b57ed"] });
                (200, json!({ "imageDetails": [detail] }))
            } else {
                (
                    400,
                    json!({ "__type": "ImageNotFoundException", "message": "gone" }),
                )
            }
        });
        let table = [
            (
                format!("{HOST}/shop/web@{there}"),
                Match::Same,
                Some("src-1cfcb41b57ed"),
            ),
            (format!("{HOST}/shop/web@{gone}"), Match::NoImage, None),
            // As Terraform made it, before the first deploy.
            (format!("{HOST}/shop/web:dev"), Match::NoImage, Some("dev")),
            (
                format!("registry.k8s.io/pause@{there}"),
                Match::Unknown,
                None,
            ),
        ];
        for (image, expected, tag) in table {
            let object: Deployment = serde_json::from_value(json!({
                "metadata": { "name": "web" },
                "spec": { "selector": {}, "template": { "spec": {
                    "containers": [{ "name": "web", "image": image }] } } },
            }))
            .unwrap();
            let project = fake::project("dev", fake::service(TagMutability::Immutable));
            let workloads = [Some(object.into())];
            let tagged = tagged(&registry, &project).await;
            let found = found(&registry, &project, &workloads, tagged).await;
            let found = found[0].as_ref().unwrap().as_ref();
            let status = service_status(&project.services[0], workloads[0].as_ref(), found);
            assert_eq!(status.registry, expected, "{image}");
            assert_eq!(status.tag.as_ref().map(Tag::as_str), tag, "{image}");
        }
        // One call for each, and none for an image of elsewhere.
        assert_eq!(fake.asked.lock().unwrap().len(), 3);
    }

    #[test]
    fn the_change_cause_of_a_deploy_ends_with_the_tag() {
        let tag = tag_of("kubectl hybrid deploy shop/web:src-1cfcb41b57ed");
        assert_eq!(tag.unwrap().as_str(), "src-1cfcb41b57ed");
        assert!(tag_of("kubectl apply").is_none());
        assert!(tag_of("kubectl hybrid deploy shop/web").is_none());
    }
}
