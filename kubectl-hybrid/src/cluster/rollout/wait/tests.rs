use std::sync::{Arc, Mutex};

use http::Method;
use serde_json::{Value, json};

use super::super::memory::SETTLE_AFTER_CRASH;
use super::*;
use crate::cluster::fake::{self, Answer};
use crate::project::contract::WorkloadKind;

fn workload() -> WorkloadRef {
    WorkloadRef {
        kind: WorkloadKind::Deployment,
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
    }
}

fn deployment(ready: i32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "web", "namespace": "shop", "uid": "d", "generation": 2,
            "annotations": { "deployment.kubernetes.io/revision": "2" } },
        "spec": { "replicas": 1, "selector": { "matchLabels": { "app": "web" } },
            "template": { "spec": { "containers": [{ "name": "web", "image": "r/web@sha256:00" }] } } },
        "status": { "observedGeneration": 2, "replicas": 1, "updatedReplicas": 1,
            "readyReplicas": ready, "availableReplicas": ready },
    })
}

fn list(kind: &str, items: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": format!("{kind}List"), "metadata": {}, "items": items })
}

fn replica_sets() -> Value {
    list(
        "ReplicaSet",
        json!([{ "metadata": { "name": "web-b", "uid": "rs",
        "annotations": { "deployment.kubernetes.io/revision": "2" },
        "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d" }] } }]),
    )
}

fn pod(reason: &str, message: &str, last: &Value, restarts: i32) -> Value {
    json!({
        "metadata": { "name": "web-b-1", "namespace": "shop", "uid": "p", "ownerReferences": [
            { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-b", "uid": "rs" }] },
        "spec": { "containers": [{ "name": "web", "image": "r/web@sha256:00" }] },
        "status": { "phase": "Pending", "containerStatuses": [{ "name": "web", "image": "",
            "imageID": "", "ready": false, "restartCount": restarts,
            "state": { "waiting": { "reason": reason, "message": message } }, "lastState": last }] },
    })
}

fn up(restarts: i32) -> Value {
    let mut up = pod("", "", &json!({}), restarts);
    up["status"]["containerStatuses"][0]["state"] = json!({ "running": {} });
    up["status"]["containerStatuses"][0]["ready"] = json!(true);
    up
}

/// Answers with one Deployment and one pod, each the value of the moment.
fn server(deployment: impl Fn() -> Answer + Send + 'static, pod: Value) -> Cluster {
    fake::cluster(
        move |request| match (request.method.clone(), request.path.as_str()) {
            (Method::GET, "/apis/apps/v1/namespaces/shop/deployments/web") => deployment(),
            (Method::GET, "/api/v1/namespaces/shop") => {
                fake::ok(json!({ "metadata": { "name": "shop" } }))
            }
            (Method::GET, "/apis/apps/v1/namespaces/shop/replicasets") => fake::ok(replica_sets()),
            (Method::GET, "/api/v1/namespaces/shop/pods") => fake::ok(list("Pod", json!([pod]))),
            (Method::GET, "/api/v1/namespaces/shop/events") => fake::ok(list("Event", json!([]))),
            (Method::GET, "/api/v1/namespaces/shop/pods/web-b-1/log") => {
                fake::text("connecting\nno database\n")
            }
            _ => fake::not_found(request),
        },
    )
}

async fn wait_for(cluster: &Cluster, options: &WaitOptions) -> (End, Duration, Vec<String>) {
    let mut said = Vec::new();
    let started = Instant::now();
    let end = wait(cluster, &workload(), options, |update| {
        said.push(update.waiting_for.clone());
    })
    .await
    .unwrap();
    (end, started.elapsed(), said)
}

fn cause(end: End) -> (FailureCause, Vec<String>) {
    match end {
        End::Failed(failure) => (failure.cause, failure.last_words),
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_end_the_waiting_at_the_first_look() {
    let pod = pod(
        "ErrImagePull",
        "unexpected status: 403 Forbidden",
        &json!({}),
        0,
    );
    let cluster = server(|| fake::ok(deployment(0)), pod);
    let (end, took, _) = wait_for(&cluster, &WaitOptions::default()).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(matches!(
        cause(end).0,
        FailureCause::Pod {
            old_revision: false,
            ..
        }
    ));
}

#[tokio::test(start_paused = true)]
async fn a_network_fault_gets_time_for_a_second_try() {
    let pod = pod(
        "ErrImagePull",
        "dial tcp: lookup r: no such host",
        &json!({}),
        0,
    );
    let cluster = server(|| fake::ok(deployment(0)), pod);
    let (end, took, said) = wait_for(&cluster, &WaitOptions::default()).await;
    assert!(
        took >= Duration::from_secs(20) && took < Duration::from_secs(23),
        "{took:?}"
    );
    assert_eq!(said, ["0 of 1 pods are ready"]);
    assert!(matches!(end, End::Failed(_)));
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_ends_with_the_last_words() {
    let last = json!({ "terminated": { "exitCode": 3, "reason": "Error" } });
    let cluster = server(
        || fake::ok(deployment(0)),
        pod("CrashLoopBackOff", "", &last, 2),
    );
    let (end, _, _) = wait_for(&cluster, &WaitOptions::default()).await;
    let (cause, last_words) = cause(end);
    assert_eq!(
        cause.to_string(),
        "pod `web-b-1`, container `web`: the container ends with exit code 3, 3 times so far"
    );
    assert_eq!(last_words, ["connecting", "no database"]);
}

#[tokio::test(start_paused = true)]
async fn a_first_crash_is_waited_out_until_the_time_is_up() {
    let last = json!({ "terminated": { "exitCode": 3, "reason": "Error" } });
    let cluster = server(
        || fake::ok(deployment(0)),
        pod("CrashLoopBackOff", "", &last, 0),
    );
    let options = WaitOptions {
        timeout: Duration::from_secs(9),
        ..WaitOptions::default()
    };
    let (end, took, _) = wait_for(&cluster, &options).await;
    assert!(
        took >= Duration::from_secs(9) && took < Duration::from_secs(10),
        "{took:?}"
    );
    match end {
        End::TimedOut(seen) => assert_eq!(
            seen.to_string(),
            "deployment/web did not roll out in time: 0 of 1 pods are ready; pod `web-b-1`, \
             container `web`: the container ends with exit code 3"
        ),
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_up_for_a_moment_only_does_not_count() {
    let mut up = up(2);
    let settles = server(|| fake::ok(deployment(1)), up.clone());
    let (end, took, _) = wait_for(&settles, &WaitOptions::default()).await;
    assert!(matches!(end, End::Complete(_)), "{end:?}");
    assert!(took >= SETTLE_AFTER_CRASH, "{took:?}");
    // With a readiness probe the cluster has looked already.
    up["spec"]["containers"][0]["readinessProbe"] = json!({ "httpGet": { "port": 80 } });
    let probed = server(|| fake::ok(deployment(1)), up);
    let (end, took, _) = wait_for(&probed, &WaitOptions::default()).await;
    assert!(
        matches!(end, End::Complete(_)) && took < Duration::from_secs(1),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_change_left_and_a_watch_tells_is_not_read() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let mut ready = up(0);
    ready["spec"]["containers"][0]["readinessProbe"] = json!({ "httpGet": { "port": 80 } });
    let version = |number: &str, ready: i32| {
        let mut object = deployment(ready);
        object["metadata"]["resourceVersion"] = json!(number);
        object
    };
    let told = json!({ "type": "MODIFIED", "object": version("8", 1) });
    let cluster = fake::cluster(move |request| {
        let (_, what) = request.path.rsplit_once('/').unwrap();
        seen.lock().unwrap().push(what.to_owned());
        match what {
            "deployments" => {
                assert!(
                    request.query.contains("resourceVersion=7"),
                    "{}",
                    request.query
                );
                fake::text(&format!("{told}\n"))
            }
            "replicasets" => fake::ok(replica_sets()),
            "pods" => fake::ok(list("Pod", json!([ready]))),
            _ => fake::not_found(request),
        }
    });
    let left: k8s_openapi::api::apps::v1::Deployment =
        serde_json::from_value(version("7", 0)).unwrap();
    let options = WaitOptions {
        changed: Some(left.into()),
        ..WaitOptions::default()
    };
    let (end, _, _) = wait_for(&cluster, &options).await;
    assert!(matches!(end, End::Complete(_)), "{end:?}");
    assert_eq!(
        *asked.lock().unwrap(),
        ["deployments", "pods", "replicasets"]
    );
}

#[tokio::test(start_paused = true)]
async fn another_deploy_in_between_is_noticed() {
    let cluster = server(
        || fake::ok(deployment(0)),
        pod("ContainerCreating", "", &json!({}), 0),
    );
    let expected = vec![ContainerPin {
        container: "web".into(),
        image: "r/web@sha256:11".into(),
    }];
    let options = WaitOptions {
        expected,
        ..WaitOptions::default()
    };
    let (end, _, _) = wait_for(&cluster, &options).await;
    assert!(matches!(cause(end).0, FailureCause::Superseded { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_restarts_is_waited_for_and_one_that_stays_away_is_not() {
    let looks = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&looks);
    let cluster = server(
        move || {
            let mut looks = counted.lock().unwrap();
            *looks += 1;
            match *looks {
                1 => fake::ok(deployment(0)),
                2..=5 => fake::status(500, "InternalError", "etcd leader changed"),
                _ => fake::ok(deployment(1)),
            }
        },
        up(0),
    );
    let (end, _, _) = wait_for(&cluster, &WaitOptions::default()).await;
    assert!(matches!(end, End::Complete(_)), "{end:?}");

    let cluster = server(|| fake::status(500, "InternalError", "no"), json!({}));
    let started = Instant::now();
    let error = wait(&cluster, &workload(), &WaitOptions::default(), |_| {})
        .await
        .unwrap_err();
    assert!(
        matches!(error, ClusterError::Api { code: 500, .. }),
        "{error}"
    );
    assert!(started.elapsed() >= PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn a_workload_that_is_deleted_meanwhile_is_gone_and_so_is_its_namespace() {
    let namespace = |deleted: Option<&str>| json!({ "metadata": { "name": "shop", "deletionTimestamp": deleted } });
    let table = [
        (None, FailureCause::NamespaceGone),
        (
            Some(namespace(Some("2026-11-23T10:00:00Z"))),
            FailureCause::NamespaceGone,
        ),
        (Some(namespace(None)), FailureCause::Gone),
    ];
    for (namespace, expected) in table {
        let cluster = fake::cluster(move |request| match (request.path.as_str(), &namespace) {
            ("/api/v1/namespaces/shop", Some(namespace)) => fake::ok(namespace.clone()),
            _ => fake::not_found(request),
        });
        let (end, _, _) = wait_for(&cluster, &WaitOptions::default()).await;
        assert_eq!(cause(end).0, expected);
    }
}
