//! Letting the pods of a service account use the pull secret.
//!
//! `imagePullSecrets` of a `ServiceAccount` is an atomic list: a merge or apply patch would replace
//! what others put there. A JSON Patch that tests the version it was computed for appends instead.

use std::time::Duration;

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;

use super::patience::patiently;
use super::{Cluster, ClusterError, FIELD_MANAGER};

const MAX_ATTEMPTS: u32 = 5;
/// How long a new namespace may be without its default service account.
const DEFAULT_ACCOUNT_COMES: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// The secret was added.
    Added,
    /// The service account has it already.
    Present,
}

/// Whether a service account names a pull secret. `None` when there is no such account.
pub async fn names_secret(
    cluster: &Cluster,
    namespace: &str,
    account: &str,
    secret: &str,
) -> Result<Option<bool>, ClusterError> {
    let found = read(cluster, namespace, account).await?;
    Ok(found.as_ref().map(|account| has(account, secret)))
}

/// Adds the pull secret to a service account, so that pods made from now on get it.
///
/// # Errors
/// When there is no such account, or the API server refuses.
pub async fn link(
    cluster: &Cluster,
    namespace: &str,
    account: &str,
    secret: &str,
) -> Result<Link, ClusterError> {
    let action =
        || format!("add `{secret}` to service account `{account}` in namespace `{namespace}`");
    let mut last_version = None;
    let begun = Instant::now();
    let mut conflicts = 0;
    while conflicts < MAX_ATTEMPTS {
        let Some(found) = patiently(|| read(cluster, namespace, account)).await? else {
            // Kubernetes makes this one, a moment after the namespace.
            if account == "default" && begun.elapsed() < DEFAULT_ACCOUNT_COMES {
                tokio::time::sleep(LOOK_AGAIN).await;
                continue;
            }
            return Err(ClusterError::NotFound {
                action: action(),
                message: "there is no such service account".to_owned(),
            });
        };
        if has(&found, secret) {
            return Ok(Link::Present);
        }
        let patch = addition(&found, secret).map_err(|error| ClusterError::Protocol {
            action: action(),
            why: error.to_string(),
        })?;
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match api(cluster, namespace)
            .patch(account, &params, &patch)
            .await
        {
            Ok(_) => return Ok(Link::Added),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            // A `test` that does not hold is answered with 422. When nothing changed meanwhile it
            // was another rule that refused.
            Err(kube::Error::Api(status))
                if status.code == 422 && last_version != found.metadata.resource_version => {}
            Err(error) => return Err(cluster.explain(action(), &error)),
        }
        last_version = found.metadata.resource_version;
        conflicts += 1;
    }
    Err(ClusterError::Conflict {
        action: action(),
        attempts: MAX_ATTEMPTS,
    })
}

fn addition(
    account: &ServiceAccount,
    secret: &str,
) -> Result<Patch<ServiceAccount>, serde_json::Error> {
    let version = account
        .metadata
        .resource_version
        .as_deref()
        .unwrap_or_default();
    let entry = json!({ "name": secret });
    let add = match &account.image_pull_secrets {
        Some(_) => json!({ "op": "add", "path": "/imagePullSecrets/-", "value": entry }),
        None => json!({ "op": "add", "path": "/imagePullSecrets", "value": [entry] }),
    };
    let operations = json!([
        { "op": "test", "path": "/metadata/resourceVersion", "value": version },
        add,
    ]);
    Ok(Patch::Json(serde_json::from_value(operations)?))
}

/// Whether the account names the pull secret.
pub fn has(account: &ServiceAccount, secret: &str) -> bool {
    account
        .image_pull_secrets
        .iter()
        .flatten()
        .any(|reference| reference.name == secret)
}

async fn read(
    cluster: &Cluster,
    namespace: &str,
    account: &str,
) -> Result<Option<ServiceAccount>, ClusterError> {
    api(cluster, namespace)
        .get_opt(account)
        .await
        .map_err(|error| {
            cluster.explain(
                format!("read service account `{account}` in namespace `{namespace}`"),
                &error,
            )
        })
}

fn api(cluster: &Cluster, namespace: &str) -> Api<ServiceAccount> {
    Api::namespaced(cluster.client(), namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(value: serde_json::Value) -> ServiceAccount {
        serde_json::from_value(value).unwrap()
    }

    fn operations(account: &ServiceAccount) -> serde_json::Value {
        match addition(account, "regcred").unwrap() {
            Patch::Json(patch) => serde_json::to_value(patch).unwrap(),
            _ => unreachable!("a JSON Patch is made"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn somebody_who_writes_in_between_loses_nothing() {
        use crate::cluster::fake;
        let (mut reads, mut patches) = (0, 0);
        let cluster = fake::cluster(move |request| {
            if request.method == http::Method::GET {
                reads += 1;
                // The account is not there yet, then it is, then somebody else has written.
                return match reads {
                    1 | 2 => fake::not_found(request),
                    3 => fake::ok(json!({ "metadata": { "resourceVersion": "1" } })),
                    _ => fake::ok(json!({ "metadata": { "resourceVersion": "2" },
                        "imagePullSecrets": [{ "name": "other" }] })),
                };
            }
            patches += 1;
            if patches == 1 {
                assert_eq!(request.body[1]["path"], "/imagePullSecrets");
                return fake::status(422, "Invalid", "the test does not hold");
            }
            assert_eq!(request.body[0]["value"], "2");
            assert_eq!(request.body[1]["path"], "/imagePullSecrets/-");
            fake::ok(json!({ "metadata": {} }))
        });
        assert_eq!(
            link(&cluster, "shop", "default", "regcred").await.unwrap(),
            Link::Added
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_that_does_not_come_is_named() {
        let cluster = crate::cluster::fake::cluster(crate::cluster::fake::not_found);
        for account in ["default", "builder"] {
            let error = link(&cluster, "shop", account, "regcred")
                .await
                .unwrap_err();
            assert!(error.to_string().contains(account), "{error}");
        }
    }

    #[test]
    fn the_list_is_appended_to_or_made() {
        let metadata = json!({ "resourceVersion": "7" });
        let test = json!({ "op": "test", "path": "/metadata/resourceVersion", "value": "7" });
        assert_eq!(
            operations(&account(json!({ "metadata": metadata }))),
            json!([test, { "op": "add", "path": "/imagePullSecrets", "value": [{ "name": "regcred" }] }])
        );
        assert_eq!(
            operations(&account(
                json!({ "metadata": metadata, "imagePullSecrets": [{ "name": "other" }] })
            )),
            json!([test, { "op": "add", "path": "/imagePullSecrets/-", "value": { "name": "regcred" } }])
        );
    }
}
