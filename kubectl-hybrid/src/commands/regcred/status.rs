//! `kubectl hybrid regcred status`: each pull secret, who uses it, and what is wrong with it.

mod row;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};

use super::in_cluster;
use super::job::{Job, scope};
use super::power::Power;
use super::sync::ended;
use crate::cli::RegcredStatus;
use crate::cluster::{keyring, listing, pull_secret, service_account};
use crate::commands::session::{Session, guard};
use crate::commands::time_left;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::table;
use row::{Login, Row};

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
            Row::of(&job, namespace, secret.as_ref(), now)
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
                if row.exists == Some(true) || is_asked_for || !row.problems.is_empty() {
                    rows.push(row);
                }
            }
            Err(error) => {
                let error = in_cluster(&error);
                rows.push(Row::unread(&job, &namespace, error.to_string()));
                failed.push(error);
            }
        }
    }
    session.ui.data(&rows, || text(&rows));
    ended(session.ui, failed)
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

fn text(rows: &[Row]) -> String {
    let dash = || "-".to_owned();
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let registries: Vec<String> = row
                .registries
                .iter()
                .map(|login| login.entry.key.escape_debug().to_string())
                .collect();
            let exists = row.exists == Some(true);
            let mut problems = row.problems.clone();
            if !exists && problems.is_empty() {
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
                if exists {
                    time_left(row.expires_at)
                } else {
                    dash()
                },
                principals(row).unwrap_or_else(dash),
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

/// Whose the logins for Amazon ECR are, and what they may do: once when all are alike, else in the
/// order of the registries.
fn principals(row: &Row) -> Option<String> {
    let told = |login: &Login| {
        let principal = login.entry.principal.as_ref()?;
        Some(match login.power {
            Some(Power::PullOnly) => format!("{principal} (pull only)"),
            Some(Power::Caller) => format!("{principal} (caller's rights)"),
            Some(Power::TooMuch) | None => principal.clone(),
        })
    };
    let mut of_ecr = row
        .registries
        .iter()
        .filter(|login| login.is_ecr())
        .map(told);
    let first = of_ecr.next()?;
    if of_ecr.all(|other| other == first) {
        return first;
    }
    let all: Vec<String> = row
        .registries
        .iter()
        .map(|login| told(login).unwrap_or_else(|| "-".to_owned()))
        .collect();
    Some(all.join(","))
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
    use serde_json::json;

    use super::*;
    use crate::cluster::namespaces::Scope;
    use crate::cluster::pull_secret::RegistryView;

    const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

    fn job() -> Job {
        Job {
            secret: "regcred".to_owned(),
            logins: Vec::new(),
            namespaces: Scope::default(),
            accounts: Vec::new(),
            unstick: true,
            force: false,
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

    #[test]
    fn identities_are_told_once_when_they_are_alike_and_else_by_registry() {
        let other = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
        let mut row = Row::unread(&job(), "shop", String::new());
        let mut told = |logins: &[(&str, Option<&str>, Option<Power>)]| {
            row.registries = logins
                .iter()
                .map(|(key, principal, power)| Login {
                    entry: RegistryView {
                        key: (*key).to_owned(),
                        username: Some("AWS".to_owned()),
                        expires_at: None,
                        principal: principal.map(str::to_owned),
                        source: None,
                        problem: None,
                    },
                    power: *power,
                })
                .collect();
            principals(&row)
        };
        let (pull_only, caller) = (Some(Power::PullOnly), Some(Power::Caller));
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[("ghcr.io", None, None), (HOST, None, None)]), None);
        let alike = [
            ("ghcr.io", None, None),
            (HOST, Some("me"), caller),
            (other, Some("me"), caller),
        ];
        assert_eq!(told(&alike).unwrap(), "me (caller's rights)");
        let different = [
            (HOST, Some("role"), pull_only),
            ("ghcr.io", None, None),
            (other, Some("them"), None),
        ];
        assert_eq!(told(&different).unwrap(), "role (pull only),-,them");
    }
}
