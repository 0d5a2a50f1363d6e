//! Why a pod cannot pull, put together from its status, the pull secret and the service account.
//!
//! The kubelet's words cannot tell an expired token from a denied one. The secret can.

use jiff::Timestamp;

use super::finding::{Evidence, Fix};
use crate::cluster::keyring;
use crate::cluster::pull_secret::{PullSecretView, RegistryView};
use crate::cluster::trouble::PullFault;

/// What is known around a pod that cannot pull.
#[derive(Debug, Clone, Copy)]
pub struct PullContext<'a> {
    /// The moment.
    pub now: Timestamp,
    /// The namespace.
    pub namespace: &'a str,
    /// The name of the pull secret.
    pub secret_name: &'a str,
    /// The pull secret: `None` when it is not known, `Some(None)` when there is none.
    pub secret: Option<Option<&'a PullSecretView>>,
    /// The service account.
    pub service_account: &'a str,
    /// Whether the service account names the secret, when that is known.
    pub account_names_secret: Option<bool>,
    /// The pull secrets that the pod names.
    pub pod_secrets: &'a [String],
    /// The service, for the deploy command.
    pub service: &'a str,
    /// The image.
    pub image: &'a str,
}

/// The cause, in words, with evidence and fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullCause {
    /// What is wrong, going on after "cannot pull IMAGE: ".
    pub message: String,
    /// What shows it.
    pub evidence: Vec<Evidence>,
    /// What to do.
    pub fix: Option<Fix>,
}

impl PullCause {
    fn new(message: impl Into<String>, fix: Fix) -> Self {
        Self {
            message: message.into(),
            evidence: Vec::new(),
            fix: Some(fix),
        }
    }

    fn shown_by(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.evidence.push(Evidence {
            key: key.into(),
            value: value.into(),
        });
        self
    }
}

/// Finds the cause of a pull that failed.
pub fn explain_pull(fault: PullFault, context: PullContext<'_>) -> PullCause {
    let words = fault.sentence();
    let doubtful = fault == PullFault::Unknown;
    if fault.is_about_credentials() || doubtful {
        if let Some(cause) = from_references(context) {
            return cause;
        }
        if let Some(Some(secret)) = context.secret
            && let Some(cause) = from_secret(secret, fault, context)
        {
            return cause;
        }
    }
    let service = context.service;
    match fault {
        PullFault::NoRepository | PullFault::NotFound => PullCause::new(
            words,
            Fix::command(
                "build and push it, and pin the workload to what was pushed",
                format!("kubectl hybrid deploy {service}"),
            ),
        ),
        PullFault::Platform => PullCause::new(
            words,
            Fix::command(
                "build it for the platform of the nodes",
                format!("kubectl hybrid deploy {service}"),
            ),
        ),
        PullFault::Denied => PullCause::new(
            words,
            Fix::words(
                "allow ecr:BatchGetImage, ecr:GetDownloadUrlForLayer and \
                 ecr:BatchCheckLayerAvailability on the repository for that identity",
            ),
        ),
        PullFault::Certificate | PullFault::Dns | PullFault::Unreachable => PullCause::new(
            words,
            Fix::words("restart the cluster's virtual machine, and look at VPN and proxy settings"),
        ),
        PullFault::Clock => PullCause::new(
            words,
            Fix::words("restart the cluster's virtual machine: its clock stood still"),
        ),
        PullFault::NeverPolicy => {
            PullCause::new(words, Fix::words("set `imagePullPolicy: IfNotPresent`"))
        }
        PullFault::InvalidName => PullCause::new(
            words,
            Fix::words("correct the image in the workload's template"),
        ),
        PullFault::NoSpace => PullCause::new(words, Fix::words("free space on the node")),
        PullFault::RateLimited | PullFault::RegistryTrouble => PullCause::new(
            words,
            Fix::words("nothing: the kubelet tries again within five minutes"),
        ),
        _ => PullCause {
            message: words.to_owned(),
            evidence: Vec::new(),
            fix: None,
        },
    }
}

/// Rows about who names the secret, before what is in it.
fn from_references(context: PullContext<'_>) -> Option<PullCause> {
    let PullContext {
        namespace,
        secret_name,
        service_account,
        service,
        ..
    } = context;
    if !context.pod_secrets.iter().any(|name| name == secret_name) {
        let deploy = || {
            Fix::command(
                "name the pull secret in the pod template (Terraform's module does), and roll out",
                format!("kubectl hybrid deploy {service}"),
            )
        };
        let cause = if context.pod_secrets.is_empty() {
            match context.account_names_secret {
                Some(true) => PullCause::new(
                    format!(
                        "the pod was made before service account `{service_account}` named \
                         `{secret_name}`"
                    ),
                    Fix::command(
                        "make the pods anew",
                        format!("kubectl hybrid restart {service}"),
                    ),
                ),
                _ => PullCause::new(
                    format!(
                        "neither the pod nor service account `{service_account}` names a pull secret"
                    ),
                    deploy(),
                ),
            }
        } else {
            PullCause::new(
                format!(
                    "the pod template names other pull secrets, which hides those of service \
                     account `{service_account}`"
                ),
                deploy(),
            )
        };
        return Some(cause.shown_by("pod.spec.imagePullSecrets", shown(context.pod_secrets)));
    }
    match context.secret {
        Some(None) => Some(
            PullCause::new(
                format!(
                    "the pull secret `{secret_name}` does not exist in namespace `{namespace}`"
                ),
                refresh(),
            )
            .shown_by("pod.spec.imagePullSecrets", shown(context.pod_secrets)),
        ),
        _ => None,
    }
}

/// Rows about a secret of which the kubelet uses nothing.
fn unusable(secret: &PullSecretView, context: PullContext<'_>) -> Option<PullCause> {
    let PullContext {
        namespace,
        secret_name,
        ..
    } = context;
    let object = format!("secret/{secret_name}");
    if !secret.readable_type {
        return Some(
            PullCause::new(
                format!(
                    "the pull secret has the type `{}`, which the kubelet ignores",
                    secret.kind
                ),
                Fix::command(
                    "delete it and make it anew",
                    format!(
                        "kubectl -n {namespace} delete secret {secret_name} && kubectl hybrid \
                         regcred sync"
                    ),
                )
                .destructive(),
            )
            .shown_by(format!("{object} type"), &secret.kind),
        );
    }
    if let Some(why) = &secret.unreadable {
        return Some(
            PullCause::new(format!("the pull secret cannot be read: {why}"), refresh())
                .shown_by(object, why),
        );
    }
    let is_broken = |entry: &&RegistryView| {
        entry.problem.is_some() && entry.username.is_none() && !is_empty_login(entry)
    };
    if let Some(broken) = secret.registries.iter().find(is_broken) {
        let why = broken.problem.clone().unwrap_or_default();
        return Some(
            PullCause::new(
                format!(
                    "the entry `{}` of the pull secret cannot be read, and that breaks every other \
                     entry",
                    broken.key.escape_debug()
                ),
                refresh(),
            )
            .shown_by(format!("{object} {}", broken.key.escape_debug()), why),
        );
    }
    None
}

/// Rows about what is in the secret.
fn from_secret(
    secret: &PullSecretView,
    fault: PullFault,
    context: PullContext<'_>,
) -> Option<PullCause> {
    if let Some(cause) = unusable(secret, context) {
        return Some(cause);
    }
    let PullContext { now, image, .. } = context;
    let object = format!("secret/{}", context.secret_name);
    let registry = keyring::registry_of(image);
    let logins: Vec<&RegistryView> = secret.entries_for(image).collect();
    if logins.is_empty() {
        return Some(no_login(secret, &registry, image, &object));
    }
    let ends = |login: &&RegistryView| login.expires_at.is_some_and(|at| at <= now);
    if logins.iter().all(ends) {
        let at = logins
            .iter()
            .filter_map(|login| login.expires_at)
            .max()
            .unwrap_or(now);
        return Some(
            PullCause::new(
                format!("the token for {registry} expired at {at:.0}"),
                refresh(),
            )
            .shown_by(format!("{object} expires"), format!("{at:.0}")),
        );
    }
    let is_ecr = registry.contains(".dkr.ecr") || registry.contains(".dkr-ecr");
    if let Some(login) = logins
        .iter()
        .find(|login| is_ecr && login.username.as_deref() != Some("AWS"))
    {
        let found = login.username.clone().unwrap_or_default();
        return Some(
            PullCause::new(
                format!("the user name for {registry} is `{found}`; Amazon ECR takes `AWS` only"),
                refresh(),
            )
            .shown_by(format!("{object} {} username", login.key), found),
        );
    }
    let alive = logins.iter().filter_map(|login| login.expires_at).max();
    let until = alive.map_or_else(|| "unknown".to_owned(), |at| format!("{at:.0}"));
    let cause = match fault {
        PullFault::Expired => PullCause::new(
            "the registry calls the token expired, though the secret holds a newer one",
            Fix::command(
                "take a new token, and make the stuck pods anew",
                "kubectl hybrid regcred sync --force",
            ),
        ),
        PullFault::NoCredentials
        | PullFault::Forbidden
        | PullFault::Rejected
        | PullFault::BadSecret => PullCause::new(
            format!(
                "{}; the secret looks right now, so the pod may only be waiting for its next try",
                fault.sentence()
            ),
            Fix::command(
                "take a new token, and make the stuck pods anew; if they fail again, that identity \
                 may not pull",
                "kubectl hybrid regcred sync --force",
            ),
        ),
        _ => return None,
    };
    let principal = secret
        .principal
        .clone()
        .unwrap_or_else(|| "unknown".to_owned());
    Some(
        cause
            .shown_by(format!("{object} expires"), until)
            .shown_by(format!("{object} principal"), principal),
    )
}

fn no_login(secret: &PullSecretView, registry: &str, image: &str, object: &str) -> PullCause {
    if secret.registries.is_empty() {
        return PullCause::new("the pull secret is empty", refresh())
            .shown_by(object, "no entries");
    }
    if let Some(empty) = secret.registries.iter().find(|entry| {
        is_empty_login(entry) && keyring::key_matches(&entry.key, &keyring::repository_of(image))
    }) {
        return PullCause::new(
            format!(
                "the entry for {registry} holds no login: it was copied from a Docker config with a \
                 credential store"
            ),
            refresh(),
        )
        .shown_by(format!("{object} {}", empty.key), "no login");
    }
    let repository = keyring::repository_of(image);
    let nearest = secret
        .registries
        .iter()
        .filter_map(|entry| {
            let mismatch = keyring::explain(&entry.key, &repository).err()?;
            Some((
                strsim::jaro_winkler(&entry.key, registry),
                &entry.key,
                mismatch,
            ))
        })
        .max_by(|left, right| left.0.total_cmp(&right.0));
    let keys: Vec<String> = secret
        .registries
        .iter()
        .map(|entry| entry.key.escape_debug().to_string())
        .collect();
    let mut cause = PullCause::new(
        format!("the pull secret has no login for {registry}"),
        refresh(),
    )
    .shown_by(format!("{object} entries"), keys.join(", "));
    if let Some((_, key, mismatch)) = nearest {
        cause = cause.shown_by(
            format!("nearest entry `{}`", key.escape_debug()),
            mismatch.to_string(),
        );
    }
    cause
}

fn is_empty_login(entry: &RegistryView) -> bool {
    entry.username.is_none()
        && entry
            .problem
            .as_deref()
            .is_some_and(|problem| problem.starts_with("no login"))
}

fn refresh() -> Fix {
    Fix::command(
        "refresh the pull secret; stuck pods are made anew",
        "kubectl hybrid regcred sync",
    )
}

fn shown(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use serde_json::json;

    use super::*;
    use crate::cluster::pull_secret::view;

    const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

    fn secret(kind: &str, config: &str) -> PullSecretView {
        let key = if kind == "kubernetes.io/dockercfg" {
            ".dockercfg"
        } else {
            ".dockerconfigjson"
        };
        let data = base64::engine::general_purpose::STANDARD.encode(config.replace("HOST", HOST));
        view(
            &serde_json::from_value(json!({
                "type": kind,
                "metadata": { "name": "regcred", "namespace": "shop",
                    "annotations": { "kubectl-hybrid.dev/expires-at": "2026-11-23T11:00:00Z" } },
                "data": { key: data },
            }))
            .unwrap(),
        )
    }

    fn explain(
        fault: PullFault,
        change: impl FnOnce(&mut PullContext<'_>),
        config: &str,
    ) -> String {
        let secret = secret("kubernetes.io/dockerconfigjson", config);
        let image = format!("{HOST}/dev/web@sha256:00");
        let regcred = ["regcred".to_owned()];
        let mut context = PullContext {
            now: "2026-11-23T10:00:00Z".parse().unwrap(),
            namespace: "shop",
            secret_name: "regcred",
            secret: Some(Some(&secret)),
            service_account: "default",
            account_names_secret: Some(true),
            pod_secrets: &regcred,
            service: "web",
            image: &image,
        };
        change(&mut context);
        let cause = explain_pull(fault, context);
        cause.message.replace(HOST, "HOST")
    }

    const GOOD: &str = r#"{"auths":{"HOST":{"username":"AWS","password":"x"}}}"#;

    #[test]
    fn every_way_to_miss_a_login_has_its_own_words() {
        use PullFault as F;
        let same = |_: &mut PullContext<'_>| {};
        let config = |config: &str| explain(F::Forbidden, same, config);
        let table = [
            (
                explain(
                    F::NoCredentials,
                    |c| {
                        c.pod_secrets = &[];
                        c.account_names_secret = Some(false);
                    },
                    GOOD,
                ),
                "neither the pod nor service account `default` names a pull secret",
            ),
            (
                explain(F::NoCredentials, |c| c.pod_secrets = &[], GOOD),
                "the pod was made before service account `default` named `regcred`",
            ),
            (
                explain(F::NoCredentials, |c| c.secret = Some(None), GOOD),
                "the pull secret `regcred` does not exist in namespace `shop`",
            ),
            (config("{}"), "the pull secret is empty"),
            (
                config("nonsense"),
                "the pull secret cannot be read: it is no JSON, line 1 column 2",
            ),
            (
                config(r#"{"auths":{"HOST":{}},"credsStore":"osxkeychain"}"#),
                "the entry for HOST holds no login: it was copied from a Docker config with a credential store",
            ),
            (
                config(
                    r#"{"auths":{"HOST":{"username":"AWS","password":"x"},"b.example":{"auth":"%"}}}"#,
                ),
                "the entry `b.example` of the pull secret cannot be read, and that breaks every other entry",
            ),
            (
                config(r#"{"auths":{"HOST":{"username":"aws","password":"x"}}}"#),
                "the user name for HOST is `aws`; Amazon ECR takes `AWS` only",
            ),
            (
                config(r#"{"auths":{"HOST:443":{"username":"AWS","password":"x"}}}"#),
                "the pull secret has no login for HOST",
            ),
            (
                explain(
                    F::Forbidden,
                    |c| c.now = "2026-11-23T12:00:00Z".parse().unwrap(),
                    GOOD,
                ),
                "the token for HOST expired at 2026-11-23T11:00:00Z",
            ),
            (
                config(GOOD),
                "the registry answers 403: the token has expired, or its identity may not pull; the secret \
              looks right now, so the pod may only be waiting for its next try",
            ),
            (
                explain(F::Expired, same, GOOD),
                "the registry calls the token expired, though the secret holds a newer one",
            ),
            (
                explain(F::Denied, same, GOOD),
                "the identity behind the pull secret may not pull",
            ),
            (
                explain(F::NotFound, same, GOOD),
                "the repository, tag or digest does not exist in the registry",
            ),
            // A missing image stays one, whatever the secret says.
            (
                explain(F::NotFound, same, "{}"),
                "the repository, tag or digest does not exist in the registry",
            ),
            // An old kubelet's bare back-off is explained by the secret alone.
            (explain(F::Unknown, same, "{}"), "the pull secret is empty"),
            (
                explain(F::Unknown, same, GOOD),
                "the container runtime gives another reason",
            ),
        ];
        for (found, expected) in table {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn other_secrets_of_the_pod_hide_those_of_the_account() {
        let other = ["other".to_owned()];
        let image = format!("{HOST}/dev/web:1");
        let context = PullContext {
            now: Timestamp::UNIX_EPOCH,
            namespace: "shop",
            secret_name: "regcred",
            secret: None,
            service_account: "default",
            account_names_secret: Some(true),
            pod_secrets: &other,
            service: "web",
            image: &image,
        };
        let cause = explain_pull(PullFault::NoCredentials, context);
        assert!(
            cause.message.contains("names other pull secrets"),
            "{}",
            cause.message
        );
        assert_eq!(cause.evidence[0].value, "other");
    }

    #[test]
    fn the_nearest_entry_is_shown_with_why_it_does_not_match() {
        let secret = secret(
            "kubernetes.io/dockerconfigjson",
            r#"{"auths":{"r.example":{"auth":"dTpw"},"HOST:443":{"auth":"dTpw"}}}"#,
        );
        let cause = no_login(&secret, HOST, &format!("{HOST}/a"), "secret/regcred");
        assert_eq!(cause.evidence[1].key, format!("nearest entry `{HOST}:443`"));
        assert_eq!(cause.evidence[1].value, "the ports differ");
    }

    #[test]
    fn a_type_that_the_kubelet_ignores_is_named() {
        let opaque = secret("Opaque", GOOD);
        let context = PullContext {
            now: Timestamp::UNIX_EPOCH,
            namespace: "shop",
            secret_name: "regcred",
            secret: Some(Some(&opaque)),
            service_account: "default",
            account_names_secret: Some(true),
            pod_secrets: &["regcred".to_owned()],
            service: "web",
            image: &format!("{HOST}/a"),
        };
        let cause = explain_pull(PullFault::NoCredentials, context);
        assert!(cause.message.contains("`Opaque`"), "{}", cause.message);
        assert!(cause.fix.unwrap().destructive);
    }
}
