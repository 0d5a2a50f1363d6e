//! `regcred status`: what it tells of secrets that others wrote, and of those it may not read.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hybrid_tests::said::Said;
use serde_json::{Value, json};

use super::{HOST, Namespaces, OTHER_REGION, apply, by_namespace, regcred, secret, sync};

const ELSEWHERE: &str = "210987654321.dkr.ecr.us-east-1.amazonaws.com";

/// A login for ECR whose password says that it ended a second after the beginning of Unix time.
fn dead_login() -> Value {
    let password = STANDARD.encode(r#"{"payload":"x","datakey":"y","expiration":1}"#);
    json!({ "username": "AWS", "password": password })
}

fn pull_secret(namespace: &str, kind: &str, key: &str, content: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Secret", "type": format!("kubernetes.io/{kind}"),
        "metadata": { "name": "regcred", "namespace": namespace },
        "data": { key: STANDARD.encode(content.to_string()) } })
}

#[test]
#[ignore = "needs the sandbox"]
fn a_status_judges_each_login_and_names_whose_it_is() {
    let made = Namespaces::made(&["told", "told-older"]);
    let (kept, older) = (made.name(0), made.name(1));
    let theirs = json!({ "auths": { ELSEWHERE: dead_login() } });
    let dockercfg = json!({ format!("https://{HOST}"): dead_login() });
    apply(&[
        pull_secret(kept, "dockerconfigjson", ".dockerconfigjson", &theirs),
        pull_secret(older, "dockercfg", ".dockercfg", &dockercfg),
    ]);
    assert_eq!(
        sync(&[kept, "--registry", OTHER_REGION])[kept]["change"],
        "updated"
    );
    let said = Said::of(&mut regcred(&["status", "-o=json", kept, older])).ends(0);
    let rows = by_namespace(&said.json());

    let row = &rows[kept];
    let ended = "1970-01-01T00:00:01Z";
    let expired = |host: &str| format!("the login for {host} expired at {ended}");
    assert_eq!(row["problems"], json!([expired(ELSEWHERE)]));
    assert_eq!(row["expiresAt"], ended);
    let logins: BTreeMap<&str, &Value> = row["registries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|login| (login["key"].as_str().unwrap(), login))
        .collect();
    for host in [HOST, OTHER_REGION] {
        let login = logins[host];
        assert_eq!(login["principal"], row["principal"], "{login}");
        let power = login["power"].as_str().unwrap();
        assert!(["pullOnly", "caller"].contains(&power), "{login}");
    }
    let theirs = logins[ELSEWHERE];
    assert!(
        theirs["principal"].is_null() && theirs["power"].is_null(),
        "{theirs}"
    );
    let annotations = &secret(kept).unwrap()["metadata"]["annotations"];
    let marks = annotations["kubectl-hybrid.dev/logins"].as_str().unwrap();
    let marks: BTreeMap<String, Value> = serde_json::from_str(marks).unwrap();
    assert_eq!(marks.keys().collect::<Vec<_>>(), [HOST, OTHER_REGION]);

    let problems = rows[older]["problems"].to_string();
    assert!(problems.contains(&expired(HOST)), "{problems}");
    assert!(problems.contains("older type"), "{problems}");
}

#[test]
#[ignore = "needs the sandbox"]
fn a_status_names_each_namespace_that_it_may_not_read() {
    let made = Namespaces::made(&["closed-a", "closed-b"]);
    let (one, two) = (made.name(0), made.name(1));
    let said = Said::of(&mut regcred(&["status", "-o=json", "--as=dev", one, two])).ends(7);
    let rows = by_namespace(&said.json());
    for name in [one, two] {
        assert_eq!(rows[name]["exists"], json!(null));
        assert_eq!(rows[name]["problems"].as_array().unwrap().len(), 1);
        let place = format!("namespace `{name}`");
        let mut errors = said
            .stderr
            .lines()
            .filter(|line| line.starts_with("error:"));
        assert!(errors.any(|line| line.contains(&place)), "{}", said.stderr);
    }
}
