//! The kubelet's own questions.

use jiff::SignedDuration;
use serde_json::Value;

use crate::HOST;
use crate::api::{Api, Manner, password};
use crate::home::{Home, Outcome};

fn ask(home: &Home, version: &str, image: &str) -> Outcome {
    let request = serde_json::json!({
        "kind": "CredentialProviderRequest",
        "apiVersion": format!("credentialprovider.kubelet.k8s.io/{version}"),
        "image": image,
    });
    home.run(&["kubelet"], &request.to_string())
}

fn answer(outcome: &Outcome) -> Value {
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let answer: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(answer["kind"], "CredentialProviderResponse");
    assert_eq!(answer["apiVersion"], "credentialprovider.kubelet.k8s.io/v1");
    assert_eq!(answer["cacheKeyType"], "Registry");
    answer
}

#[test]
fn an_image_s_registry_gets_the_token_that_docker_gets() {
    let api = Api::giving();
    let home = Home::of(&api);
    assert_eq!(home.get(HOST).password(), password(1));
    for (image, key) in [
        (format!("{HOST}/team/app"), HOST.to_owned()),
        (format!("{HOST}:8443/app"), format!("{HOST}:8443")),
    ] {
        let answer = answer(&ask(&home, "v1", &image));
        assert_eq!(answer["auth"][&key]["username"], "AWS");
        assert_eq!(answer["auth"][&key]["password"], password(1));
        let keep = answer["cacheDuration"].as_str().unwrap();
        assert!(keep.starts_with("5h59m"), "{keep}");
    }
    assert_eq!(api.calls(), 1);
}

#[test]
fn a_token_that_could_not_be_renewed_is_kept_for_a_minute() {
    let api = Api::start(Manner::Refuse("ThrottlingException", "Rate exceeded"));
    let home = Home::of(&api);
    let hour = SignedDuration::from_hours(1);
    home.keep(HOST, "old", -hour * 8, hour * 4);
    let answer = answer(&ask(&home, "v1", HOST));
    assert_eq!(answer["auth"][HOST]["password"], "old");
    assert_eq!(answer["cacheDuration"], "1m0s");
}

#[test]
fn an_image_of_others_is_pulled_without_a_login() {
    let api = Api::start(Manner::Refuse("AccessDeniedException", "no"));
    let home = Home::of(&api);
    for image in [
        "docker.io/library/busybox",
        "public.ecr.aws/docker/library/busybox",
    ] {
        let answer = answer(&ask(&home, "v1", image));
        assert_eq!(answer["auth"], serde_json::json!({}));
        assert_eq!(answer["cacheDuration"], "0s");
    }
}

#[test]
fn what_cannot_be_answered_is_one_sentence_for_the_kubelet_s_log() {
    let api = Api::start(Manner::Refuse("AccessDeniedException", "nobody may"));
    let home = Home::of(&api);
    #[rustfmt::skip]
    let rows = [
        (ask(&home, "v1beta1", HOST), "v1beta1`, and only credentialprovider.kubelet.k8s.io/v1"),
        (ask(&home, "v1", ""), "names no image"),
        (home.run(&["kubelet"], "{"), "holds no CredentialProviderRequest"),
        (ask(&home, "v1", HOST), "access denied"),
    ];
    for (outcome, expected) in rows {
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""));
        assert!(outcome.stderr.contains(expected), "{outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    }
}

#[test]
fn a_configuration_for_the_kubelet_is_printed() {
    let home = Home::of(&Api::giving());
    let all = home.run(&["kubelet", "--print-config"], "").stdout;
    assert!(all.contains("kind: CredentialProviderConfig") && all.contains("public.ecr.aws"));
    let one = home.run(&["kubelet", "--print-config", HOST], "").stdout;
    assert!(one.contains(HOST) && !one.contains("public.ecr.aws"));
    let wrong = home.run(&["kubelet", "--print-config", "docker.io"], "");
    assert_eq!((wrong.code, wrong.stdout.as_str()), (Some(1), ""));
}
