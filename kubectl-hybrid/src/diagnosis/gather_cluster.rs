//! Asking the API server for what the checks need.

use futures::future::{join, join_all, join3};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::facts::{ClusterFacts, Known, PodFacts, WorkloadFacts};
use crate::cluster::pull_secret::{self, SecretRef};
use crate::cluster::trouble::{Cause, troubles};
use crate::cluster::workload::{self, WorkloadRef, WorkloadState};
use crate::cluster::{Cluster, ClusterError, pods, service_account};

const LAST_WORDS: u32 = 10;

/// What to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterQuestion {
    /// The namespace of the workspace.
    pub namespace: String,
    /// The name of the pull secret.
    pub pull_secret: String,
    /// The service account of the workloads.
    pub service_account: String,
    /// The services.
    pub services: Vec<ServiceQuestion>,
}

/// A service to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceQuestion {
    /// Its name.
    pub service: String,
    /// Its workload.
    pub workload: WorkloadRef,
    /// The container that runs its image.
    pub container: String,
}

/// Gathers what the API server says. Unknown when it does not answer at all; what it refuses in
/// part is unknown in part.
pub async fn gather_cluster(cluster: &Cluster, question: &ClusterQuestion) -> Known<ClusterFacts> {
    let version = match cluster.version().await {
        Ok(version) => version,
        Err(error) => return unknown(&error),
    };
    let secret = SecretRef {
        namespace: question.namespace.clone(),
        name: question.pull_secret.clone(),
    };
    let (namespace_state, pull_secret, names_secret) = join3(
        cluster.namespace_state(&question.namespace),
        pull_secret::read(cluster, &secret),
        service_account::names_secret(
            cluster,
            &question.namespace,
            &question.service_account,
            &question.pull_secret,
        ),
    )
    .await;
    let workloads = join_all(
        question
            .services
            .iter()
            .map(|service| service_facts(cluster, service)),
    )
    .await;
    Known::Known(ClusterFacts {
        version,
        namespace: question.namespace.clone(),
        namespace_state: from_answer(namespace_state),
        pull_secret_name: question.pull_secret.clone(),
        pull_secret: from_answer(pull_secret.map(|found| found.as_ref().map(pull_secret::view))),
        service_account: question.service_account.clone(),
        service_account_names_secret: from_answer(names_secret),
        workloads,
    })
}

async fn service_facts(cluster: &Cluster, question: &ServiceQuestion) -> WorkloadFacts {
    let state = from_answer(workload::read(cluster, &question.workload).await);
    let pods = match state.known() {
        Some(Some(state)) => pods_of(cluster, state).await,
        _ => Known::NotAsked,
    };
    WorkloadFacts {
        service: question.service.clone(),
        workload: question.workload.clone(),
        container: question.container.clone(),
        state,
        pods,
    }
}

async fn pods_of(cluster: &Cluster, state: &WorkloadState) -> Known<Vec<PodFacts>> {
    match pods::list(cluster, &state.workload.namespace, Some(&state.selector)).await {
        Ok(pods) => Known::Known(join_all(pods.iter().map(|pod| pod_facts(cluster, pod))).await),
        Err(error) => unknown(&error),
    }
}

async fn pod_facts(cluster: &Cluster, pod: &Pod) -> PodFacts {
    let found = join_all(
        troubles(pod)
            .into_iter()
            .map(|trouble| pods::with_cause_from_events(cluster, trouble)),
    );
    let crashed = troubles(pod).into_iter().find(|trouble| {
        matches!(
            trouble.cause,
            Cause::Crash { .. } | Cause::OutOfMemory { .. }
        )
    });
    let words = async {
        match crashed.and_then(|trouble| Some((trouble.namespace, trouble.pod, trouble.container?)))
        {
            Some((namespace, pod, container)) => {
                pods::last_words(cluster, &namespace, &pod, &container, LAST_WORDS).await
            }
            None => Vec::new(),
        }
    };
    let (troubles, last_words) = join(found, words).await;
    PodFacts {
        name: pod.metadata.name.clone().unwrap_or_default(),
        created: created(pod),
        pull_secrets: pods::pull_secrets(pod),
        troubles,
        last_words,
    }
}

fn created(pod: &Pod) -> Option<Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

fn from_answer<T>(answer: Result<T, ClusterError>) -> Known<T> {
    match answer {
        Ok(fact) => Known::Known(fact),
        Err(error) => unknown(&error),
    }
}

fn unknown<T>(error: &ClusterError) -> Known<T> {
    Known::unknown(error.to_string(), error.hint())
}
