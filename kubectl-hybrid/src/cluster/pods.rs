//! Pods: listing, their last words, and recreating those that wait for credentials.

use std::fmt;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams, LogParams, Preconditions};
use serde::Serialize;

use super::keyring;
use super::trouble::{Happening, PullFault, Trouble, explain, is_open, troubles};
use super::{Cluster, ClusterError};

/// The pods of a namespace, or those that a label query selects.
pub async fn list(
    cluster: &Cluster,
    namespace: &str,
    selector: Option<&str>,
) -> Result<Vec<Pod>, ClusterError> {
    let params = match selector {
        Some(selector) => ListParams::default().labels(selector),
        None => ListParams::default(),
    };
    api(cluster, namespace)
        .list(&params)
        .await
        .map(|list| list.items)
        .map_err(|error| {
            cluster.explain(format!("list the pods of namespace `{namespace}`"), &error)
        })
}

/// Reads a pod. `None` when there is none.
pub async fn read(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
) -> Result<Option<Pod>, ClusterError> {
    api(cluster, namespace)
        .get_opt(name)
        .await
        .map_err(|error| cluster.explain(format!("read pod `{name}`"), &error))
}

/// The pull secrets that a pod names.
pub fn pull_secrets(pod: &Pod) -> Vec<String> {
    pod.spec
        .iter()
        .flat_map(|spec| spec.image_pull_secrets.iter().flatten())
        .map(|reference| reference.name.clone())
        .collect()
}

/// The last lines that a container wrote: of the run before this one, else of this one.
///
/// Empty when there is nothing to be had; last words are a help, not a condition.
pub async fn last_words(
    cluster: &Cluster,
    namespace: &str,
    pod: &str,
    container: &str,
    lines: u32,
) -> Vec<String> {
    for previous in [true, false] {
        let params = LogParams {
            container: Some(container.to_owned()),
            previous,
            tail_lines: Some(i64::from(lines)),
            limit_bytes: Some(64 * 1024),
            ..LogParams::default()
        };
        if let Ok(text) = api(cluster, namespace).logs(pod, &params).await {
            let words: Vec<String> = text.lines().map(str::to_owned).collect();
            if !words.is_empty() && !is_excuse(&words) {
                return words;
            }
        }
    }
    Vec::new()
}

/// Whether these are the kubelet's words and not the container's: it answers 200 with its own error
/// text when the log file is gone, or goes while it looks.
fn is_excuse(words: &[String]) -> bool {
    const EXCUSES: [&str; 2] = [
        "unable to retrieve container logs",
        "failed to try resolving symlinks in path",
    ];
    matches!(words, [one] if EXCUSES.iter().any(|excuse| one.starts_with(excuse)))
}

/// The events about the object with this UID, oldest first.
pub async fn happenings(
    cluster: &Cluster,
    namespace: &str,
    uid: &str,
) -> Result<Vec<Happening>, ClusterError> {
    let api: Api<Event> = Api::namespaced(cluster.client(), namespace);
    let params = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
    let mut events = api
        .list(&params)
        .await
        .map_err(|error| {
            cluster.explain(
                format!("list the events of namespace `{namespace}`"),
                &error,
            )
        })?
        .items;
    events.sort_by_key(|event| {
        let seen = event.last_timestamp.as_ref().map(|time| time.0);
        seen.or_else(|| event.event_time.as_ref().map(|time| time.0))
    });
    Ok(events
        .into_iter()
        .map(|event| Happening {
            reason: event.reason.unwrap_or_default(),
            message: event.message.unwrap_or_default(),
            container: event
                .involved_object
                .field_path
                .as_deref()
                .and_then(container_of),
        })
        .collect())
}

/// `web` of `spec.containers{web}`.
fn container_of(field_path: &str) -> Option<String> {
    let (_, rest) = field_path.split_once('{')?;
    rest.strip_suffix('}').map(str::to_owned)
}

/// A trouble whose status does not say all gets its cause from the pod's events.
pub async fn with_cause_from_events(cluster: &Cluster, trouble: Trouble) -> Trouble {
    if !is_open(&trouble) {
        return trouble;
    }
    match happenings(cluster, &trouble.namespace, &trouble.pod_uid).await {
        Ok(happened) => explain(trouble, &happened),
        Err(_) => trouble,
    }
}

/// A pod that waits because of the credentials for one of our registries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StuckPod {
    /// What is wrong, with the pod's name and UID.
    pub trouble: Trouble,
    /// Who would make the pod anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<Controller>,
    /// What to do about it.
    pub remedy: Remedy,
    /// When the pod was made.
    pub created: Option<Timestamp>,
    /// The service account that gives the pod its pull secrets; none when it brings its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

impl StuckPod {
    /// Whether the pod uses the pull secret.
    pub fn is_linked(&self) -> bool {
        self.remedy != Remedy::LeaveUnlinked
    }

    /// Whether the status does not say why the image could not be pulled.
    pub fn is_unexplained(&self) -> bool {
        self.trouble.cause.pull_fault() == Some(PullFault::Unknown)
    }

    /// The same pod, now that its service account names the pull secret: made anew it gets it.
    #[must_use]
    pub fn linked_by(mut self, accounts: &[String]) -> Self {
        let linked = self
            .account
            .as_ref()
            .is_some_and(|account| accounts.contains(account));
        if self.remedy == Remedy::LeaveUnlinked && linked {
            self.remedy = remedy_of(self.controller.as_ref());
        }
        self
    }
}

/// The object that keeps a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Controller {
    /// Its kind, for example `ReplicaSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// What to do about a stuck pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Remedy {
    /// Delete it: its controller makes it anew, and a new pod pulls at once.
    Recreate,
    /// Nobody would make it anew.
    LeaveBare,
    /// A deleted pod of a Job counts as a failure; the kubelet tries again within five minutes.
    LeaveJob,
    /// Its controller is not one of Kubernetes' own.
    LeaveForeign,
    /// It does not use the pull secret, so fresh credentials do not help it.
    LeaveUnlinked,
}

impl Remedy {
    /// Why a pod is left alone, in words.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Recreate => "it is recreated",
            Self::LeaveBare => "no controller would make it anew",
            Self::LeaveJob => {
                "a deleted pod counts as a failure of its Job; it is tried again within five minutes"
            }
            Self::LeaveForeign => "its controller is not one of Kubernetes' own",
            Self::LeaveUnlinked => "it does not use the pull secret",
        }
    }
}

/// What came of recreating a pod.
#[derive(Debug)]
pub struct Recreated {
    /// The pod.
    pub pod: StuckPod,
    /// The error, when it could not be deleted.
    pub error: Option<ClusterError>,
}

/// The pods that cannot pull from `registries` because of their credentials, and what to do about
/// each. `secret` is the pull secret that was refreshed.
pub fn stuck(pods: &[Pod], registries: &[&str], secret: &str) -> Vec<StuckPod> {
    pods.iter()
        .filter_map(|pod| stuck_pod(pod, registries, secret))
        .collect()
}

fn stuck_pod(pod: &Pod, registries: &[&str], secret: &str) -> Option<StuckPod> {
    let trouble = troubles(pod).into_iter().find(|trouble| {
        let about_credentials = trouble.cause.pull_fault().is_some_and(|fault| {
            // Old kubelets do not say why they back off.
            fault.is_about_credentials() || fault == PullFault::Unknown
        });
        let ours = trouble
            .image
            .as_deref()
            .is_some_and(|image| registries.contains(&keyring::registry_of(image).as_str()));
        about_credentials && ours
    })?;
    let linked = pod
        .spec
        .iter()
        .flat_map(|spec| spec.image_pull_secrets.iter().flatten())
        .any(|reference| reference.name == secret);
    let controller = pod
        .metadata
        .owner_references
        .iter()
        .flatten()
        .find(|reference| reference.controller == Some(true))
        .map(|reference| Controller {
            kind: reference.kind.clone(),
            name: reference.name.clone(),
        });
    let remedy = if linked {
        remedy_of(controller.as_ref())
    } else {
        Remedy::LeaveUnlinked
    };
    let spec = pod.spec.as_ref();
    let brings_its_own = spec
        .and_then(|spec| spec.image_pull_secrets.as_ref())
        .is_some_and(|list| !list.is_empty());
    Some(StuckPod {
        trouble,
        controller,
        remedy,
        created: pod.metadata.creation_timestamp.as_ref().map(|at| at.0),
        account: spec
            .and_then(|spec| spec.service_account_name.clone())
            .filter(|_| !brings_its_own),
    })
}

fn remedy_of(controller: Option<&Controller>) -> Remedy {
    match controller.map(|controller| controller.kind.as_str()) {
        Some("ReplicaSet" | "StatefulSet" | "DaemonSet" | "ReplicationController") => {
            Remedy::Recreate
        }
        Some("Job") => Remedy::LeaveJob,
        // A node owns its static pods.
        Some("Node") | None => Remedy::LeaveBare,
        Some(_) => Remedy::LeaveForeign,
    }
}

/// Deletes the pods whose remedy is [`Remedy::Recreate`]; the others are passed over.
///
/// A pod is deleted only under the UID that was seen, so that its successor is safe.
pub async fn recreate(cluster: &Cluster, stuck: Vec<StuckPod>) -> Vec<Recreated> {
    let mut done = Vec::new();
    for pod in stuck
        .into_iter()
        .filter(|pod| pod.remedy == Remedy::Recreate)
    {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(pod.trouble.pod_uid.clone()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let answer = api(cluster, &pod.trouble.namespace)
            .delete(&pod.trouble.pod, &params)
            .await;
        let error = match answer {
            Ok(_) => None,
            // Gone already, or its successor is there.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => None,
            Err(error) => {
                Some(cluster.explain(format!("delete pod `{}`", pod.trouble.pod), &error))
            }
        };
        done.push(Recreated { pod, error });
    }
    done
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.to_ascii_lowercase(), self.name)
    }
}

fn api(cluster: &Cluster, namespace: &str) -> Api<Pod> {
    Api::namespaced(cluster.client(), namespace)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const OURS: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

    fn pod(owner: Option<&str>, image: &str, message: &str, secrets: &Value) -> Pod {
        let owners: Vec<Value> = owner
            .into_iter()
            .map(|kind| json!({ "apiVersion": "v1", "kind": kind, "name": "o", "uid": "o", "controller": true }))
            .collect();
        serde_json::from_value(json!({
            "metadata": { "name": "p", "namespace": "shop", "uid": "u", "ownerReferences": owners },
            "spec": { "containers": [{ "name": "c", "image": image }], "imagePullSecrets": secrets },
            "status": { "phase": "Pending", "containerStatuses": [{
                "name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "waiting": { "reason": "ImagePullBackOff", "message": message } } }] },
        }))
        .unwrap()
    }

    #[test]
    fn the_words_of_the_kubelet_are_no_last_words() {
        let of = |text: &str| is_excuse(&text.lines().map(str::to_owned).collect::<Vec<_>>());
        assert!(of("unable to retrieve container logs for containerd://1"));
        assert!(of(
            "failed to try resolving symlinks in path \"/var/log/1.log\": lstat"
        ));
        assert!(!of("failed to open the door"));
        assert!(!of("unable to retrieve container logs\nis what I say"));
        assert!(!of(""));
    }

    #[test]
    fn a_pod_that_got_no_secret_is_recreated_once_its_account_names_it() {
        let image = format!("{OURS}/dev/web:1");
        let account = |mut pod: Pod| {
            pod.spec.as_mut().unwrap().service_account_name = Some("builder".to_owned());
            stuck(&[pod], &[OURS], "regcred").remove(0)
        };
        let unlinked = account(pod(Some("ReplicaSet"), &image, "403 Forbidden", &json!([])));
        assert!(!unlinked.is_linked());
        let others = ["default".to_owned()];
        assert_eq!(
            unlinked.clone().linked_by(&others).remedy,
            Remedy::LeaveUnlinked
        );
        let its = ["builder".to_owned()];
        assert_eq!(unlinked.linked_by(&its).remedy, Remedy::Recreate);
        // Its own list hides that of the account.
        let own = json!([{ "name": "other" }]);
        let masked = account(pod(Some("ReplicaSet"), &image, "403 Forbidden", &own));
        assert_eq!(masked.linked_by(&its).remedy, Remedy::LeaveUnlinked);
        let bare = account(pod(None, &image, "403 Forbidden", &json!([])));
        assert_eq!(bare.linked_by(&its).remedy, Remedy::LeaveBare);
    }

    #[test]
    fn only_pods_that_wait_for_our_credentials_are_stuck_and_only_kept_ones_are_recreated() {
        let image = format!("{OURS}/dev/web@sha256:00");
        let regcred = json!([{ "name": "other" }, { "name": "regcred" }]);
        let table = [
            (
                pod(Some("ReplicaSet"), &image, "403 Forbidden", &regcred),
                Some(Remedy::Recreate),
            ),
            (
                pod(Some("StatefulSet"), &image, "403 Forbidden", &regcred),
                Some(Remedy::Recreate),
            ),
            (
                pod(
                    Some("DaemonSet"),
                    &image,
                    "Back-off pulling image",
                    &regcred,
                ),
                Some(Remedy::Recreate),
            ),
            (
                pod(Some("Job"), &image, "403 Forbidden", &regcred),
                Some(Remedy::LeaveJob),
            ),
            (
                pod(Some("Workflow"), &image, "403 Forbidden", &regcred),
                Some(Remedy::LeaveForeign),
            ),
            (
                pod(Some("Node"), &image, "403 Forbidden", &regcred),
                Some(Remedy::LeaveBare),
            ),
            (
                pod(None, &image, "403 Forbidden", &regcred),
                Some(Remedy::LeaveBare),
            ),
            (
                pod(
                    Some("ReplicaSet"),
                    &image,
                    "no basic auth credentials",
                    &json!([]),
                ),
                Some(Remedy::LeaveUnlinked),
            ),
            (
                pod(Some("ReplicaSet"), &image, "manifest unknown", &regcred),
                None,
            ),
            (
                pod(Some("ReplicaSet"), &image, "no such host", &regcred),
                None,
            ),
            (
                pod(
                    Some("ReplicaSet"),
                    "r.example/web:1",
                    "403 Forbidden",
                    &regcred,
                ),
                None,
            ),
            (
                pod(Some("ReplicaSet"), "busybox", "403 Forbidden", &regcred),
                None,
            ),
        ];
        for (pod, expected) in table {
            let found = stuck(std::slice::from_ref(&pod), &[OURS], "regcred");
            assert_eq!(found.first().map(|stuck| stuck.remedy), expected, "{pod:?}");
        }
    }
}
