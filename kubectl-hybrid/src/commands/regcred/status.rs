//! `kubectl hybrid regcred status`: each pull secret, who uses it, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use serde::Serialize;

use super::job::{Job, scope};
use super::{MINIMUM_LIFE, in_cluster};
use crate::cli::RegcredStatus;
use crate::cluster::pull_secret::{self, Owner, Policy, PullSecretView, Reason, RegistryView};
use crate::cluster::{keyring, listing, service_account};
use crate::commands::session::{Session, guard};
use crate::commands::time_left;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::table;

/// The pull secret of one namespace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    namespace: String,
    name: String,
    /// Whether there is one.
    exists: bool,
    registries: Vec<RegistryView>,
    /// When the first of the wanted logins ends.
    expires_at: Option<Timestamp>,
    /// The AWS identity that the logins stand for.
    principal: Option<String>,
    /// How it was come by.
    source: Option<String>,
    /// Whether the logins were minted through the contract's pull-only role.
    pull_only: bool,
    owner: Option<Owner>,
    refreshed_by: Option<String>,
    /// Service accounts that name it.
    service_accounts: BTreeSet<String>,
    /// Pods that name it.
    pods: BTreeSet<String>,
    /// Pods with images of the wanted registries that do not name it.
    pods_without: BTreeSet<String>,
    /// What is wrong, a sentence each.
    problems: Vec<String>,
}

/// `kubectl hybrid regcred status`.
pub(crate) async fn status(
    session: &Session<'_>,
    flags: &RegcredStatus,
) -> Result<Exit, CommandError> {
    let (read, cluster) = tokio::try_join!(session.contract(), session.cluster())?;
    let project = session.project(&read, &[])?;
    guard(&cluster, &project)?;
    let mut job = Job::of(&project);
    job.namespaces = scope(&project, &flags.places);
    if let Some(secret) = &flags.secret {
        job.secret.clone_from(secret);
    }
    let namespaces = job
        .namespaces
        .resolve(&cluster)
        .await
        .map_err(|error| in_cluster(&error))?;
    let hosts = job.hosts();
    let now = Timestamp::now();

    let mut accounts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut pods: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut without: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (secrets, account_errors, pod_errors) = tokio::join!(
        pull_secret::survey(&cluster, &job.secret, &namespaces, |namespace, secret| {
            row(&job, namespace, secret.as_ref(), now)
        }),
        listing::each(
            &cluster,
            "service accounts",
            &namespaces,
            |namespace, account: ServiceAccount| {
                if service_account::has(&account, &job.secret) {
                    let name = account.metadata.name.unwrap_or_default();
                    accounts
                        .entry(namespace.to_owned())
                        .or_default()
                        .insert(name);
                }
            }
        ),
        listing::each(&cluster, "pods", &namespaces, |namespace, pod: Pod| {
            let map = match use_of(&pod, &job.secret, &hosts) {
                Use::Names => &mut pods,
                Use::Lacks => &mut without,
                Use::None => return,
            };
            let name = pod.metadata.name.unwrap_or_default();
            map.entry(namespace.to_owned()).or_default().insert(name);
        }),
    );
    let unseen: BTreeSet<String> = account_errors
        .values()
        .chain(pod_errors.values())
        .map(ToString::to_string)
        .collect();
    for why in unseen {
        session.ui.warn(why);
    }
    let mut rows = Vec::new();
    let mut failed = Vec::new();
    for (namespace, found) in secrets {
        match found {
            Ok(mut row) => {
                row.service_accounts = accounts.remove(&namespace).unwrap_or_default();
                row.pods = pods.remove(&namespace).unwrap_or_default();
                row.pods_without = without.remove(&namespace).unwrap_or_default();
                row.judge();
                let is_asked_for = job.namespaces.names().any(|name| name == namespace);
                if row.exists || is_asked_for || !row.problems.is_empty() {
                    rows.push(row);
                }
            }
            Err(error) => failed.push(in_cluster(&error)),
        }
    }
    session.ui.data(&rows, || text(&rows));
    match failed.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(Exit::Ok),
    }
}

/// What a pod has to do with the pull secret.
enum Use {
    Names,
    /// It has images of the registries and does not name the secret.
    Lacks,
    None,
}

fn use_of(pod: &Pod, secret: &str, hosts: &[&str]) -> Use {
    let Some(spec) = &pod.spec else {
        return Use::None;
    };
    let mut references = spec.image_pull_secrets.iter().flatten();
    if references.any(|reference| reference.name == secret) {
        return Use::Names;
    }
    let mut containers = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten());
    let ours = containers.any(|container| {
        container
            .image
            .as_deref()
            .is_some_and(|image| hosts.contains(&keyring::registry_of(image).as_str()))
    });
    if ours { Use::Lacks } else { Use::None }
}

fn row(job: &Job, namespace: &str, secret: Option<&Secret>, now: Timestamp) -> Row {
    let hosts = job.hosts();
    let policy = Policy {
        min_life: MINIMUM_LIFE,
        ..Policy::default()
    };
    let view = secret.map(pull_secret::view);
    // That it will be renewed soon is nothing wrong.
    let mut problems: Vec<String> = pull_secret::assess(secret, &hosts, "AWS", now, policy)
        .iter()
        .filter(|reason| !matches!(reason, Reason::ExpiresSoon { .. } | Reason::NoSecret))
        .map(ToString::to_string)
        .collect();
    problems.extend(view.as_ref().map(of_the_object).unwrap_or_default());
    let principal = view.as_ref().and_then(|view| view.principal.clone());
    Row {
        namespace: namespace.to_owned(),
        name: job.secret.clone(),
        exists: view.is_some(),
        expires_at: view
            .as_ref()
            .and_then(|view| hosts.iter().filter_map(|host| view.expiry_of(host)).min()),
        pull_only: job.is_pull_only(principal.as_deref()),
        principal,
        source: view.as_ref().and_then(|view| view.source.clone()),
        owner: view.as_ref().map(|view| view.owner.clone()),
        refreshed_by: view.as_ref().and_then(|view| view.refreshed_by.clone()),
        registries: view.map(|view| view.registries).unwrap_or_default(),
        service_accounts: BTreeSet::new(),
        pods: BTreeSet::new(),
        pods_without: BTreeSet::new(),
        problems,
    }
}

/// What keeps the object from being read or refreshed.
fn of_the_object(view: &PullSecretView) -> Vec<String> {
    let mut problems = Vec::new();
    if !view.readable_type {
        problems.push(format!("the kubelet does not read its type, {}", view.kind));
    } else if view.kind == pull_secret::LEGACY_TYPE {
        problems.push(format!(
            "it is of the older type {}, which is not refreshed",
            view.kind
        ));
    }
    if view.immutable {
        problems.push("it is immutable, so it cannot be refreshed".to_owned());
    }
    if view.owner.contests() {
        problems.push(format!("{} keeps it, so it is not refreshed", view.owner));
    }
    if view.names_stores {
        problems.push("it names credential stores, which no kubelet asks".to_owned());
    }
    let entries = view.registries.iter();
    problems.extend(entries.filter_map(|entry| {
        let problem = entry.problem.as_ref()?;
        Some(format!("{}: {problem}", entry.key.escape_debug()))
    }));
    problems
}

impl Row {
    /// Adds what only those who use the secret show.
    fn judge(&mut self) {
        let wanted = !self.pods.is_empty()
            || !self.pods_without.is_empty()
            || !self.service_accounts.is_empty();
        if !self.exists && wanted {
            self.problems.push("there is no secret".to_owned());
        }
        if self.exists && !self.pods_without.is_empty() {
            let count = self.pods_without.len();
            let pods = if count == 1 { "pod pulls" } else { "pods pull" };
            self.problems.push(format!(
                "{count} {pods} from its registry and do not name it"
            ));
        }
    }
}

fn text(rows: &[Row]) -> String {
    let dash = || "-".to_owned();
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let registries: Vec<String> = row
                .registries
                .iter()
                .map(|entry| entry.key.escape_debug().to_string())
                .collect();
            let power = if row.pull_only { " (pull only)" } else { "" };
            let mut problems = row.problems.clone();
            if !row.exists && problems.is_empty() {
                problems.push("there is no secret".to_owned());
            }
            vec![
                row.namespace.clone(),
                row.name.clone(),
                if registries.is_empty() {
                    dash()
                } else {
                    registries.join(",")
                },
                if row.exists {
                    time_left(row.expires_at)
                } else {
                    dash()
                },
                row.principal
                    .as_ref()
                    .map_or_else(dash, |principal| format!("{principal}{power}")),
                row.owner.as_ref().map_or_else(dash, ToString::to_string),
                joined(&row.service_accounts),
                row.pods.len().to_string(),
                problems.join("; "),
            ]
        })
        .collect();
    table(
        &[
            "NAMESPACE",
            "SECRET",
            "REGISTRIES",
            "LEFT",
            "PRINCIPAL",
            "OWNER",
            "ACCOUNTS",
            "PODS",
            "PROBLEM",
        ],
        &cells,
    )
}

fn joined(names: &BTreeSet<String>) -> String {
    if names.is_empty() {
        return "-".to_owned();
    }
    names
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use ecr_hybrid::host::Registry;
    use serde_json::json;

    use super::*;
    use crate::cluster::namespaces::Scope;
    use crate::commands::regcred::job::Wanted;

    const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
    const ROLE: &str = "arn:aws:iam::123456789012:role/shop-pull";

    fn job() -> Job {
        Job {
            secret: "regcred".to_owned(),
            logins: vec![Wanted {
                registry: Registry::parse(HOST).unwrap(),
                role: Some(ROLE.to_owned()),
            }],
            namespaces: Scope::default(),
            accounts: Vec::new(),
            unstick: true,
            force: false,
        }
    }

    fn row_of(secret: serde_json::Value) -> Row {
        let secret = serde_json::from_value(secret).unwrap();
        row(
            &job(),
            "shop",
            Some(&secret),
            "2026-11-23T10:00:00Z".parse().unwrap(),
        )
    }

    #[test]
    fn a_secret_that_cannot_be_refreshed_says_why() {
        let table = [
            (
                json!({ "type": "Opaque", "metadata": {} }),
                "the kubelet does not read its type, Opaque",
            ),
            (
                json!({ "type": "kubernetes.io/dockercfg", "metadata": {} }),
                "the older type",
            ),
            (
                json!({ "type": pull_secret::SECRET_TYPE, "metadata": {}, "immutable": true }),
                "immutable",
            ),
            (
                json!({ "type": pull_secret::SECRET_TYPE, "metadata": {
                "labels": { "app.kubernetes.io/managed-by": "Helm" } } }),
                "Helm keeps it",
            ),
        ];
        for (secret, expected) in table {
            let problems = row_of(secret).problems.join("; ");
            assert!(problems.contains(expected), "{problems}");
        }
    }

    #[test]
    fn a_token_is_pull_only_when_it_was_minted_through_the_role() {
        for (principal, expected) in [(ROLE, true), ("access key AKID", false)] {
            let row = row_of(json!({ "type": pull_secret::SECRET_TYPE, "metadata": {
                "annotations": { pull_secret::ANNOTATION_PRINCIPAL: principal } } }));
            assert_eq!(row.pull_only, expected, "{principal}");
        }
    }

    #[test]
    fn pods_that_pull_without_the_secret_are_a_problem() {
        let pod = |secrets: serde_json::Value, image: &str| -> Pod {
            serde_json::from_value(json!({ "metadata": { "name": "p" }, "spec": {
                "containers": [{ "name": "c", "image": image }], "imagePullSecrets": secrets } }))
            .unwrap()
        };
        let ours = format!("{HOST}/web:1");
        let hosts = [HOST];
        let named = pod(json!([{ "name": "regcred" }]), "busybox");
        assert!(matches!(use_of(&named, "regcred", &hosts), Use::Names));
        assert!(matches!(
            use_of(&pod(json!([]), &ours), "regcred", &hosts),
            Use::Lacks
        ));
        assert!(matches!(
            use_of(&pod(json!([]), "busybox"), "regcred", &hosts),
            Use::None
        ));
    }
}
