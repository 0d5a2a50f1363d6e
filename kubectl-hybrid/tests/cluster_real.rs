//! The cluster room against a real API server, controllers, kubelet and containerd.
//!
//! They run where `KUBECONFIG` leads, in namespaces of their own that are deleted at the end. The
//! node must have the image `localhost/pause:1`, and a static busybox at `/bin/busybox`.

#![expect(
    clippy::unwrap_used,
    reason = "A test ends where something is not as it should be."
)]

use std::future::Future;
use std::panic::resume_unwind;
use std::time::{Duration, Instant};

use ecr_hybrid::secret::Secret;
use futures::future::{join_all, try_join_all};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{
    ConfigMap, Namespace, Pod, ResourceQuota, Secret as SecretObject, ServiceAccount,
};
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kubectl_hybrid::cluster::pods::{self, Remedy};
use kubectl_hybrid::cluster::pull_secret::{
    self, Change, Marks, Outcome, Policy, PullSecretError, Refusal, RegistryLogin, SecretRef, sync,
    view,
};
use kubectl_hybrid::cluster::rollout::{End, WaitOptions, wait};
use kubectl_hybrid::cluster::service_account::{Link, link};
use kubectl_hybrid::cluster::trouble::PullFault;
use kubectl_hybrid::cluster::workload::{self, ContainerPin, WorkloadRef};
use kubectl_hybrid::cluster::{Cluster, ClusterError, ClusterOptions, NamespaceState};
use kubectl_hybrid::diagnosis::{
    self, ClusterQuestion, Facts, Known, ServiceQuestion, gather_cluster,
};
use kubectl_hybrid::project::contract::WorkloadKind;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const PAUSE: &str = "localhost/pause:1";
const REGISTRY: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

async fn connect() -> Cluster {
    let cluster = Cluster::from_kubeconfig(&ClusterOptions::default())
        .await
        .unwrap();
    cluster.version().await.unwrap();
    cluster
}

/// Runs a test in a namespace of its own and deletes the namespace, whatever happened.
async fn in_namespace<F, T>(test: F)
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
    api.delete(&name, &DeleteParams::default()).await.unwrap();
    if let Err(error) = result {
        resume_unwind(error.into_panic());
    }
}

fn api<K>(cluster: &Cluster, namespace: &str) -> Api<K>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    Api::namespaced(cluster.client(), namespace)
}

async fn make<K>(cluster: &Cluster, namespace: &str, object: Value) -> K
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
async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
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

// The pull secret.

fn regcred(namespace: &str) -> SecretRef {
    SecretRef {
        namespace: namespace.to_owned(),
        name: "regcred".to_owned(),
    }
}

async fn sync_login(
    cluster: &Cluster,
    target: &SecretRef,
    registry: &str,
    username: &str,
    password: &str,
) -> Result<Outcome, PullSecretError> {
    let now = Timestamp::now();
    let password = Secret::new(password.to_owned());
    let login = RegistryLogin {
        registry,
        username,
        password: &password,
        expires_at: now + SignedDuration::from_hours(12),
    };
    let marks = Marks {
        principal: None,
        refreshed_by: "kubectl-hybrid/test".to_owned(),
    };
    let policy = Policy {
        min_life: Duration::from_hours(6),
        ..Policy::default()
    };
    sync(cluster, target, &[login], &marks, policy, now).await
}

async fn read(cluster: &Cluster, target: &SecretRef) -> SecretObject {
    pull_secret::read(cluster, target).await.unwrap().unwrap()
}

fn config(secret: &SecretObject) -> String {
    String::from_utf8(secret.data.as_ref().unwrap()[".dockerconfigjson"].0.clone()).unwrap()
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_pull_secret_is_made_left_alone_while_fresh_and_merged_in_place() {
    in_namespace(|cluster, namespace| async move {
        let target = regcred(&namespace);
        let made = sync_login(&cluster, &target, REGISTRY, "AWS", "one")
            .await
            .unwrap();
        assert_eq!(made.change, Change::Created);
        let first = read(&cluster, &target).await;
        let seen = view(&first);
        assert_eq!(
            seen.expiry_of(REGISTRY).map(Timestamp::as_second),
            made.expires_at.map(Timestamp::as_second)
        );
        assert_eq!(seen.owner.to_string(), "kubectl-hybrid");
        let managers: Vec<_> = first.metadata.managed_fields.iter().flatten().collect();
        assert_eq!(managers[0].manager.as_deref(), Some("kubectl-hybrid"));

        let again = sync_login(&cluster, &target, REGISTRY, "AWS", "two")
            .await
            .unwrap();
        assert_eq!(again.change, Change::None);
        let second = read(&cluster, &target).await;
        assert_eq!(
            second.metadata.resource_version,
            first.metadata.resource_version
        );

        // Somebody adds a login of another registry in their own spelling and style.
        let foreign = r#""r.example": { "auth":"dTpw", "n": 1.0e5 }"#;
        let theirs =
            config(&second).replace(r#"{"auths":{"#, &format!(r#"{{"auths":{{{foreign},"#));
        let patch = json!({ "stringData": { ".dockerconfigjson": theirs } });
        api::<SecretObject>(&cluster, &namespace)
            .patch("regcred", &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
        let other = "210987654321.dkr.ecr.us-east-1.amazonaws.com";
        let merged = sync_login(&cluster, &target, other, "AWS", "three")
            .await
            .unwrap();
        assert!(matches!(merged.change, Change::Updated { .. }));
        let third = read(&cluster, &target).await;
        assert_eq!(third.metadata.uid, first.metadata.uid);
        let text = config(&third);
        assert!(
            text.contains(r#""r.example":{ "auth":"dTpw", "n": 1.0e5 }"#),
            "{text}"
        );
        assert!(text.contains(REGISTRY) && text.contains(other), "{text}");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn writers_at_the_same_time_lose_nothing() {
    in_namespace(|cluster, namespace| async move {
        let target = regcred(&namespace);
        let registries: Vec<String> = (0..4).map(|number| format!("r{number}.example")).collect();
        try_join_all(
            registries
                .iter()
                .map(|registry| sync_login(&cluster, &target, registry, "AWS", "x")),
        )
        .await
        .unwrap();
        let seen = view(&read(&cluster, &target).await);
        for registry in &registries {
            assert!(
                seen.entry(registry).is_some(),
                "{registry} is lost: {seen:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn what_the_api_server_would_not_take_is_refused_before_it_is_sent() {
    in_namespace(|cluster, namespace| async move {
        make::<SecretObject>(
            &cluster,
            &namespace,
            json!({
            "metadata": { "name": "opaque" }, "stringData": { "x": "y" } }),
        )
        .await;
        make::<SecretObject>(
            &cluster,
            &namespace,
            json!({
            "metadata": { "name": "frozen" }, "type": "kubernetes.io/dockerconfigjson",
            "immutable": true, "stringData": { ".dockerconfigjson": "{}" } }),
        )
        .await;
        let refusal = |name: &str| {
            let target = SecretRef {
                namespace: namespace.clone(),
                name: name.to_owned(),
            };
            let cluster = cluster.clone();
            async move {
                match sync_login(&cluster, &target, REGISTRY, "AWS", "x")
                    .await
                    .unwrap_err()
                {
                    PullSecretError::Refused { refusal, .. } => refusal,
                    other => unreachable!("{other}"),
                }
            }
        };
        assert_eq!(
            refusal("opaque").await,
            Refusal::WrongType {
                found: "Opaque".to_owned()
            }
        );
        assert_eq!(refusal("frozen").await, Refusal::Immutable);
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn an_entry_that_breaks_the_others_is_dropped_and_reported() {
    in_namespace(|cluster, namespace| async move {
        // The API server takes it.
        make::<SecretObject>(
            &cluster,
            &namespace,
            json!({
            "metadata": { "name": "regcred" }, "type": "kubernetes.io/dockerconfigjson",
            "stringData": { ".dockerconfigjson":
                r#"{"auths":{"bad.example":{"auth":"%%%"},"good.example":{"auth":"dTpw"}}}"# } }),
        )
        .await;
        let target = regcred(&namespace);
        let outcome = sync_login(&cluster, &target, REGISTRY, "AWS", "x")
            .await
            .unwrap();
        match outcome.change {
            Change::Updated { dropped, .. } => assert_eq!(dropped, ["bad.example"]),
            other => unreachable!("{other:?}"),
        }
        let seen = view(&read(&cluster, &target).await);
        assert!(seen.entry("good.example").is_some() && seen.entry("bad.example").is_none());
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_namespace_that_is_missing_or_ending_is_named() {
    let cluster = connect().await;
    let target = regcred("hybrid-test-missing");
    let error = sync_login(&cluster, &target, REGISTRY, "AWS", "x")
        .await
        .unwrap_err();
    assert!(
        matches!(error, PullSecretError::NoNamespace { .. }),
        "{error}"
    );

    in_namespace(|cluster, namespace| async move {
        // A finalizer keeps the namespace in its last state.
        make::<ConfigMap>(
            &cluster,
            &namespace,
            json!({
            "metadata": { "name": "keeper", "finalizers": ["hybrid.test/keep"] } }),
        )
        .await;
        let namespaces: Api<Namespace> = Api::all(cluster.client());
        namespaces
            .delete(&namespace, &DeleteParams::default())
            .await
            .unwrap();
        let ending = until("the namespace ends", || async {
            let state = cluster.namespace_state(&namespace).await.unwrap();
            (state == NamespaceState::Terminating).then_some(())
        });
        ending.await;
        let result = sync_login(&cluster, &regcred(&namespace), REGISTRY, "AWS", "x").await;
        let free = json!({ "metadata": { "finalizers": null } });
        api::<ConfigMap>(&cluster, &namespace)
            .patch("keeper", &PatchParams::default(), &Patch::Merge(&free))
            .await
            .unwrap();
        let error = result.unwrap_err();
        assert!(
            matches!(error, PullSecretError::NamespaceTerminating { .. }),
            "{error}"
        );
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_user_without_rights_is_told_which_one_is_missing() {
    let options = ClusterOptions {
        as_user: Some("nobody".to_owned()),
        ..ClusterOptions::default()
    };
    let cluster = Cluster::from_kubeconfig(&options).await.unwrap();
    let error = pull_secret::read(&cluster, &regcred("default"))
        .await
        .unwrap_err();
    assert!(matches!(error, ClusterError::Forbidden { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("User \"nobody\" cannot get resource \"secrets\""),
        "{text}"
    );
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn pull_secrets_are_added_to_a_service_account_side_by_side() {
    in_namespace(|cluster, namespace| async move {
        make::<ServiceAccount>(
            &cluster,
            &namespace,
            json!({ "metadata": { "name": "app" } }),
        )
        .await;
        let names: Vec<String> = (0..4).map(|number| format!("secret-{number}")).collect();
        let links = try_join_all(
            names
                .iter()
                .map(|name| link(&cluster, &namespace, "app", name)),
        )
        .await;
        assert_eq!(links.unwrap(), [Link::Added; 4]);
        let account = api::<ServiceAccount>(&cluster, &namespace)
            .get("app")
            .await
            .unwrap();
        let mut found: Vec<String> = account
            .image_pull_secrets
            .into_iter()
            .flatten()
            .map(|secret| secret.name)
            .collect();
        found.sort();
        assert_eq!(found, names);
        assert_eq!(
            link(&cluster, &namespace, "app", "secret-0").await.unwrap(),
            Link::Present
        );
    })
    .await;
}

// Roll-outs.

/// A pod template that runs `script` in the node's busybox, inside the pause image.
fn script(script: &str) -> Value {
    json!({
        "image": PAUSE, "imagePullPolicy": "Never", "command": ["/bin/busybox", "sh", "-c", script],
        "volumeMounts": [{ "name": "busybox", "mountPath": "/bin/busybox", "readOnly": true }],
    })
}

fn pause() -> Value {
    json!({ "image": PAUSE, "imagePullPolicy": "Never" })
}

fn spec(name: &str, container: &Value, pod: &Value) -> Value {
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

fn workload_ref(kind: WorkloadKind, namespace: &str, name: &str) -> WorkloadRef {
    WorkloadRef {
        kind,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

async fn deploy(
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

async fn finish(cluster: &Cluster, workload: &WorkloadRef, seconds: u64) -> (End, Duration) {
    let options = WaitOptions {
        timeout: Duration::from_secs(seconds),
        ..WaitOptions::default()
    };
    let started = Instant::now();
    let end = wait(cluster, workload, &options, |_| {}).await.unwrap();
    (end, started.elapsed())
}

fn said(end: &End) -> String {
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

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn good_roll_outs_of_all_three_kinds_complete_and_a_restart_makes_new_pods() {
    in_namespace(|cluster, namespace| async move {
        let web = deploy(&cluster, &namespace, "web", &pause(), &json!({})).await;
        let mut set = spec("db", &pause(), &json!({}));
        set["serviceName"] = json!("db");
        set["replicas"] = json!(2);
        make::<StatefulSet>(
            &cluster,
            &namespace,
            json!({ "metadata": { "name": "db" }, "spec": set }),
        )
        .await;
        let agent = spec("agent", &pause(), &json!({}));
        make::<DaemonSet>(
            &cluster,
            &namespace,
            json!({ "metadata": { "name": "agent" }, "spec": agent }),
        )
        .await;
        let workloads = [
            web.clone(),
            workload_ref(WorkloadKind::StatefulSet, &namespace, "db"),
            workload_ref(WorkloadKind::DaemonSet, &namespace, "agent"),
        ];
        for workload in &workloads {
            assert_eq!(
                said(&finish(&cluster, workload, 60).await.0),
                "complete",
                "{workload}"
            );
        }
        let uids = |pods: Vec<Pod>| -> Vec<String> {
            pods.into_iter()
                .filter(|pod| pod.metadata.deletion_timestamp.is_none())
                .filter_map(|pod| pod.metadata.uid)
                .collect()
        };
        let before = uids(pods::list(&cluster, &namespace, None).await.unwrap());
        assert_eq!(before.len(), 4);
        for workload in &workloads {
            let changed = workload::restart(&cluster, workload, Timestamp::now(), None)
                .await
                .unwrap();
            assert!(!changed.is_observed() || changed.generation > 1);
            assert_eq!(
                said(&finish(&cluster, workload, 60).await.0),
                "complete",
                "{workload}"
            );
        }
        let after = uids(pods::list(&cluster, &namespace, None).await.unwrap());
        assert!(
            after.iter().all(|uid| !before.contains(uid)),
            "{before:?} {after:?}"
        );
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_pin_is_one_precise_change_and_the_second_is_none() {
    in_namespace(|cluster, namespace| async move {
        let web = deploy(&cluster, &namespace, "web", &pause(), &json!({})).await;
        finish(&cluster, &web, 60).await;
        let pins = [ContainerPin { container: "app".into(), image: "localhost/none@sha256:0000000000000000000000000000000000000000000000000000000000000000".into() }];
        let pinned = workload::pin(&cluster, &web, &pins, "test of none").await.unwrap();
        assert_eq!(pinned.changes[0].from, PAUSE);
        assert_eq!(pinned.state.change_cause.as_deref(), Some("test of none"));
        let again = workload::pin(&cluster, &web, &pins, "again").await.unwrap();
        assert!(again.changes.is_empty());
        assert_eq!(again.state.change_cause.as_deref(), Some("test of none"));
        assert_eq!(again.state.generation, pinned.state.generation);
        // The old pod still runs, and the new one cannot.
        let (end, took) = finish(&cluster, &web, 60).await;
        assert!(said(&end).contains("the pull policy is `Never`"), "{}", said(&end));
        assert!(took < Duration::from_secs(10), "{took:?}");
        let object = api::<Deployment>(&cluster, &namespace).get("web").await.unwrap();
        assert_eq!(object.status.unwrap().ready_replicas, Some(1));
        let owned = object.metadata.managed_fields.unwrap();
        let ours = owned.iter().find(|entry| entry.manager.as_deref() == Some("kubectl-hybrid")).unwrap();
        let fields = serde_json::to_string(&ours.fields_v1).unwrap();
        assert!(fields.contains("f:image") && !fields.contains("f:replicas"), "{fields}");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_bad_roll_out_ends_with_its_cause_in_seconds() {
    in_namespace(|cluster, namespace| async move {
        let none = json!({});
        let with = |base: Value, key: &str, value: Value| {
            let mut container = base;
            container[key] = value;
            container
        };
        let image = |image: &str, policy: &str| json!({ "image": image, "imagePullPolicy": policy });
        let cases: Vec<(&str, Value, Value, u64, &str)> = vec![
            ("crash", script("echo connecting; echo no database; exit 3"), none.clone(), 40,
             "the container ends with exit code 3, 3 times so far [connecting|no database]"),
            ("nocommand", with(pause(), "command", json!(["/nope"])), none.clone(), 15,
             "the container cannot be started"),
            ("name", image("NOT/AN/IMAGE", "IfNotPresent"), none.clone(), 10,
             "the reference is no image name"),
            ("never", image("localhost/none:1", "Never"), none.clone(), 10,
             "the pull policy is `Never` and the node has no such image"),
            ("refused", image("127.0.0.1:9/none:1", "Always"), none.clone(), 40,
             "the node cannot reach the registry"),
            ("nosecret", with(pause(), "envFrom", json!([{ "secretRef": { "name": "absent" } }])), none.clone(), 15,
             "a secret or config map that the container needs is missing: secret \"absent\" not found"),
            ("nonode", pause(), json!({ "nodeSelector": { "hybrid.test/none": "x" } }), 45,
             "no node can take the pod"),
            ("noaccount", pause(), json!({ "serviceAccountName": "absent" }), 20,
             "no pod can be made: pods \"noaccount-"),
            ("oom", with(script("busybox tail /dev/zero || /bin/busybox tail /dev/zero"), "resources",
                         json!({ "limits": { "memory": "16Mi" } })), none.clone(), 40,
             "used more memory than its limit"),
        ];
        let outcomes = join_all(cases.iter().map(|(name, container, pod, _, _)| {
            let (cluster, namespace) = (&cluster, &namespace);
            async move {
                let workload = deploy(cluster, namespace, name, container, pod).await;
                finish(cluster, &workload, 60).await
            }
        }))
        .await;
        for ((name, _, _, limit, expected), (end, took)) in cases.iter().zip(outcomes) {
            let text = said(&end);
            println!("{name}: {took:.1?}: {text}");
            assert!(matches!(end, End::Failed(_)), "{name}: {text}");
            assert!(text.contains(expected), "{name}: {text}");
            assert!(took < Duration::from_secs(*limit), "{name} took {took:?}");
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn time_that_runs_out_is_told_with_what_was_seen() {
    in_namespace(|cluster, namespace| async move {
        let mut container = script("sleep 1000");
        container["readinessProbe"] =
            json!({ "exec": { "command": ["/bin/busybox", "false"] }, "periodSeconds": 1 });
        let web = deploy(&cluster, &namespace, "web", &container, &json!({})).await;
        let (end, _) = finish(&cluster, &web, 8).await;
        let text = said(&end);
        assert!(text.contains("0 of 1 pods are ready"), "{text}");
        assert!(
            text.contains("the container runs but is not ready"),
            "{text}"
        );
        match end {
            End::TimedOut(seen) => {
                let message = &seen.troubles[0].message;
                assert!(message.contains("Readiness probe failed"), "{message:?}");
            }
            other => unreachable!("{other:?}"),
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_quota_that_leaves_no_room_is_named_for_every_kind() {
    in_namespace(|cluster, namespace| async move {
        make::<ResourceQuota>(
            &cluster,
            &namespace,
            json!({
            "metadata": { "name": "none" }, "spec": { "hard": { "pods": "0" } } }),
        )
        .await;
        until("the quota counts", || async {
            let quota = api::<ResourceQuota>(&cluster, &namespace)
                .get("none")
                .await
                .unwrap();
            quota.status.and_then(|status| status.hard).map(|_| ())
        })
        .await;
        let web = deploy(&cluster, &namespace, "web", &pause(), &json!({})).await;
        let mut set = spec("db", &pause(), &json!({}));
        set["serviceName"] = json!("db");
        make::<StatefulSet>(
            &cluster,
            &namespace,
            json!({ "metadata": { "name": "db" }, "spec": set }),
        )
        .await;
        let db = workload_ref(WorkloadKind::StatefulSet, &namespace, "db");
        for workload in [web, db] {
            let (end, took) = finish(&cluster, &workload, 60).await;
            let text = said(&end);
            assert!(
                text.contains("no pod can be made") && text.contains("exceeded quota: none"),
                "{text}"
            );
            assert!(took < Duration::from_secs(20), "{took:?}");
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_stateful_set_that_waits_for_an_old_broken_pod_says_so() {
    in_namespace(|cluster, namespace| async move {
        let broken = json!({ "image": "localhost/none:1", "imagePullPolicy": "Never" });
        let mut set = spec("db", &broken, &json!({}));
        set["serviceName"] = json!("db");
        make::<StatefulSet>(
            &cluster,
            &namespace,
            json!({ "metadata": { "name": "db" }, "spec": set }),
        )
        .await;
        let db = workload_ref(WorkloadKind::StatefulSet, &namespace, "db");
        let (end, _) = finish(&cluster, &db, 60).await;
        assert!(
            said(&end).contains("the node has no such image"),
            "{}",
            said(&end)
        );
        // Kubernetes does not replace the broken pod when the template is mended.
        let pins = [ContainerPin {
            container: "app".into(),
            image: PAUSE.into(),
        }];
        workload::pin(&cluster, &db, &pins, "mended").await.unwrap();
        let (end, _) = finish(&cluster, &db, 60).await;
        let text = said(&end);
        match end {
            End::Failed(failure) => {
                assert!(text.contains("a pod of the earlier revision"), "{text}");
                assert!(
                    failure.hint().contains("delete pod db-0"),
                    "{}",
                    failure.hint()
                );
                api::<Pod>(&cluster, &namespace)
                    .delete("db-0", &DeleteParams::default())
                    .await
                    .unwrap();
                let (end, _) = finish(&cluster, &db, 60).await;
                assert_eq!(said(&end), "complete");
            }
            // From Kubernetes 1.35 on it may.
            End::Complete(_) => {}
            End::TimedOut(_) => unreachable!("{text}"),
        }
    })
    .await;
}

// Pods that wait for credentials.

/// A registry that asks for a password and has no images: busybox's web server on the node.
async fn registry(cluster: &Cluster, namespace: &str, port: u16) -> String {
    let serve = format!(
        "cd /tmp && echo '/:AWS:right' > conf && exec /bin/busybox httpd -f -p 127.0.0.1:{port} -c /tmp/conf"
    );
    let mut container = script(&serve);
    container["volumeMounts"] = json!([
        { "name": "busybox", "mountPath": "/bin/busybox", "readOnly": true },
        { "name": "tmp", "mountPath": "/tmp" },
    ]);
    let pod = json!({
        "hostNetwork": true,
        "volumes": [
            { "name": "busybox", "hostPath": { "path": "/bin/busybox", "type": "File" } },
            { "name": "tmp", "emptyDir": {} },
        ],
    });
    let workload = deploy(cluster, namespace, "registry", &container, &pod).await;
    assert_eq!(said(&finish(cluster, &workload, 60).await.0), "complete");
    format!("127.0.0.1:{port}")
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn only_pods_that_wait_for_credentials_are_made_anew_after_a_refresh() {
    in_namespace(|cluster, namespace| async move {
        let registry = registry(&cluster, &namespace, 15997).await;
        let target = regcred(&namespace);
        sync_login(&cluster, &target, &registry, "AWS", "wrong")
            .await
            .unwrap();
        let ours =
            json!({ "image": format!("{registry}/shop/web:1"), "imagePullPolicy": "Always" });
        let linked = json!({ "imagePullSecrets": [{ "name": "regcred" }] });
        let web = deploy(&cluster, &namespace, "web", &ours, &linked).await;
        let other = json!({ "image": "localhost/none:1", "imagePullPolicy": "Never" });
        deploy(&cluster, &namespace, "other", &other, &linked).await;
        make::<Pod>(
            &cluster,
            &namespace,
            json!({
            "metadata": { "name": "bare" },
            "spec": { "containers": [{ "name": "app", "image": format!("{registry}/shop/web:1") }],
                      "imagePullSecrets": [{ "name": "regcred" }] } }),
        )
        .await;

        let (end, took) = finish(&cluster, &web, 60).await;
        println!("{took:.1?}: {}", said(&end));
        match &end {
            End::Failed(failure) => assert!(failure.hint().contains("regcred sync"), "{failure:?}"),
            other => unreachable!("{other:?}"),
        }

        let look = || async {
            let pods = pods::list(&cluster, &namespace, None).await.unwrap();
            pods::stuck(&pods, &[&registry], "regcred")
        };
        let stuck = until("both pods are stuck", || async {
            let stuck = look().await;
            (stuck.len() == 2).then_some(stuck)
        })
        .await;
        let remedy = |name: &str| {
            stuck
                .iter()
                .find(|pod| pod.trouble.pod.starts_with(name))
                .map(|pod| pod.remedy)
        };
        assert_eq!(remedy("web-"), Some(Remedy::Recreate));
        assert_eq!(remedy("bare"), Some(Remedy::LeaveBare));

        let policy = Policy {
            always: true,
            ..Policy::default()
        };
        let password = Secret::new("right".to_owned());
        let login = RegistryLogin {
            registry: &registry,
            username: "AWS",
            password: &password,
            expires_at: Timestamp::now() + SignedDuration::from_hours(12),
        };
        sync(
            &cluster,
            &target,
            &[login],
            &Marks::default(),
            policy,
            Timestamp::now(),
        )
        .await
        .unwrap();
        let done = pods::recreate(&cluster, stuck).await;
        assert_eq!(done.len(), 1);
        assert!(done[0].error.is_none(), "{:?}", done[0].error);

        // The new pod gets past the password at once, to the image that is not there.
        let fault = until("the new pod is refused for another reason", || async {
            let pods = pods::list(&cluster, &namespace, Some("app=web"))
                .await
                .unwrap();
            pods.iter()
                .flat_map(kubectl_hybrid::cluster::trouble::troubles)
                .filter_map(|trouble| trouble.cause.pull_fault())
                .find(|fault| !fault.is_about_credentials())
        })
        .await;
        assert_eq!(fault, PullFault::NotFound);
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_pull_that_fails_is_explained_by_the_pull_secret() {
    in_namespace(|cluster, namespace| async move {
        let registry = registry(&cluster, &namespace, 15996).await;
        let ours =
            json!({ "image": format!("{registry}/shop/web:1"), "imagePullPolicy": "Always" });
        let linked = json!({ "imagePullSecrets": [{ "name": "regcred" }] });
        let web = deploy(&cluster, &namespace, "web", &ours, &linked).await;
        let (end, _) = finish(&cluster, &web, 60).await;
        println!("without a secret: {}", said(&end));

        let question = ClusterQuestion {
            namespace: namespace.clone(),
            pull_secret: "regcred".to_owned(),
            service_account: "default".to_owned(),
            services: vec![ServiceQuestion {
                service: "web".to_owned(),
                workload: web,
                container: "app".to_owned(),
            }],
        };
        let judge = || async {
            let facts = Facts {
                now: Timestamp::now(),
                workspace: "test".to_owned(),
                engine: Known::NotAsked,
                identity: Known::NotAsked,
                contract: Known::NotAsked,
                locks: Known::NotAsked,
                context: Known::NotAsked,
                cluster: gather_cluster(&cluster, &question).await,
            };
            diagnosis::run(&facts)
                .into_iter()
                .map(|finding| (finding.id.as_str(), finding.message))
                .collect::<Vec<_>>()
        };
        let said_by = |findings: &[(&str, String)], id: &str| {
            findings
                .iter()
                .find(|(found, _)| *found == id)
                .map(|(_, message)| message.clone())
        };
        let found = judge().await;
        let missing = format!("there is no pull secret `regcred` in namespace `{namespace}`");
        assert_eq!(said_by(&found, "HYB-PS001"), Some(missing), "{found:?}");
        let message = said_by(&found, "HYB-PD001").unwrap();
        assert!(message.contains("does not exist in namespace"), "{message}");

        let other = sync_login(&cluster, &regcred(&namespace), "other.example", "AWS", "x").await;
        assert_eq!(other.unwrap().change, Change::Created);
        let message = said_by(&judge().await, "HYB-PD001").unwrap();
        assert!(
            message.ends_with(&format!("the pull secret has no login for {registry}")),
            "{message}"
        );
    })
    .await;
}
