use jiff::SignedDuration;
use k8s_openapi::ByteString;
use serde_json::json;

use super::*;
use crate::cluster::pull_secret::{
    ANNOTATION_EXPIRES_AT, ANNOTATION_ISSUED_AT, ANNOTATION_LOGINS, ANNOTATION_PRINCIPAL,
    ANNOTATION_REGISTRIES, due_at,
};

const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
const NOW: &str = "2026-11-23T10:00:00Z";
const LATER: &str = "2026-11-23T22:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn policy() -> Policy {
    Policy {
        min_life: Duration::from_hours(6),
        ..Policy::default()
    }
}

const REFRESHED_BY: &str = "kubectl-hybrid/0.1.0";

fn origin() -> Origin {
    Origin {
        principal: Some("arn:aws:iam::123456789012:role/dev".to_owned()),
        source: Some("profile dev".to_owned()),
        issued_at: None,
    }
}

fn secret(auths: &str, expires_at: Option<&str>) -> SecretObject {
    let mut secret: SecretObject = serde_json::from_value(json!({
        "type": SECRET_TYPE,
        "metadata": { "name": "regcred", "uid": "u", "resourceVersion": "7" },
    }))
    .unwrap();
    secret.data = Some(BTreeMap::from([(
        DATA_KEY.to_owned(),
        ByteString(auths.as_bytes().to_vec()),
    )]));
    if let Some(at) = expires_at {
        secret.metadata.annotations = Some(BTreeMap::from([(
            ANNOTATION_EXPIRES_AT.to_owned(),
            at.to_owned(),
        )]));
    }
    secret
}

fn ours(username: &str) -> String {
    format!(r#"{{"auths":{{"{HOST}":{{"username":"{username}","password":"old"}}}}}}"#)
}

fn plan_of(existing: Option<&SecretObject>, policy: Policy) -> Plan {
    let password = Secret::new("new".to_owned());
    let login = RegistryLogin {
        registry: HOST,
        username: "AWS",
        password: &password,
        expires_at: LATER.parse().unwrap(),
        origin: Some(&origin()),
    };
    plan(existing, &[login], REFRESHED_BY, now(), policy)
}

fn verdict(plan: &Plan) -> String {
    match plan {
        Plan::Create(_) => "create".to_owned(),
        Plan::Update {
            reasons, dropped, ..
        } => {
            let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
            format!("update: {}; dropped {dropped:?}", reasons.join("; ")).replace(HOST, "HOST")
        }
        Plan::Fresh(fresh) => format!("fresh until {:?}", fresh.expires_at),
        Plan::Stays {
            refusal,
            expires_at,
        } => format!("stays until {expires_at:?}: {refusal}"),
        Plan::Refused(refusal) => format!("refused: {refusal}"),
    }
}

#[test]
fn the_plan_follows_what_is_there() {
    let table = [
        (
            secret(&ours("AWS"), Some("2026-11-23T16:00:00Z")),
            "fresh until Some(2026-11-23T16:00:00Z)",
        ),
        (
            secret(&ours("AWS"), Some("2026-11-23T15:59:59Z")),
            "update: the login for HOST expires at 2026-11-23T15:59:59Z; dropped []",
        ),
        (
            secret(&ours("AWS"), Some("2026-11-23T10:00:00Z")),
            "update: the login for HOST expired at 2026-11-23T10:00:00Z; dropped []",
        ),
        (
            secret(&ours("AWS"), None),
            "update: nothing says when the login for HOST expires; dropped []",
        ),
        (
            secret(&ours("AWS"), Some("tomorrow")),
            "update: nothing says when the login for HOST expires; dropped []",
        ),
        (
            secret(&ours("aws"), Some(LATER)),
            "update: the user name for HOST is `aws`; dropped []",
        ),
        (
            secret("{}", Some(LATER)),
            "update: no login for HOST; dropped []",
        ),
        (
            secret(&format!(r#"{{"auths":{{"{HOST}":{{}}}}}}"#), Some(LATER)),
            "update: no login for HOST; dropped []",
        ),
        (
            secret("nonsense", Some(LATER)),
            "update: its content cannot be read: it is no JSON, line 1 column 2; dropped []",
        ),
        (
            secret(
                &ours("AWS").replace("}}}", r#"},"x.example":{"auth":"%"}}}"#),
                Some(LATER),
            ),
            "update: the entry `x.example` cannot be read: `auth` is no base64; dropped [\"x.example\"]",
        ),
        (
            secret(
                &ours("AWS").replace("}}}", &format!(r#"}},"https://{HOST}":{{}}}}}}"#)),
                Some(LATER),
            ),
            "update: `https://HOST` is another spelling of HOST; dropped []",
        ),
    ];
    for (existing, expected) in table {
        assert_eq!(verdict(&plan_of(Some(&existing), policy())), expected);
    }
    assert_eq!(verdict(&plan_of(None, policy())), "create");
}

#[test]
fn what_must_not_be_written_is_refused_with_the_reason() {
    let stale = || secret("{}", None);
    let mut opaque = stale();
    opaque.type_ = Some("Opaque".to_owned());
    let mut frozen = stale();
    frozen.immutable = Some(true);
    let mut helm = stale();
    helm.metadata.labels = Some(BTreeMap::from([(
        "app.kubernetes.io/managed-by".to_owned(),
        "Helm".to_owned(),
    )]));
    let table = [
        (
            &opaque,
            "refused: its type is `Opaque` instead of `kubernetes.io/dockerconfigjson`, and a type cannot be changed",
        ),
        (&frozen, "refused: it is immutable"),
        (
            &helm,
            "refused: Helm keeps it (app.kubernetes.io/managed-by=Helm) and would undo the change",
        ),
    ];
    for (existing, expected) in table {
        assert_eq!(verdict(&plan_of(Some(existing), policy())), expected);
    }
    let take_over = Policy {
        take_over: true,
        ..policy()
    };
    assert!(verdict(&plan_of(Some(&helm), take_over)).starts_with("update"));
}

#[test]
fn what_must_not_be_written_stays_while_its_token_lives() {
    let with = |username: &str, expires_at: &str, meta: serde_json::Value| {
        let mut secret = secret(&ours(username), Some(expires_at));
        let more: SecretObject = serde_json::from_value(meta).unwrap();
        secret.metadata.labels = more.metadata.labels;
        secret.metadata.owner_references = more.metadata.owner_references;
        secret.metadata.deletion_timestamp = more.metadata.deletion_timestamp;
        secret.immutable = more.immutable;
        secret.type_ = more.type_.or(secret.type_);
        secret
    };
    let immutable = || json!({ "immutable": true });
    let helm = || json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": "Helm" } } });
    let external = || {
        json!({ "metadata": { "ownerReferences": [{ "apiVersion": "external-secrets.io/v1",
            "kind": "ExternalSecret", "name": "regcred", "uid": "1" }] } })
    };
    let old = "2026-11-23T12:00:00Z";
    let dead = "2026-11-23T10:00:00Z";
    let stays = "stays until Some(2026-11-23T12:00:00Z): ";
    let owned =
        "ExternalSecret keeps it (owned by ExternalSecret `regcred`) and would undo the change";
    let opaque = "refused: its type is `Opaque` instead of `kubernetes.io/dockerconfigjson`, and a type cannot be changed";
    let table = [
        (with("AWS", old, external()), format!("{stays}{owned}")),
        (
            with("AWS", old, immutable()),
            format!("{stays}it is immutable"),
        ),
        (
            with("AWS", LATER, helm()),
            "fresh until Some(2026-11-23T22:00:00Z)".to_owned(),
        ),
        // Dead, or not for this registry.
        (with("AWS", dead, external()), format!("refused: {owned}")),
        (
            with("AWS", dead, immutable()),
            "refused: it is immutable".to_owned(),
        ),
        (with("aws", LATER, external()), format!("refused: {owned}")),
        // Alive, and the kubelet does not read it.
        (
            with("AWS", LATER, json!({ "type": "Opaque" })),
            opaque.to_owned(),
        ),
        (
            with(
                "AWS",
                LATER,
                json!({ "metadata": { "deletionTimestamp": NOW } }),
            ),
            "refused: it is being deleted".to_owned(),
        ),
    ];
    for (existing, expected) in table {
        assert_eq!(verdict(&plan_of(Some(&existing), policy())), expected);
    }
    // The registry refused what looks alive.
    let always = Policy {
        always: true,
        ..policy()
    };
    for at in [old, LATER] {
        let refused = verdict(&plan_of(Some(&with("AWS", at, external())), always));
        assert_eq!(refused, format!("refused: {owned}"), "{at}");
    }
}

#[test]
fn the_older_type_serves_while_its_token_lives() {
    let legacy = |key: &str, expires_at| {
        let mut secret = secret("", Some(expires_at));
        secret.type_ = Some(LEGACY_TYPE.to_owned());
        let auths = format!(r#"{{"{key}":{{"username":"AWS","password":"old"}}}}"#);
        secret.data = Some(BTreeMap::from([(
            LEGACY_KEY.to_owned(),
            ByteString(auths.into_bytes()),
        )]));
        verdict(&plan_of(Some(&secret), policy()))
    };
    for key in [HOST, &format!("https://{HOST}")] {
        let legacy = |expires_at| legacy(key, expires_at);
        // Its spelling alone is no reason to do without it.
        let is_bare = key == HOST;
        assert!(legacy(LATER).starts_with(if is_bare { "fresh" } else { "stays" }));
        assert!(legacy("2026-11-23T12:00:00Z").starts_with("stays"));
        assert!(legacy("2026-11-23T10:00:00Z").starts_with("refused"));
    }
}

#[test]
fn who_is_told_to_delete_a_secret_is_told_what_else_it_holds() {
    let hint = |auths: &str| {
        let mut secret = secret(auths, None);
        secret.type_ = Some("Opaque".to_owned());
        let refusal = refusal(&secret, &[HOST], policy()).unwrap();
        refusal.hint("regcred", "shop")
    };
    let delete = "`kubectl -n shop delete secret regcred`";
    assert_eq!(
        hint(&ours("AWS")),
        format!("delete it, and it is made anew: {delete}")
    );
    let told = hint(&ours("AWS").replace(
        "}}}",
        &format!(
            r#"}},"https://{HOST}":{{}},"quay.io":{{"auth":"dTpw"}},"x.example":{{}},"ghcr.io":{{"auth":"dTpw"}}}}}}"#
        ),
    ));
    assert!(told.contains("for ghcr.io, quay.io: "), "{told}");
    assert!(told.contains(delete), "{told}");
}

#[test]
fn an_immutable_secret_that_is_fresh_needs_nothing() {
    let mut frozen = secret(&ours("AWS"), Some(LATER));
    frozen.immutable = Some(true);
    assert!(verdict(&plan_of(Some(&frozen), policy())).starts_with("fresh"));
}

#[test]
fn another_identity_is_a_reason_to_write() {
    let mut existing = secret(&ours("AWS"), Some(LATER));
    let annotations = existing.metadata.annotations.as_mut().unwrap();
    annotations.insert(
        ANNOTATION_PRINCIPAL.to_owned(),
        "arn:aws:iam::1:user/x".to_owned(),
    );
    assert!(verdict(&plan_of(Some(&existing), policy())).contains("of another identity"));
}

#[test]
fn the_same_identity_is_no_reason_whatever_commas_it_has() {
    let sso = "SSO session shop, account 123456789012, role dev";
    for found in [sso.to_owned(), format!("arn:aws:iam::1:user/x, {sso}")] {
        let mut existing = secret(&ours("AWS"), Some(LATER));
        let annotations = existing.metadata.annotations.as_mut().unwrap();
        annotations.insert(ANNOTATION_PRINCIPAL.to_owned(), found);
        let (password, origin) = (
            Secret::new("new".to_owned()),
            Origin {
                principal: Some(sso.to_owned()),
                ..origin()
            },
        );
        let login = RegistryLogin {
            registry: HOST,
            username: "AWS",
            password: &password,
            expires_at: LATER.parse().unwrap(),
            origin: Some(&origin),
        };
        let plan = plan(Some(&existing), &[login], REFRESHED_BY, now(), policy());
        assert!(verdict(&plan).starts_with("fresh"), "{}", verdict(&plan));
    }
}

#[test]
fn always_writes_unless_the_very_login_is_there() {
    let always = Policy {
        always: true,
        ..policy()
    };
    let fresh = secret(&ours("AWS"), Some(LATER));
    assert!(verdict(&plan_of(Some(&fresh), always)).contains("does not accept"));
    let same = secret(&ours("AWS").replace("old", "new"), Some(LATER));
    assert!(verdict(&plan_of(Some(&same), always)).starts_with("fresh"));
}

#[test]
fn what_is_written_keeps_the_version_and_the_foreign_entries() {
    let existing = secret(r#"{"auths":{"r.example":{ "auth":"dTpw" }}}"#, None);
    match plan_of(Some(&existing), policy()) {
        Plan::Update { write, .. } => {
            let data = String::from_utf8(write.data).unwrap();
            assert!(data.contains(r#""r.example":{ "auth":"dTpw" }"#), "{data}");
            assert!(data.contains(r#""password":"new""#), "{data}");
            assert_eq!(write.resource_version.as_deref(), Some("7"));
            assert_eq!(
                write.annotations[ANNOTATION_EXPIRES_AT].as_deref(),
                Some(LATER)
            );
            assert_eq!(
                write.annotations[ANNOTATION_REGISTRIES].as_deref(),
                Some(HOST)
            );
        }
        other => unreachable!("{}", verdict(&other)),
    }
}

#[test]
fn a_login_whose_whole_life_is_known_is_left_alone_for_half_of_it() {
    let issued = |minutes: i64| {
        let mut secret = secret(&ours("AWS"), Some("2026-11-23T10:30:00Z"));
        let at = now() - SignedDuration::from_mins(minutes);
        let annotations = secret.metadata.annotations.as_mut().unwrap();
        annotations.insert(ANNOTATION_ISSUED_AT.to_owned(), at.to_string());
        secret
    };
    // Thirty minutes are left of one hour, and of an hour and two minutes.
    assert!(verdict(&plan_of(Some(&issued(30)), policy())).starts_with("fresh"));
    assert!(verdict(&plan_of(Some(&issued(32)), policy())).starts_with("update"));
    assert_eq!(
        due_at(&issued(10), &[HOST], policy()),
        Some("2026-11-23T10:10:00Z".parse().unwrap())
    );
    // Times that are turned round say nothing.
    assert!(verdict(&plan_of(Some(&issued(-60)), policy())).starts_with("update"));
    assert_eq!(due_at(&secret("{}", None), &[HOST], policy()), None);
}

#[test]
fn a_login_that_lives_no_longer_than_the_one_that_is_there_is_not_written() {
    let existing = secret(&ours("AWS"), Some("2026-11-23T15:00:00Z"));
    let password = Secret::new("new".to_owned());
    let until = |at: &str| {
        let login = RegistryLogin {
            registry: HOST,
            username: "AWS",
            password: &password,
            expires_at: at.parse().unwrap(),
            origin: None,
        };
        verdict(&plan(
            Some(&existing),
            &[login],
            REFRESHED_BY,
            now(),
            policy(),
        ))
    };
    assert!(until("2026-11-23T15:00:00Z").starts_with("fresh"));
    assert!(until("2026-11-23T15:00:01Z").starts_with("update"));
}

#[test]
fn registries_that_another_workspace_keeps_in_the_same_secret_stay_listed() {
    let other = "210987654321.dkr.ecr.us-east-1.amazonaws.com";
    let auths = format!(r#"{{"auths":{{"{other}":{{"auth":"QVdTOng="}}}}}}"#);
    let mut existing = secret(&auths, Some("2026-11-23T12:00:00Z"));
    let annotations = existing.metadata.annotations.as_mut().unwrap();
    annotations.insert(
        ANNOTATION_REGISTRIES.to_owned(),
        format!("{other},gone.example"),
    );
    match plan_of(Some(&existing), policy()) {
        Plan::Update { write, .. } => {
            assert_eq!(
                write.annotations[ANNOTATION_REGISTRIES],
                Some(format!("{HOST},{other}"))
            );
            assert_eq!(
                write.annotations[ANNOTATION_EXPIRES_AT].as_deref(),
                Some("2026-11-23T12:00:00Z")
            );
            assert_eq!(write.expires_at, Some(LATER.parse().unwrap()));
        }
        other => unreachable!("{}", verdict(&other)),
    }
}

#[test]
fn each_registry_in_one_secret_keeps_the_identity_that_it_was_minted_as() {
    let other = "210987654321.dkr.ecr.us-east-1.amazonaws.com";
    let auths = format!(r#"{{"auths":{{"{other}":{{"auth":"QVdTOng="}}}}}}"#);
    let theirs = "arn:aws:iam::210987654321:role/pull";
    let with = |annotations: serde_json::Value| {
        let mut existing = secret(&auths, None);
        let meta: SecretObject =
            serde_json::from_value(json!({ "metadata": { "annotations": annotations } })).unwrap();
        existing.metadata.annotations = meta.metadata.annotations;
        existing
    };
    // As it is written now, and as it was written before.
    let table = [
        json!({
            ANNOTATION_REGISTRIES: other,
            ANNOTATION_LOGINS: json!({ other: { "principal": theirs,
                "expiresAt": "2026-11-23T12:00:00Z" } }).to_string(),
        }),
        json!({
            ANNOTATION_REGISTRIES: other,
            ANNOTATION_PRINCIPAL: theirs,
            ANNOTATION_EXPIRES_AT: "2026-11-23T12:00:00Z",
        }),
    ];
    for annotations in table {
        let Plan::Update { write, .. } = plan_of(Some(&with(annotations)), policy()) else {
            unreachable!("it has no login for {HOST}");
        };
        let written = |name| write.annotations[name].as_deref().unwrap();
        let ours = "arn:aws:iam::123456789012:role/dev";
        assert_eq!(written(ANNOTATION_PRINCIPAL), format!("{ours}, {theirs}"));
        let logins: serde_json::Value = serde_json::from_str(written(ANNOTATION_LOGINS)).unwrap();
        assert_eq!(
            logins,
            json!({
                HOST: { "expiresAt": LATER, "principal": ours, "source": "profile dev" },
                other: { "expiresAt": "2026-11-23T12:00:00Z", "principal": theirs },
            })
        );
    }
}

#[test]
fn the_identity_of_another_registry_is_no_reason_to_write() {
    let other = "210987654321.dkr.ecr.us-east-1.amazonaws.com";
    let auths = ours("AWS").replace("}}}", &format!(r#"}},"{other}":{{"auth":"QVdTOng="}}}}}}"#));
    let mut existing = secret(&auths, Some(LATER));
    let annotations = existing.metadata.annotations.as_mut().unwrap();
    let logins = json!({
        HOST: { "expiresAt": LATER, "principal": origin().principal },
        other: { "expiresAt": LATER, "principal": "somebody" },
    });
    annotations.insert(ANNOTATION_LOGINS.to_owned(), logins.to_string());
    annotations.insert(ANNOTATION_PRINCIPAL.to_owned(), "somebody".to_owned());
    assert!(verdict(&plan_of(Some(&existing), policy())).starts_with("fresh"));
}
