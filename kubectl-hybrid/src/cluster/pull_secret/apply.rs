//! Reading and writing the pull secret, with the version that was read as the lock.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as SecretObject;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use super::plan::{Plan, Policy, RegistryLogin, Write, plan};
use super::reason::{Reason, Refusal};
use super::{DATA_KEY, LABEL_MANAGED_BY, SECRET_TYPE};
use crate::cluster::patience::{Passing, patiently};
use crate::cluster::{Cluster, ClusterError, FIELD_MANAGER};

/// How often a write is tried anew with fresh data when somebody else writes at the same time.
pub const MAX_ATTEMPTS: u32 = 5;

/// Which pull secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretRef {
    /// The namespace.
    pub namespace: String,
    /// The name, `regcred` mostly.
    pub name: String,
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "pull secret `{}` in namespace `{}`",
            self.name, self.namespace
        )
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What was done.
    pub change: Change,
    /// When the first of the wanted logins ends.
    pub expires_at: Option<Timestamp>,
    /// How often it was tried; more than once when somebody else wrote at the same time.
    pub attempts: u32,
}

/// What was done with a pull secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It was made.
    Created,
    /// It was changed.
    Updated {
        /// What was wrong with it.
        reasons: Vec<Reason>,
        /// Broken entries that were dropped.
        dropped: Vec<String>,
    },
    /// Nothing was written.
    None,
    /// Nothing was written, because it must not be; pulls work with what it holds.
    Stays(Refusal),
}

/// Why a pull secret is not in place.
#[derive(Debug, thiserror::Error)]
pub enum PullSecretError {
    /// It must not be written.
    #[error("the {secret} is left alone: {refusal}")]
    Refused {
        /// Which one.
        secret: SecretRef,
        /// Why.
        #[source]
        refusal: Refusal,
    },
    /// Its namespace does not exist.
    #[error("the {secret} cannot be written: there is no such namespace")]
    NoNamespace {
        /// Which one.
        secret: SecretRef,
    },
    /// Its namespace is being deleted.
    #[error("the {secret} cannot be written: the namespace is being deleted")]
    NamespaceTerminating {
        /// Which one.
        secret: SecretRef,
    },
    /// The API server.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl Passing for PullSecretError {
    fn is_passing(&self) -> bool {
        matches!(self, Self::Cluster(error) if error.is_passing())
    }

    fn follows_a_restart(&self) -> bool {
        matches!(self, Self::Cluster(error) if error.follows_a_restart())
    }
}

impl PullSecretError {
    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { secret, refusal } => {
                Some(refusal.hint(&secret.name, &secret.namespace))
            }
            Self::NoNamespace { secret } => Some(format!(
                "make it with `terraform apply`, or `kubectl create namespace {}`",
                secret.namespace
            )),
            Self::NamespaceTerminating { .. } => None,
            Self::Cluster(error) => error.hint(),
        }
    }
}

/// Reads the secret. `None` when there is none.
pub async fn read(
    cluster: &Cluster,
    secret: &SecretRef,
) -> Result<Option<SecretObject>, ClusterError> {
    api(cluster, secret)
        .get_opt(&secret.name)
        .await
        .map_err(|error| cluster.explain(format!("read the {secret}"), &error))
}

/// Reads, plans and writes until the secret holds the `wanted` logins.
///
/// Somebody else may write at the same time: then it is read and planned anew, up to
/// [`MAX_ATTEMPTS`] times, so that both writers' logins are in it at the end.
///
/// # Errors
/// When the secret must not be written, or the API server refuses.
pub async fn sync(
    cluster: &Cluster,
    secret: &SecretRef,
    wanted: &[RegistryLogin<'_>],
    refreshed_by: &str,
    policy: Policy,
    now: Timestamp,
) -> Result<Outcome, PullSecretError> {
    let seen = patiently(|| read(cluster, secret)).await?;
    sync_from(cluster, secret, seen, wanted, refreshed_by, policy, now).await
}

/// As [`sync`], beginning with the secret as it was `seen` before. It is read anew only when it
/// changed since.
///
/// An API server that is restarted meanwhile is waited for, see [`patiently`].
///
/// # Errors
/// When the secret must not be written, or the API server refuses.
pub async fn sync_from(
    cluster: &Cluster,
    secret: &SecretRef,
    seen: Option<SecretObject>,
    wanted: &[RegistryLogin<'_>],
    refreshed_by: &str,
    policy: Policy,
    now: Timestamp,
) -> Result<Outcome, PullSecretError> {
    let mut existing = seen;
    for attempts in 1..=MAX_ATTEMPTS {
        if attempts > 1 {
            existing = patiently(|| read(cluster, secret)).await?;
        }
        // A write is conditional on the version that was read, so trying it twice is safe.
        let applied = patiently(|| {
            let plan = plan(existing.as_ref(), wanted, refreshed_by, now, policy);
            apply(cluster, secret, plan)
        });
        if let Some(outcome) = applied.await? {
            return Ok(Outcome {
                attempts,
                ..outcome
            });
        }
    }
    Err(ClusterError::Conflict {
        action: format!("write the {secret}"),
        attempts: MAX_ATTEMPTS,
    }
    .into())
}

/// Carries out a plan, once. `None` means that the secret changed since the plan was made.
///
/// # Errors
/// When the plan is a refusal, or the API server refuses.
pub async fn apply(
    cluster: &Cluster,
    secret: &SecretRef,
    plan: Plan,
) -> Result<Option<Outcome>, PullSecretError> {
    let (change, expires_at) = match plan {
        Plan::Refused(refusal) => {
            return Err(PullSecretError::Refused {
                secret: secret.clone(),
                refusal,
            });
        }
        Plan::Fresh(fresh) => (Change::None, fresh.expires_at),
        Plan::Stays {
            refusal,
            expires_at,
        } => (Change::Stays(refusal), expires_at),
        Plan::Create(write) => {
            let expires_at = write.expires_at;
            if !create(cluster, secret, write).await? {
                return Ok(None);
            }
            (Change::Created, expires_at)
        }
        Plan::Update {
            reasons,
            dropped,
            write,
        } => {
            let expires_at = write.expires_at;
            if !update(cluster, secret, write).await? {
                return Ok(None);
            }
            (Change::Updated { reasons, dropped }, expires_at)
        }
    };
    Ok(Some(Outcome {
        change,
        expires_at,
        attempts: 1,
    }))
}

async fn create(
    cluster: &Cluster,
    secret: &SecretRef,
    write: Write,
) -> Result<bool, PullSecretError> {
    let annotations = write
        .annotations
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect();
    let object = SecretObject {
        metadata: ObjectMeta {
            name: Some(secret.name.clone()),
            namespace: Some(secret.namespace.clone()),
            annotations: Some(annotations),
            labels: Some(BTreeMap::from([(
                LABEL_MANAGED_BY.to_owned(),
                FIELD_MANAGER.to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        type_: Some(SECRET_TYPE.to_owned()),
        data: Some(BTreeMap::from([(
            DATA_KEY.to_owned(),
            ByteString(write.data),
        )])),
        ..SecretObject::default()
    };
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    written(
        cluster,
        secret,
        api(cluster, secret).create(&params, &object).await,
    )
}

async fn update(
    cluster: &Cluster,
    secret: &SecretRef,
    write: Write,
) -> Result<bool, PullSecretError> {
    // A merge patch touches our key and our annotations only; the version makes it conditional.
    let patch = json!({
        "metadata": {
            "resourceVersion": write.resource_version,
            "annotations": write.annotations,
        },
        "data": { DATA_KEY: ByteString(write.data) },
    });
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let answer = api(cluster, secret)
        .patch(&secret.name, &params, &Patch::Merge(&patch))
        .await;
    written(cluster, secret, answer)
}

/// `false` when somebody else was faster.
fn written(
    cluster: &Cluster,
    secret: &SecretRef,
    answer: kube::Result<SecretObject>,
) -> Result<bool, PullSecretError> {
    let Err(error) = answer else {
        return Ok(true);
    };
    if let kube::Error::Api(status) = &error {
        let about_namespace = status
            .details
            .as_ref()
            .is_some_and(|details| details.kind == "namespaces");
        let terminating = status.details.as_ref().is_some_and(|details| {
            details
                .causes
                .iter()
                .any(|cause| cause.reason == "NamespaceTerminating")
        });
        match status.code {
            403 if terminating => {
                return Err(PullSecretError::NamespaceTerminating {
                    secret: secret.clone(),
                });
            }
            404 if about_namespace => {
                return Err(PullSecretError::NoNamespace {
                    secret: secret.clone(),
                });
            }
            // Deleted since it was read, made since it was missed, or changed.
            404 | 409 => return Ok(false),
            _ => {}
        }
    }
    Err(cluster
        .explain(format!("write the {secret}"), &error)
        .into())
}

fn api(cluster: &Cluster, secret: &SecretRef) -> Api<SecretObject> {
    Api::namespaced(cluster.client(), &secret.namespace)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use base64::Engine;
    use ecr_hybrid::secret::Secret;
    use http::Method;
    use serde_json::Value;

    use super::*;
    use crate::cluster::fake;

    const PATH: &str = "/api/v1/namespaces/shop/secrets";
    const NOW: &str = "2026-11-23T10:00:00Z";

    fn target() -> SecretRef {
        SecretRef {
            namespace: "shop".to_owned(),
            name: "regcred".to_owned(),
        }
    }

    async fn sync_one(cluster: &Cluster, registry: &str) -> Result<Outcome, PullSecretError> {
        let password = Secret::new("pass".to_owned());
        let login = RegistryLogin {
            registry,
            username: "AWS",
            password: &password,
            expires_at: "2026-11-23T22:00:00Z".parse().unwrap(),
            origin: None,
        };
        let policy = Policy {
            min_life: std::time::Duration::from_hours(6),
            ..Policy::default()
        };
        sync(
            cluster,
            &target(),
            &[login],
            "kubectl-hybrid/0.1.0",
            policy,
            NOW.parse().unwrap(),
        )
        .await
    }

    fn secret(version: &str, config: &str) -> Value {
        let data = base64::engine::general_purpose::STANDARD.encode(config);
        json!({ "apiVersion": "v1", "kind": "Secret", "type": SECRET_TYPE,
            "metadata": { "name": "regcred", "namespace": "shop", "resourceVersion": version },
            "data": { DATA_KEY: data } })
    }

    fn decoded(data: &Value) -> String {
        let data = data[DATA_KEY].as_str().unwrap();
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(data)
            .unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_somebody_else_writes_in_between_is_kept() {
        let versions = Arc::new(Mutex::new(0));
        let written = Arc::new(Mutex::new(Value::Null));
        let kept = Arc::clone(&written);
        let cluster = fake::cluster(move |request| {
            let mut reads = versions.lock().unwrap();
            match request.method {
                Method::GET => {
                    *reads += 1;
                    // The second read sees the entry that the other writer put there.
                    let config = if *reads == 1 {
                        "{}"
                    } else {
                        r#"{"auths":{"x.example":{"auth":"dTpw"}}}"#
                    };
                    fake::ok(secret(&reads.to_string(), config))
                }
                Method::PATCH if request.body["metadata"]["resourceVersion"] == "1" => {
                    fake::status(409, "Conflict", "the object has been modified")
                }
                Method::PATCH => {
                    *kept.lock().unwrap() = request.body.clone();
                    fake::ok(secret("3", "{}"))
                }
                _ => fake::not_found(request),
            }
        });
        let outcome = sync_one(&cluster, "r.example").await.unwrap();
        assert_eq!(outcome.attempts, 2);
        let written = written.lock().unwrap();
        let config = decoded(&written["data"]);
        assert!(
            config.contains(r#""x.example":{"auth":"dTpw"}"#),
            "{config}"
        );
        assert!(config.contains("r.example"), "{config}");
        assert_eq!(written["metadata"]["resourceVersion"], "2");
        assert!(written.get("stringData").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_writer_that_never_rests_ends_the_tries() {
        let cluster = fake::cluster(|request| match request.method {
            Method::GET => fake::ok(secret("1", "{}")),
            _ => fake::status(409, "Conflict", "the object has been modified"),
        });
        let error = sync_one(&cluster, "r.example").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot write the pull secret `regcred` in namespace `shop`: it was changed by \
             somebody else 5 times in a row"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_that_appears_between_read_and_create_is_merged_into() {
        let there = Arc::new(Mutex::new(false));
        let cluster = fake::cluster(move |request| {
            let mut there = there.lock().unwrap();
            match request.method {
                Method::GET if *there => fake::ok(secret("1", "{}")),
                Method::POST => {
                    *there = true;
                    fake::status(409, "AlreadyExists", "secrets \"regcred\" already exists")
                }
                Method::PATCH => fake::ok(secret("2", "{}")),
                _ => fake::not_found(request),
            }
        });
        let outcome = sync_one(&cluster, "r.example").await.unwrap();
        assert!(matches!(outcome.change, Change::Updated { .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_that_is_made_carries_label_annotations_and_type() {
        let made = Arc::new(Mutex::new(Value::Null));
        let kept = Arc::clone(&made);
        let cluster = fake::cluster(move |request| match request.method {
            Method::POST if request.path == PATH => {
                *kept.lock().unwrap() = request.body.clone();
                assert!(request.query.contains("fieldManager=kubectl-hybrid"));
                fake::ok(request.body.clone())
            }
            _ => fake::not_found(request),
        });
        assert_eq!(
            sync_one(&cluster, "r.example").await.unwrap().change,
            Change::Created
        );
        let made = made.lock().unwrap();
        assert_eq!(made["type"], SECRET_TYPE);
        assert_eq!(
            made["metadata"]["labels"][LABEL_MANAGED_BY],
            "kubectl-hybrid"
        );
        let annotations = &made["metadata"]["annotations"];
        assert_eq!(
            annotations["kubectl-hybrid.dev/expires-at"],
            "2026-11-23T22:00:00Z"
        );
        assert!(annotations.get("kubectl-hybrid.dev/principal").is_none());
        assert!(decoded(&made["data"]).contains(r#""auth":"QVdTOnBhc3M=""#));
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_that_is_missing_or_ending_is_said_so() {
        let missing = fake::cluster(|request| match request.method {
            Method::POST => fake::answer(
                404,
                json!({ "kind": "Status", "status": "Failure", "code": 404,
                "reason": "NotFound", "message": "namespaces \"shop\" not found",
                "details": { "name": "shop", "kind": "namespaces" } }),
            ),
            _ => fake::not_found(request),
        });
        let error = sync_one(&missing, "r.example").await.unwrap_err();
        assert!(
            matches!(error, PullSecretError::NoNamespace { .. }),
            "{error}"
        );

        let ending = fake::cluster(|request| match request.method {
            Method::POST => fake::answer(
                403,
                json!({ "kind": "Status", "status": "Failure", "code": 403,
                "reason": "Forbidden", "message": "forbidden: unable to create new content",
                "details": { "name": "regcred", "kind": "secrets", "causes": [
                    { "reason": "NamespaceTerminating", "message": "x", "field": "metadata.namespace" }] } }),
            ),
            _ => fake::not_found(request),
        });
        let error = sync_one(&ending, "r.example").await.unwrap_err();
        assert!(
            matches!(error, PullSecretError::NamespaceTerminating { .. }),
            "{error}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn no_right_to_write_is_said_with_the_server_s_words() {
        let cluster = fake::cluster(|request| match request.method {
            Method::GET => fake::ok(secret("1", "{}")),
            _ => fake::status(403, "Forbidden", "secrets \"regcred\" is forbidden"),
        });
        let text = sync_one(&cluster, "r.example")
            .await
            .unwrap_err()
            .to_string();
        assert!(text.contains("secrets \"regcred\" is forbidden"), "{text}");
    }
}
