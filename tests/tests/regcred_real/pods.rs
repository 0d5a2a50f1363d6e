//! Which pods are recreated after a refresh.

use std::collections::BTreeMap;
use std::process::Command;

use hybrid_tests::said::Said;
use hybrid_tests::source_tree;
use serde_json::{Value, json};

use super::{HOST, Namespaces, apply, changes, front, kubectl, secret, sync, until};

/// The pods of a namespace by what they are for: uid, phase, and why the container waits.
fn pods_by_use(namespace: &str) -> BTreeMap<String, (String, String, String)> {
    let pods = kubectl(&["-n", namespace, "get", "pods", "-o=json"]);
    let pods: Value = serde_json::from_str(&pods).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pods = pods["items"].as_array().unwrap().iter();
    pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .map(|pod| {
            let (metadata, status) = (&pod["metadata"], &pod["status"]);
            let waiting = &status["containerStatuses"][0]["state"]["waiting"]["reason"];
            let about = (
                text(&metadata["uid"]),
                text(&status["phase"]),
                text(waiting),
            );
            (text(&metadata["labels"]["use"]), about)
        })
        .collect()
}

#[test]
#[ignore = "needs the sandbox"]
fn only_pods_that_are_made_anew_are_recreated_and_the_others_are_left_to_the_kubelet() {
    let mut deploy = Command::new("kubectl");
    deploy
        .args(["hybrid", "deploy", "web"])
        .current_dir(source_tree().join("examples/knowledge-repo"));
    Said::of(&mut deploy).ends(0);
    let made = Namespaces::made(&["stuck"]);
    let namespace = made.name(0);
    let template = |purpose: &str, command: &str, policy: &str| {
        let secrets = if purpose == "unlinked" {
            json!([])
        } else {
            json!([{ "name": "regcred" }])
        };
        json!({ "metadata": { "labels": { "use": purpose } }, "spec": {
            "imagePullSecrets": secrets, "restartPolicy": policy,
            "terminationGracePeriodSeconds": 0,
            "containers": [{ "name": "it", "image": format!("{HOST}/knowledge-repo-dev/web:dev"),
                "imagePullPolicy": "Always", "command": ["sh", "-c", command] }] } })
    };
    let workload = |kind: &str, purpose: &str| {
        json!({ "apiVersion": "apps/v1", "kind": kind,
            "metadata": { "name": purpose, "namespace": namespace },
            "spec": { "replicas": 1, "serviceName": purpose,
                "selector": { "matchLabels": { "use": purpose } },
                "template": template(purpose, "sleep 3600", "Always") } })
    };
    let mut deployments = ["kept", "unlinked"].map(|purpose| workload("Deployment", purpose));
    for deployment in &mut deployments {
        deployment["spec"]
            .as_object_mut()
            .unwrap()
            .remove("serviceName");
    }
    let mut bare = template("bare", "sleep 3600", "Always");
    bare["apiVersion"] = json!("v1");
    bare["kind"] = json!("Pod");
    bare["metadata"]["name"] = json!("bare");
    bare["metadata"]["namespace"] = json!(namespace);
    // A pod that is deleted would be its one failure.
    let job = json!({ "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": "once", "namespace": namespace },
        "spec": { "backoffLimit": 0, "template": template("once", "true", "Never") } });
    apply(&deployments);
    apply(&[workload("StatefulSet", "ordered"), job, bare]);
    let uses = ["bare", "kept", "once", "ordered", "unlinked"];
    let waits = |reason: &str| matches!(reason, "ErrImagePull" | "ImagePullBackOff");
    let before = until("pods without credentials", || {
        let pods = pods_by_use(namespace);
        let all = uses
            .iter()
            .all(|purpose| pods.get(*purpose).is_some_and(|(_, _, why)| waits(why)));
        all.then_some(pods)
    });

    let left = sync(&[namespace, "--no-unstick"]);
    assert_eq!(changes(&left), [(namespace, "created")]);
    assert_eq!(left[namespace]["recreated"].as_array().unwrap().len(), 0);
    let report = sync(&[namespace]);
    assert_eq!(changes(&report), [(namespace, "unchanged")]);
    let recreated = report[namespace]["recreated"].as_array().unwrap();
    assert_eq!(recreated.len(), 2, "{report:?}");

    let after = until("pods that run", || {
        let pods = pods_by_use(namespace);
        let phase = |purpose: &str, phase: &str| {
            pods.get(purpose)
                .is_some_and(|(_, found, _)| found == phase)
        };
        let run = ["bare", "kept", "ordered"]
            .iter()
            .all(|purpose| phase(purpose, "Running"));
        (run && phase("once", "Succeeded")).then_some(pods)
    });
    for purpose in uses {
        let is_new = before[purpose].0 != after[purpose].0;
        let expected = matches!(purpose, "kept" | "ordered");
        assert_eq!(is_new, expected, "{purpose}");
    }
    assert!(waits(&after["unlinked"].2), "{:?}", after["unlinked"]);
}

/// Starts a pod of its own with the image of `web`.
fn start(namespace: &str, name: &str, pull_policy: &str) {
    apply(&[
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": namespace,
            "labels": { "use": name } },
        "spec": { "imagePullSecrets": [{ "name": "regcred" }], "terminationGracePeriodSeconds": 0,
            "containers": [{ "name": "it", "image": format!("{HOST}/knowledge-repo-dev/web:dev"),
                "imagePullPolicy": pull_policy, "command": ["sleep", "3600"] }] } }),
    ]);
}

/// Whether a pod runs; it may be refused.
fn runs(namespace: &str, name: &str) -> bool {
    until("a pod that runs or is refused", || {
        let (_, phase, reason) = pods_by_use(namespace).remove(name)?;
        match (phase.as_str(), reason.as_str()) {
            ("Running", _) => Some(true),
            (_, "" | "ContainerCreating") => None,
            _ => Some(false),
        }
    })
}

/// From Kubernetes 1.35 on the kubelet gives an image that is there to a pod whose secret has pulled
/// it before, and knows that secret by its UID or its login.
#[test]
#[ignore = "needs the sandbox"]
fn a_login_that_is_renewed_in_place_asks_for_no_image_that_the_node_has() {
    let mut deploy = Command::new("kubectl");
    deploy
        .args(["hybrid", "deploy", "web"])
        .current_dir(source_tree().join("examples/knowledge-repo"));
    Said::of(&mut deploy).ends(0);
    let made = Namespaces::made(&["in-place"]);
    let namespace = made.name(0);
    assert_eq!(changes(&sync(&[namespace])), [(namespace, "created")]);
    start(namespace, "pulls", "Always");
    assert!(runs(namespace, "pulls"));

    let before = secret(namespace).unwrap();
    let report = sync(&[namespace, "--force"]);
    assert_eq!(changes(&report), [(namespace, "updated")]);
    let after = secret(namespace).unwrap();
    assert_ne!(before["data"], after["data"]);
    let registry_is_down = front().faulty().failing("registry:pull=503").unwrap();
    start(namespace, "renewed", "IfNotPresent");
    assert!(runs(namespace, "renewed"));

    // What most scripts do: another secret, and another login.
    kubectl(&["-n", namespace, "delete", "secret", "regcred"]);
    let words = ["create", "secret", "docker-registry", "regcred"];
    let server = format!("--docker-server={HOST}");
    let login = ["--docker-username=AWS", "--docker-password=another"];
    kubectl(&[&["-n", namespace], &words[..], &[&server], &login].concat());
    start(namespace, "anew", "IfNotPresent");
    assert!(!runs(namespace, "anew"));
    drop(registry_is_down);
}
