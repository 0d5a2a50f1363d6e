//! What the tests on a real cluster share: a namespace each, and workloads without a registry.

use std::future::Future;
use std::panic::resume_unwind;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kubectl_hybrid::cluster::rollout::{End, WaitOptions, wait};
use kubectl_hybrid::cluster::workload::WorkloadRef;
use kubectl_hybrid::cluster::{Cluster, ClusterOptions};
use kubectl_hybrid::project::contract::WorkloadKind;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(crate) const PAUSE: &str = "localhost/pause:1";

pub(crate) async fn connect() -> Cluster {
    let cluster = Cluster::from_kubeconfig(&ClusterOptions::default())
        .await
        .unwrap();
    cluster.version().await.unwrap();
    cluster
}

/// Runs a test in a namespace of its own and deletes the namespace, whatever happened.
pub(crate) async fn in_namespace<F, T>(test: F)
where
    F: FnOnce(Cluster, String) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    let cluster = connect().await;
    let api: Api<Namespace> = Api::all(cluster.client());
    let made = api
        .create(
            &PostParams::default(),
            &Namespace {
                metadata: ObjectMeta {
                    generate_name: Some("hybrid-test-".to_owned()),
                    ..ObjectMeta::default()
                },
                ..Namespace::default()
            },
        )
        .await
        .unwrap();
    let name = made.metadata.name.unwrap();
    let result = tokio::spawn(test(cluster.clone(), name.clone())).await;
    match api.delete(&name, &DeleteParams::default()).await {
        // A test may have done so itself.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
        deleted => drop(deleted.unwrap()),
    }
    if let Err(error) = result {
        resume_unwind(error.into_panic());
    }
}

pub(crate) fn api<K>(cluster: &Cluster, namespace: &str) -> Api<K>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    Api::namespaced(cluster.client(), namespace)
}

pub(crate) async fn make<K>(cluster: &Cluster, namespace: &str, object: Value) -> K
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Serialize
        + std::fmt::Debug,
    K::DynamicType: Default,
{
    let object: K = serde_json::from_value(object).unwrap();
    api::<K>(cluster, namespace)
        .create(&PostParams::default(), &object)
        .await
        .unwrap()
}

/// Asks until the answer is there. The API has no way to be told about every change.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            started.elapsed() < Duration::from_mins(1),
            "{what} did not happen"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A pod template that runs `script` in the node's busybox, inside the pause image.
pub(crate) fn script(script: &str) -> Value {
    json!({
        "image": PAUSE, "imagePullPolicy": "Never", "command": ["/bin/busybox", "sh", "-c", script],
        "volumeMounts": [{ "name": "busybox", "mountPath": "/bin/busybox", "readOnly": true }],
    })
}

pub(crate) fn spec(name: &str, container: &Value, pod: &Value) -> Value {
    let mut container = container.clone();
    container["name"] = json!("app");
    let mut template = json!({
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{ "name": "busybox", "hostPath": { "path": "/bin/busybox", "type": "File" } }],
    });
    for (key, value) in pod.as_object().unwrap() {
        template[key] = value.clone();
    }
    json!({
        "selector": { "matchLabels": { "app": name } },
        "template": { "metadata": { "labels": { "app": name } }, "spec": template },
    })
}

pub(crate) fn workload_ref(kind: WorkloadKind, namespace: &str, name: &str) -> WorkloadRef {
    WorkloadRef {
        kind,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

pub(crate) async fn deploy(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    container: &Value,
    pod: &Value,
) -> WorkloadRef {
    let spec = spec(name, container, pod);
    make::<Deployment>(
        cluster,
        namespace,
        json!({ "metadata": { "name": name }, "spec": spec }),
    )
    .await;
    workload_ref(WorkloadKind::Deployment, namespace, name)
}

pub(crate) async fn finish(
    cluster: &Cluster,
    workload: &WorkloadRef,
    seconds: u64,
) -> (End, Duration) {
    let options = WaitOptions {
        timeout: Duration::from_secs(seconds),
        ..WaitOptions::default()
    };
    let started = Instant::now();
    let end = wait(cluster, workload, &options, |_| {}).await.unwrap();
    (end, started.elapsed())
}

pub(crate) fn said(end: &End) -> String {
    match end {
        End::Complete(_) => "complete".to_owned(),
        End::Failed(failure) => {
            let words = failure.last_words.join("|");
            if words.is_empty() {
                failure.to_string()
            } else {
                format!("{failure} [{words}]")
            }
        }
        End::TimedOut(seen) => seen.to_string(),
    }
}
