//! The cluster room against a real API server, controllers, kubelet and containerd.
//!
//! They run where `KUBECONFIG` leads, in namespaces of their own that are deleted at the end. The
//! node must have the image `localhost/pause:1`, and a static busybox at `/bin/busybox`.

#![expect(
    clippy::unwrap_used,
    reason = "A test ends where something is not as it should be."
)]

mod in_cluster;

use std::time::Duration;

use ecr_hybrid::secret::Secret;
use futures::future::try_join_all;
use in_cluster::{api, connect, deploy, finish, in_namespace, make, said, script, until};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{
    ConfigMap, Namespace, Pod, Secret as SecretObject, ServiceAccount,
};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use kubectl_hybrid::cluster::pods::{self, Remedy};
use kubectl_hybrid::cluster::pull_secret::{
    self, Change, Outcome, Policy, PullSecretError, Refusal, RegistryLogin, SecretRef, sync, view,
};
use kubectl_hybrid::cluster::rollout::End;
use kubectl_hybrid::cluster::service_account::{Link, link};
use kubectl_hybrid::cluster::trouble::PullFault;
use kubectl_hybrid::cluster::{Cluster, ClusterError, ClusterOptions, NamespaceState};
use kubectl_hybrid::diagnosis::{
    self, ClusterQuestion, Facts, Known, ServiceQuestion, gather_cluster,
};
use serde_json::json;

const REGISTRY: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

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
        origin: None,
    };
    let policy = Policy {
        min_life: Duration::from_hours(6),
        ..Policy::default()
    };
    sync(
        cluster,
        target,
        &[login],
        "kubectl-hybrid/test",
        policy,
        now,
    )
    .await
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
                found: "Opaque".to_owned(),
                foreign: Vec::new(),
            }
        );
        assert_eq!(
            refusal("frozen").await,
            Refusal::Immutable {
                foreign: Vec::new()
            }
        );
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
            origin: None,
        };
        sync(
            &cluster,
            &target,
            &[login],
            "kubectl-hybrid/test",
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
