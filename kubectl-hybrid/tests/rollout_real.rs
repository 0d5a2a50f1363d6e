//! Roll-outs against real controllers, a real scheduler, kubelet and containerd.
//!
//! They run where `KUBECONFIG` leads, in namespaces of their own that are deleted at the end. The
//! node must have the image `localhost/pause:1`, and a static busybox at `/bin/busybox`.

#![expect(
    clippy::unwrap_used,
    reason = "A test ends where something is not as it should be."
)]

mod in_cluster;

use std::time::Duration;

use futures::future::join_all;
use in_cluster::{
    PAUSE, api, deploy, finish, in_namespace, make, said, script, spec, until, workload_ref,
};
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Namespace, Pod, ResourceQuota};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kubectl_hybrid::cluster::pods;
use kubectl_hybrid::cluster::rollout::{End, WaitOptions, wait};
use kubectl_hybrid::cluster::workload::{self, ContainerPin, containers_of};
use kubectl_hybrid::project::contract::WorkloadKind;
use serde_json::{Value, json};

fn pause() -> Value {
    json!({ "image": PAUSE, "imagePullPolicy": "Never" })
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

/// Without word of the changes the second look would come after the test's end.
#[tokio::test]
#[ignore = "needs the sandbox"]
async fn the_end_is_heard_of_and_not_found_at_the_next_look() {
    in_namespace(|cluster, namespace| async move {
        let mut container = script("sleep 1000");
        container["readinessProbe"] =
            json!({ "exec": { "command": ["/bin/busybox", "true"] }, "periodSeconds": 1 });
        let mut template = spec("db", &container, &json!({}));
        template["serviceName"] = json!("db");
        let object = json!({ "metadata": { "name": "db" }, "spec": template });
        make::<StatefulSet>(&cluster, &namespace, object).await;
        let template = spec("agent", &container, &json!({}));
        let object = json!({ "metadata": { "name": "agent" }, "spec": template });
        make::<DaemonSet>(&cluster, &namespace, object).await;
        let workloads = [
            deploy(&cluster, &namespace, "web", &container, &json!({})).await,
            workload_ref(WorkloadKind::StatefulSet, &namespace, "db"),
            workload_ref(WorkloadKind::DaemonSet, &namespace, "agent"),
        ];
        let options = WaitOptions {
            timeout: Duration::from_mins(10),
            look_every: Duration::from_mins(5),
            ..WaitOptions::default()
        };
        for end in join_all(workloads.iter().map(|workload| async {
            let waiting = wait(&cluster, workload, &options, |_| {});
            tokio::time::timeout(Duration::from_mins(2), waiting).await
        }))
        .await
        {
            assert_eq!(said(&end.unwrap().unwrap()), "complete");
        }
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
        let pinned = workload::pin(&cluster, &web, None, &pins, "test of none").await.unwrap();
        assert_eq!(pinned.changes[0].from, PAUSE);
        assert_eq!(pinned.state.change_cause.as_deref(), Some("test of none"));
        let again = workload::pin(&cluster, &web, None, &pins, "again").await.unwrap();
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
        let named = |name: &str, base: Value| with(base, "name", json!(name));
        let probed = |probe: &str| {
            let fails = json!({ "exec": { "command": ["/bin/busybox", "sh", "-c", "echo not well; exit 1"] },
                "periodSeconds": 1, "failureThreshold": 1 });
            let container = with(script("sleep 1000"), probe, fails.clone());
            with(container, "readinessProbe", fails)
        };
        let mounts = || with(pause(), "volumeMounts", json!([{ "name": "absent", "mountPath": "/absent" }]));
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
             "a secret, config map or volume claim that the pod needs is missing: secret \"absent\" not found"),
            ("nonode", pause(), json!({ "nodeSelector": { "hybrid.test/none": "x" } }), 15,
             "no node can take the pod: 0/1 nodes are available: 1 node(s) didn't match"),
            ("noaccount", pause(), json!({ "serviceAccountName": "absent" }), 20,
             "no pod can be made: pods \"noaccount-"),
            ("nosecretvolume", mounts(), json!({ "volumes": [{ "name": "absent", "secret": { "secretName": "absent" } }] }), 15,
             "claim that the pod needs is missing: MountVolume.SetUp failed for volume \"absent\" : secret \"absent\" not found"),
            ("noconfigvolume", mounts(), json!({ "volumes": [{ "name": "absent", "configMap": { "name": "absent" } }] }), 15,
             "configmap \"absent\" not found"),
            ("noclaim", pause(), json!({ "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": "absent" } }] }), 15,
             "no node can take the pod: 0/1 nodes are available: persistentvolumeclaim \"absent\" not found"),
            ("nofolder", mounts(), json!({ "volumes": [{ "name": "absent", "hostPath": { "path": "/absent", "type": "Directory" } }] }), 35,
             "a volume of the pod cannot be mounted: MountVolume.SetUp failed for volume \"absent\" : hostPath type check failed"),
            ("toobig", with(pause(), "resources", json!({ "requests": { "cpu": "1000" } })), none.clone(), 30,
             "no node can take the pod: 0/1 nodes are available: 1 Insufficient cpu"),
            ("liveness", probed("livenessProbe"), none.clone(), 30,
             "the container is killed because its liveness probe fails, 2 times so far: Liveness probe failed"),
            ("startup", probed("startupProbe"), none.clone(), 30,
             "the container is killed because its startup probe fails, 2 times so far: Startup probe failed"),
            ("init", pause(), json!({ "initContainers": [named("setup", script("echo no schema; exit 4"))] }), 40,
             "container `setup`: the container ends with exit code 4, 3 times so far [no schema]"),
            ("sidecar", pause(), json!({ "initContainers": [with(named("proxy", script("echo no port; exit 5")), "restartPolicy", json!("Always"))] }), 40,
             "container `proxy`: the container ends with exit code 5, 3 times so far [no port]"),
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
            // A score of pods that start at once take their time on a small machine.
            let limit = Duration::from_secs(limit + 20);
            assert!(took < limit, "{name} took {took:?}");
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
        workload::pin(&cluster, &db, None, &pins, "mended")
            .await
            .unwrap();
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

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_pin_leaves_an_autoscaler_and_terraform_their_fields() {
    in_namespace(|cluster, namespace| async move {
        let mut setup = pause();
        setup["name"] = json!("proxy");
        setup["restartPolicy"] = json!("Always");
        let pod = json!({ "initContainers": [setup] });
        let web = deploy(&cluster, &namespace, "web", &pause(), &pod).await;
        finish(&cluster, &web, 60).await;
        // An autoscaler writes to the subresource, as kubectl scale does.
        let deployments = api::<Deployment>(&cluster, &namespace);
        deployments
            .patch_scale(
                "web",
                &PatchParams {
                    field_manager: Some("autoscaler".to_owned()),
                    ..PatchParams::default()
                },
                &Patch::Merge(json!({ "spec": { "replicas": 2 } })),
            )
            .await
            .unwrap();
        let state = workload::read(&cluster, &web).await.unwrap().unwrap();
        let containers = containers_of(&state, "app", "localhost/pause", &[]);
        assert_eq!(containers, ["app", "proxy"]);
        let pins: Vec<ContainerPin> = containers
            .into_iter()
            .map(|container| ContainerPin {
                container,
                image: PAUSE.to_owned(),
            })
            .collect();
        let same = workload::pin(&cluster, &web, None, &pins, "same")
            .await
            .unwrap();
        assert!(same.changes.is_empty(), "{same:?}");
        let other: Vec<ContainerPin> = pins
            .iter()
            .map(|pin| ContainerPin {
                container: pin.container.clone(),
                image: "localhost/none:2".to_owned(),
            })
            .collect();
        let pinned = workload::pin(&cluster, &web, None, &other, "both")
            .await
            .unwrap();
        assert_eq!(pinned.changes.len(), 2);
        assert_eq!(pinned.state.counts.desired, 2);
        let object = deployments.get("web").await.unwrap();
        let owned = object.metadata.managed_fields.unwrap();
        let of = |manager: &str| -> String {
            owned
                .iter()
                .filter(|entry| entry.manager.as_deref() == Some(manager))
                .map(|entry| serde_json::to_string(&entry.fields_v1).unwrap())
                .collect()
        };
        assert!(of("autoscaler").contains("f:replicas"), "{owned:?}");
        let ours = of("kubectl-hybrid");
        assert!(
            ours.contains("f:image") && ours.contains("f:initContainers"),
            "{ours}"
        );
        for field in [
            "f:replicas",
            "f:imagePullPolicy",
            "f:env",
            "f:resources",
            "f:strategy",
        ] {
            assert!(!ours.contains(field), "{field}: {ours}");
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn an_admission_rule_that_refuses_pods_or_the_pin_is_named() {
    in_namespace(|cluster, namespace| async move {
        let web = deploy(&cluster, &namespace, "web", &pause(), &json!({})).await;
        finish(&cluster, &web, 60).await;
        let label = json!({ "metadata": { "labels": {
            "pod-security.kubernetes.io/enforce": "restricted", "hybrid.test/name": namespace } } });
        let namespaces: Api<Namespace> = Api::all(cluster.client());
        namespaces
            .patch(&namespace, &PatchParams::default(), &Patch::Merge(&label))
            .await
            .unwrap();
        workload::restart(&cluster, &web, Timestamp::now(), None).await.unwrap();
        let (end, took) = finish(&cluster, &web, 60).await;
        println!("{took:.1?}: {}", said(&end));
        assert!(said(&end).contains("no pod can be made") && said(&end).contains("violates PodSecurity"), "{}", said(&end));
        assert!(took < Duration::from_secs(20), "{took:?}");

        let rule: ValidatingAdmissionPolicy = serde_json::from_value(json!({
            "metadata": { "name": namespace },
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": { "resourceRules": [{ "apiGroups": ["apps"], "apiVersions": ["v1"],
                    "operations": ["UPDATE"], "resources": ["deployments"] }] },
                "validations": [{ "expression": "object.spec.template.spec.containers.all(c, !c.image.contains('none'))",
                    "message": "images must come from the shop" }],
            },
        })).unwrap();
        let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(json!({
            "metadata": { "name": namespace },
            "spec": { "policyName": namespace, "validationActions": ["Deny"],
                "matchResources": { "namespaceSelector": { "matchLabels": { "hybrid.test/name": namespace } } } },
        })).unwrap();
        let rules: Api<ValidatingAdmissionPolicy> = Api::all(cluster.client());
        let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(cluster.client());
        rules.create(&PostParams::default(), &rule).await.unwrap();
        bindings.create(&PostParams::default(), &binding).await.unwrap();
        // The API server compiles a new rule in its own time.
        let refused = until("the rule holds", || async {
            let pins = [ContainerPin { container: "app".into(), image: format!("localhost/none:{}", Timestamp::now().as_millisecond()) }];
            workload::pin(&cluster, &web, None, &pins, "refused").await.err()
        })
        .await;
        rules.delete(&namespace, &DeleteParams::default()).await.unwrap();
        bindings.delete(&namespace, &DeleteParams::default()).await.unwrap();
        let text = refused.to_string();
        assert!(text.contains("an admission rule refuses it") && text.contains("images must come from the shop"), "{text}");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_pause_is_told_before_and_during_a_roll_out() {
    in_namespace(|cluster, namespace| async move {
        let web = deploy(&cluster, &namespace, "web", &pause(), &json!({})).await;
        finish(&cluster, &web, 60).await;
        let deployments = api::<Deployment>(&cluster, &namespace);
        let patch = |patch: Value| {
            let deployments = deployments.clone();
            async move {
                deployments
                    .patch("web", &PatchParams::default(), &Patch::Strategic(patch))
                    .await
                    .unwrap()
            }
        };
        patch(json!({ "spec": { "paused": true } })).await;
        let pins = [ContainerPin {
            container: "app".into(),
            image: "localhost/none:1".into(),
        }];
        let refused = workload::pin(&cluster, &web, None, &pins, "x")
            .await
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "deployment/web is paused, so nothing would roll out"
        );
        assert!(
            refused
                .hint()
                .unwrap()
                .contains("rollout resume deployment/web")
        );
        patch(json!({ "spec": { "template": { "metadata": { "annotations": { "x": "y" } } } } }))
            .await;
        let (end, took) = finish(&cluster, &web, 60).await;
        assert_eq!(said(&end), "deployment/web did not roll out: it is paused");
        assert!(took < Duration::from_secs(5), "{took:?}");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_namespace_that_is_deleted_meanwhile_is_named() {
    in_namespace(|cluster, namespace| async move {
        let web = deploy(
            &cluster,
            &namespace,
            "web",
            &script("sleep 1000"),
            &json!({
            "nodeSelector": { "hybrid.test/none": "x" } }),
        )
        .await;
        let api: Api<Namespace> = Api::all(cluster.client());
        let waits = finish(&cluster, &web, 60);
        let params = DeleteParams::default();
        let deletion = api.delete(&namespace, &params);
        let ((end, took), deleted) = tokio::join!(waits, deletion);
        deleted.unwrap();
        let text = said(&end);
        assert_eq!(
            text,
            "deployment/web did not roll out: its namespace is being deleted"
        );
        assert!(took < Duration::from_secs(20), "{took:?}");
    })
    .await;
}
