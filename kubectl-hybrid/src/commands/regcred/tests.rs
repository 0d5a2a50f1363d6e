//! Plans and what comes of them, against an API server that answers as it is told.

use base64::Engine as _;
use ecr_hybrid::host::Registry;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::job::{Job, Wanted};
use super::{apply, plan, refused};
use crate::cluster::fake;
use crate::cluster::namespaces::Scope;
use crate::exit::Exit;

const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

fn job() -> Job {
    Job {
        secret: "regcred".to_owned(),
        logins: vec![Wanted {
            registry: Registry::parse(HOST).unwrap(),
            role: None,
        }],
        namespaces: Scope::of(["shop"]),
        accounts: Vec::new(),
        unstick: true,
        force: false,
    }
}

/// A secret that External Secrets keeps, with a token that ends so many hours from now.
fn kept_by_others(hours: i64) -> Value {
    let auths = format!(r#"{{"auths":{{"{HOST}":{{"username":"AWS","password":"p"}}}}}}"#);
    let data = base64::engine::general_purpose::STANDARD.encode(auths);
    let at = Timestamp::now() + SignedDuration::from_hours(hours);
    json!({ "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": { "name": "regcred", "namespace": "shop", "resourceVersion": "1",
            "annotations": { "kubectl-hybrid.dev/expires-at": at.to_string() },
            "ownerReferences": [{ "apiVersion": "external-secrets.io/v1",
                "kind": "ExternalSecret", "name": "regcred", "uid": "1" }] },
        "data": { ".dockerconfigjson": data } })
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_others_keep_stays_while_it_serves_and_fails_when_it_does_not() {
    // (hours left, plan, what stays, failures)
    let table = [
        (9, "stays", None, 0),
        (2, "stays: ExternalSecret keeps it", Some("unchanged"), 0),
        (
            -1,
            "is left alone: ExternalSecret keeps it",
            Some("failed"),
            1,
        ),
    ];
    for (hours, text, change, failures) in table {
        let cluster = fake::cluster(move |request| match request.path.as_str() {
            // Nothing is written.
            _ if request.method != Method::GET => unreachable!("{}", request.method),
            "/api/v1/namespaces/shop/secrets/regcred" => fake::ok(kept_by_others(hours)),
            "/api/v1/namespaces/shop/pods" => fake::ok(json!({ "metadata": {}, "items": [] })),
            _ => fake::not_found(request),
        });
        let mut plans = plan::make(&cluster, &job()).await.unwrap().made;
        assert!(plans[0].to_string().starts_with(text), "{}", plans[0]);
        let shown = serde_json::to_value(&plans[0]).unwrap();
        let shown = |key: &str| shown[key].as_str().map(str::to_owned);
        let why =
            "ExternalSecret keeps it (owned by ExternalSecret `regcred`) and would undo the change";
        let is = |wanted| (change == Some(wanted)).then(|| why.to_owned());
        assert_eq!(shown("refusal"), is("failed"));
        assert_eq!(shown("stays"), is("unchanged"));
        // The dry run ends as the real one does.
        let dry = refused(&plans);
        let done = apply::all(&cluster, &job(), &mut plans).await.unwrap();
        for errors in [&dry, &done.failed] {
            assert_eq!(errors.len(), failures);
            assert!(errors.iter().all(|error| error.exit() == Exit::RollOut));
        }
        let report = &done.reports[0];
        assert_eq!(report.change, change.unwrap_or("unchanged"));
        assert_eq!(report.stays, is("unchanged"));
    }
}

#[tokio::test(start_paused = true)]
async fn each_namespace_that_fails_is_told_and_the_plan_can_be_shown_afterwards() {
    let job = Job {
        namespaces: Scope::of(["shop", "store", "yard"]),
        ..job()
    };
    let cluster = fake::cluster(move |request| match request.path.as_str() {
        path if path.ends_with("/yard/secrets/regcred") => fake::ok(kept_by_others(9)),
        path if path.ends_with("/secrets/regcred") => fake::ok(kept_by_others(-1)),
        path if path.ends_with("/pods") => fake::ok(json!({ "metadata": {}, "items": [] })),
        _ => fake::not_found(request),
    });
    let mut plans = plan::make(&cluster, &job).await.unwrap().made;
    let before = serde_json::to_value(&plans).unwrap();
    let done = apply::all(&cluster, &job, &mut plans).await.unwrap();
    assert_eq!(serde_json::to_value(&plans).unwrap(), before);
    let reports = done.reports.iter();
    let changes: Vec<_> = reports
        .map(|report| (report.namespace.as_str(), report.change))
        .collect();
    let expected = [
        ("shop", "failed"),
        ("store", "failed"),
        ("yard", "unchanged"),
    ];
    assert_eq!(changes, expected);
    let told: Vec<String> = done.failed.iter().map(ToString::to_string).collect();
    let named = |name: &str| {
        told.iter()
            .any(|error| error.contains(&format!("`{name}`")))
    };
    assert!(
        told.len() == 2 && named("shop") && named("store"),
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn each_namespace_that_cannot_be_read_is_told() {
    let job = Job {
        namespaces: Scope::of(["shop", "store", "yard"]),
        ..job()
    };
    let cluster = fake::cluster(move |request| match request.path.as_str() {
        path if path.ends_with("/yard/secrets/regcred") => fake::ok(kept_by_others(9)),
        path if path.ends_with("/secrets/regcred") => fake::status(403, "Forbidden", "no"),
        path if path.ends_with("/pods") => fake::ok(json!({ "metadata": {}, "items": [] })),
        _ => fake::not_found(request),
    });
    let found = plan::make(&cluster, &job).await.unwrap();
    assert_eq!(found.made.len(), 1);
    let failed: Vec<&str> = found.failed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(failed, ["shop", "store"]);
    for (name, error) in &found.failed {
        assert_eq!(error.exit(), Exit::RollOut);
        assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_older_than_the_link_of_its_account_is_recreated() {
    let pod = |account: &str| {
        json!({ "metadata": { "name": account, "namespace": "shop", "uid": account,
                "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web",
                    "uid": "r", "controller": true }] },
            "spec": { "serviceAccountName": account,
                "containers": [{ "name": "web", "image": format!("{HOST}/web:1") }] },
            "status": { "phase": "Pending", "containerStatuses": [{ "name": "web", "image": "",
                "imageID": "", "ready": false, "restartCount": 0,
                "state": { "waiting": { "reason": "ErrImagePull",
                    "message": "no basic auth credentials" } } }] } })
    };
    let cluster = fake::cluster(move |request| {
        let account = |secrets: Value| {
            fake::ok(json!({ "metadata": { "name": "x" }, "imagePullSecrets": secrets }))
        };
        match (&request.method, request.path.as_str()) {
            (&Method::GET, "/api/v1/namespaces/shop/secrets/regcred") => {
                fake::ok(kept_by_others(9))
            }
            (&Method::GET, "/api/v1/namespaces/shop/pods") => {
                let pods = ["linked", "other", "secret-account"].map(pod);
                fake::ok(json!({ "metadata": {}, "items": pods }))
            }
            (&Method::GET, "/api/v1/namespaces/shop/serviceaccounts/linked") => {
                account(json!([{ "name": "x" }, { "name": "regcred" }]))
            }
            (&Method::GET, "/api/v1/namespaces/shop/serviceaccounts/other") => {
                account(json!([{ "name": "x" }]))
            }
            (&Method::GET, "/api/v1/namespaces/shop/serviceaccounts/secret-account") => {
                fake::status(403, "Forbidden", "no")
            }
            (&Method::DELETE, "/api/v1/namespaces/shop/pods/linked") => fake::ok(json!({})),
            _ => fake::not_found(request),
        }
    });
    let mut plans = plan::make(&cluster, &job()).await.unwrap().made;
    // The registry refused nobody: they had no login to show.
    assert!(plans[0].reasons.is_empty());
    let done = apply::all(&cluster, &job(), &mut plans).await.unwrap();
    let report = &done.reports[0];
    assert_eq!(report.recreated, ["linked"]);
    let left: Vec<&str> = report.left.iter().map(|left| left.pod.as_str()).collect();
    assert_eq!(left, ["other", "secret-account"]);
}
