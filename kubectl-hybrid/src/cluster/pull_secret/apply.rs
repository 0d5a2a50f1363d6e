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

use super::plan::{Marks, Plan, Policy, Reason, Refusal, RegistryLogin, Write, plan};
use super::{DATA_KEY, LABEL_MANAGED_BY, SECRET_TYPE};
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
    marks: &Marks,
    policy: Policy,
    now: Timestamp,
) -> Result<Outcome, PullSecretError> {
    for attempts in 1..=MAX_ATTEMPTS {
        let existing = read(cluster, secret).await?;
        let plan = plan(existing.as_ref(), wanted, marks, now, policy);
        if let Some(outcome) = apply(cluster, secret, plan).await? {
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
