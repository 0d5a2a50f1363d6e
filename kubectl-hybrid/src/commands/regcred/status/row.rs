//! One line of `regcred status`: a pull secret, and what is wrong with it.

use std::collections::BTreeSet;
use std::time::Duration;

use ecr_hybrid::host::Registry;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use serde::Serialize;

use crate::cluster::pull_secret::{self, Owner, Policy, PullSecretView, Reason, RegistryView};
use crate::commands::regcred::job::Job;
use crate::commands::regcred::power::Power;

/// A login that ends sooner than this, and was not renewed, is renewed by nobody.
const NEAR_ITS_END: Duration = Duration::from_hours(1);

/// The pull secret of one namespace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) namespace: String,
    pub(super) name: String,
    /// Whether there is one. `None` when it could not be read.
    pub(super) exists: Option<bool>,
    pub(super) registries: Vec<Login>,
    /// When the first of the logins for Amazon ECR ends.
    pub(super) expires_at: Option<Timestamp>,
    /// The AWS identities that the logins stand for.
    principal: Option<String>,
    /// How they were come by.
    source: Option<String>,
    /// Whether every login for Amazon ECR was minted through the contract's pull-only role.
    pull_only: bool,
    pub(super) owner: Option<Owner>,
    refreshed_by: Option<String>,
    /// Service accounts that name it.
    pub(super) service_accounts: BTreeSet<String>,
    /// Pods that name it.
    pub(super) pods: BTreeSet<String>,
    /// Pods with images of the wanted registries that do not name it.
    pub(super) pods_without: BTreeSet<String>,
    /// What is wrong, a sentence each.
    pub(super) problems: Vec<String>,
}

/// One login of a pull secret, and what it may do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Login {
    #[serde(flatten)]
    pub(super) entry: RegistryView,
    /// Left out where the contract has no say, or nothing says whose the login is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) power: Option<Power>,
}

impl Login {
    /// Whether it is a login for Amazon ECR.
    pub(super) fn is_ecr(&self) -> bool {
        self.entry.username.is_some() && Registry::parse(&self.entry.key).is_some()
    }
}

impl Row {
    /// Judges a secret by itself, `None` when there is none.
    pub(super) fn of(job: &Job, namespace: &str, secret: Option<&Secret>, now: Timestamp) -> Self {
        let view = secret.map(pull_secret::view);
        let mut problems: Vec<String> = faults(job, secret, now)
            .iter()
            .map(ToString::to_string)
            .collect();
        let mut row = Self::empty(job, namespace, Some(view.is_some()));
        let Some(view) = view else {
            row.problems = problems;
            return row;
        };
        problems.extend(of_their_power(job, &view));
        problems.extend(of_the_object(&view));
        let logins = view.registries.into_iter().map(|entry| Login {
            power: job.power(&entry).filter(|_| entry.username.is_some()),
            entry,
        });
        row.registries = logins.collect();
        let mut ecr = row
            .registries
            .iter()
            .filter(|login| login.is_ecr())
            .peekable();
        row.pull_only = ecr.peek().is_some()
            && ecr
                .clone()
                .all(|login| login.power == Some(Power::PullOnly));
        row.expires_at = ecr.filter_map(|login| login.entry.expires_at).min();
        Self {
            principal: view.principal,
            source: view.source,
            owner: Some(view.owner),
            refreshed_by: view.refreshed_by,
            problems,
            ..row
        }
    }

    /// A secret that could not be read.
    pub(super) fn unread(job: &Job, namespace: &str, why: String) -> Self {
        Self {
            problems: vec![why],
            ..Self::empty(job, namespace, None)
        }
    }

    fn empty(job: &Job, namespace: &str, exists: Option<bool>) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: job.secret.clone(),
            exists,
            registries: Vec::new(),
            expires_at: None,
            principal: None,
            source: None,
            pull_only: false,
            owner: None,
            refreshed_by: None,
            service_accounts: BTreeSet::new(),
            pods: BTreeSet::new(),
            pods_without: BTreeSet::new(),
            problems: Vec::new(),
        }
    }

    /// Adds what only those who use the secret show.
    pub(super) fn judge(&mut self) {
        let wanted = !self.pods.is_empty()
            || !self.pods_without.is_empty()
            || !self.service_accounts.is_empty();
        if self.exists == Some(false) && wanted {
            self.problems.push("there is no secret".to_owned());
        }
        if self.exists == Some(true) && !self.pods_without.is_empty() {
            let count = self.pods_without.len();
            let pods = if count == 1 { "pod pulls" } else { "pods pull" };
            self.problems.push(format!(
                "{count} {pods} from its registry and do not name it"
            ));
        }
    }
}

/// What is wrong with the logins: the wanted ones, and those for other registries of Amazon ECR.
fn faults(job: &Job, secret: Option<&Secret>, now: Timestamp) -> Vec<Reason> {
    let hosts = job.hosts();
    // That it will be renewed some time is nothing wrong.
    let policy = Policy {
        min_life: NEAR_ITS_END,
        ..Policy::default()
    };
    let mut faults = pull_secret::assess(secret, &hosts, "AWS", now, policy);
    faults.retain(|reason| *reason != Reason::NoSecret);
    faults.extend(
        secret
            .map(|secret| pull_secret::aged(secret, &hosts, now, policy))
            .unwrap_or_default(),
    );
    faults
}

/// Logins that may do more than they need to, and what makes them anew.
fn of_their_power(job: &Job, view: &PullSecretView) -> Vec<String> {
    let hosts = job.hosts();
    let told = view.registries.iter().filter_map(|entry| {
        let reason = job.too_much_power(entry)?;
        let mut command = format!("kubectl hybrid regcred sync {}", view.namespace);
        if !hosts.contains(&entry.key.as_str()) {
            command.push_str(" --registry ");
            command.push_str(Registry::parse(&entry.key)?.host());
        }
        Some(format!("{reason}: run `{command}`"))
    });
    told.collect()
}

/// What keeps the object from being read or refreshed.
fn of_the_object(view: &PullSecretView) -> Vec<String> {
    let mut problems = Vec::new();
    if !view.readable_type {
        problems.push(format!("the kubelet does not read its type, {}", view.kind));
    } else if view.kind == pull_secret::LEGACY_TYPE {
        problems.push(format!(
            "it is of the older type {}, which is not refreshed",
            view.kind
        ));
    }
    if view.immutable {
        problems.push("it is immutable, so it cannot be refreshed".to_owned());
    }
    if view.owner.contests() {
        problems.push(format!("{} keeps it, so it is not refreshed", view.owner));
    }
    if view.names_stores {
        problems.push("it names credential stores, which no kubelet asks".to_owned());
    }
    let entries = view.registries.iter();
    problems.extend(entries.filter_map(|entry| {
        let problem = entry.problem.as_ref()?;
        Some(format!("{}: {problem}", entry.key.escape_debug()))
    }));
    problems
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use serde_json::json;

    use super::*;
    use crate::cluster::namespaces::Scope;
    use crate::commands::regcred::job::Wanted;

    const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
    const OTHER: &str = "210987654321.dkr.ecr.us-east-1.amazonaws.com";
    const OTHER_REGION: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
    const ROLE: &str = "arn:aws:iam::123456789012:role/shop-pull";

    fn job() -> Job {
        Job {
            secret: "regcred".to_owned(),
            logins: vec![Wanted {
                registry: Registry::parse(HOST).unwrap(),
                role: Some(ROLE.to_owned()),
            }],
            namespaces: Scope::default(),
            accounts: Vec::new(),
            unstick: true,
            force: false,
        }
    }

    fn row_of(secret: serde_json::Value) -> Row {
        let secret = serde_json::from_value(secret).unwrap();
        Row::of(
            &job(),
            "shop",
            Some(&secret),
            "2026-11-23T10:00:00Z".parse().unwrap(),
        )
    }

    #[test]
    fn a_secret_that_cannot_be_refreshed_says_why() {
        let table = [
            (
                json!({ "type": "Opaque", "metadata": {} }),
                "the kubelet does not read its type, Opaque",
            ),
            (
                json!({ "type": "kubernetes.io/dockercfg", "metadata": {} }),
                "the older type",
            ),
            (
                json!({ "type": pull_secret::SECRET_TYPE, "metadata": {}, "immutable": true }),
                "immutable",
            ),
            (
                json!({ "type": pull_secret::SECRET_TYPE, "metadata": {
                "labels": { "app.kubernetes.io/managed-by": "Helm" } } }),
                "Helm keeps it",
            ),
        ];
        for (secret, expected) in table {
            let problems = row_of(secret).problems.join("; ");
            assert!(problems.contains(expected), "{problems}");
        }
    }

    /// A secret with a login for each of these hosts, and what is annotated of them.
    fn keeping(logins: &serde_json::Value) -> serde_json::Value {
        let auths: serde_json::Map<_, _> = logins
            .as_object()
            .unwrap()
            .keys()
            .map(|host| {
                (
                    host.clone(),
                    json!({ "username": "AWS", "password": "opaque" }),
                )
            })
            .collect();
        let config = json!({ "auths": auths }).to_string();
        let data = base64::engine::general_purpose::STANDARD.encode(config);
        json!({ "type": pull_secret::SECRET_TYPE,
            "metadata": { "namespace": "shop",
                "annotations": { pull_secret::ANNOTATION_LOGINS: logins.to_string() } },
            "data": { ".dockerconfigjson": data } })
    }

    fn login(principal: &str, expires_at: &str) -> serde_json::Value {
        json!({ "principal": principal, "expiresAt": expires_at })
    }

    const LATER: &str = "2026-11-23T22:00:00Z";

    #[test]
    fn a_token_is_pull_only_when_it_was_minted_through_the_role() {
        for (principal, expected) in [(ROLE, true), ("access key AKID", false)] {
            let row = row_of(keeping(&json!({ HOST: login(principal, LATER) })));
            assert_eq!(row.pull_only, expected, "{principal}");
            assert_eq!(row.problems.is_empty(), expected, "{:?}", row.problems);
        }
        let two = json!({ HOST: login(ROLE, LATER), OTHER: login("them", LATER) });
        let row = row_of(keeping(&two));
        assert!(!row.pull_only && row.problems.is_empty(), "{row:?}");
    }

    #[test]
    fn more_power_than_is_needed_is_a_problem_with_the_command_that_ends_it() {
        let logins = json!({ HOST: login("me", LATER), OTHER_REGION: login("me", LATER) });
        let told = |host: &str, more: &str| {
            format!(
                "the login for {host} is of me, not of the pull-only role {ROLE}: run `kubectl \
                 hybrid regcred sync shop{more}`"
            )
        };
        assert_eq!(
            row_of(keeping(&logins)).problems,
            [
                told(HOST, ""),
                told(OTHER_REGION, &format!(" --registry {OTHER_REGION}"))
            ]
        );
    }

    #[test]
    fn every_registry_of_ecr_is_judged_by_the_age_of_its_login() {
        let dead = "2026-11-23T09:00:00Z";
        let soon = "2026-11-23T10:30:00Z";
        let fine = "2026-11-23T14:00:00Z";
        let row = |one: &str, two: &str| {
            let logins = json!({ HOST: login(ROLE, one), OTHER: login("them", two) });
            let row = row_of(keeping(&logins));
            (row.problems.join("; "), row.expires_at.unwrap().to_string())
        };
        let told = |host: &str, how: &str| format!("the login for {host} {how}");
        // Past half of its life is nothing wrong.
        assert_eq!(row(fine, LATER), (String::new(), fine.to_owned()));
        assert_eq!(
            row(fine, dead),
            (told(OTHER, &format!("expired at {dead}")), dead.to_owned())
        );
        assert_eq!(
            row(soon, fine),
            (told(HOST, &format!("expires at {soon}")), soon.to_owned())
        );
        // The wanted one is judged even when it is not there.
        let absent = row_of(keeping(&json!({ OTHER: login("them", fine) })));
        assert_eq!(absent.problems, [format!("no login for {HOST}")]);
    }

    #[test]
    fn a_secret_of_the_older_type_is_judged_by_what_it_holds() {
        let password = base64::engine::general_purpose::STANDARD
            .encode(r#"{"payload":"x","expiration":1795424400}"#);
        let auths =
            json!({ format!("https://{HOST}"): { "username": "AWS", "password": password } });
        let data = base64::engine::general_purpose::STANDARD.encode(auths.to_string());
        let row = row_of(json!({ "type": pull_secret::LEGACY_TYPE, "metadata": {},
            "data": { ".dockercfg": data } }));
        let problems = row.problems.join("; ");
        let expired = format!("the login for {HOST} expired at 2026-11-23T09:00:00Z");
        assert!(problems.contains(&expired), "{problems}");
        assert!(!problems.contains("no login"), "{problems}");
        assert_eq!(row.expires_at.unwrap().to_string(), "2026-11-23T09:00:00Z");
    }

    #[test]
    fn each_registry_tells_its_identity_and_what_that_may_do() {
        let logins = json!({ HOST: login(ROLE, LATER), OTHER: login("them", LATER) });
        let shown = serde_json::to_value(row_of(keeping(&logins))).unwrap();
        let of = |host: &str| {
            let logins = shown["registries"].as_array().unwrap();
            let login = logins.iter().find(|login| login["key"] == host).unwrap();
            (login["principal"].clone(), login.get("power").cloned())
        };
        assert_eq!(of(HOST), (json!(ROLE), Some(json!("pullOnly"))));
        assert_eq!(of(OTHER), (json!("them"), None));
    }

    #[test]
    fn a_secret_that_could_not_be_read_is_neither_there_nor_missing() {
        let mut row = Row::unread(&job(), "shop", "forbidden".to_owned());
        row.service_accounts.insert("default".to_owned());
        row.judge();
        let shown = serde_json::to_value(&row).unwrap();
        assert_eq!(shown["exists"], json!(null));
        assert_eq!(shown["problems"], json!(["forbidden"]));
    }
}
