//! Reading the pull secrets of many namespaces at once.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt as _};
use k8s_openapi::api::core::v1::Secret as SecretObject;
use kube::Api;
use kube::api::ListParams;

use super::apply::{SecretRef, read};
use crate::cluster::listing::{FEW, pages};
use crate::cluster::patience::patiently;
use crate::cluster::{AT_A_TIME, Cluster, ClusterError};

/// The secrets called `name` in these namespaces. Each is handed to `seen` as soon as it is read,
/// `None` where there is none, so that not all of them have to be kept.
///
/// Who may not list the secrets of the whole cluster is asked for each namespace.
pub async fn survey<T>(
    cluster: &Cluster,
    name: &str,
    namespaces: &BTreeSet<String>,
    mut seen: impl FnMut(&str, Option<SecretObject>) -> T,
) -> BTreeMap<String, Result<T, ClusterError>> {
    if namespaces.len() > FEW
        && let Ok(found) = listed(cluster, name, namespaces, &mut seen).await
    {
        return found;
    }
    let mut asked = stream::iter(namespaces)
        .map(|namespace| async move {
            let secret = SecretRef {
                namespace: namespace.clone(),
                name: name.to_owned(),
            };
            let found = patiently(|| read(cluster, &secret)).await;
            (namespace, found)
        })
        .buffer_unordered(AT_A_TIME);
    let mut answers = BTreeMap::new();
    while let Some((namespace, found)) = asked.next().await {
        let answer = found.map(|found| seen(namespace, found));
        answers.insert(namespace.clone(), answer);
    }
    answers
}

async fn listed<T>(
    cluster: &Cluster,
    name: &str,
    namespaces: &BTreeSet<String>,
    seen: &mut impl FnMut(&str, Option<SecretObject>) -> T,
) -> Result<BTreeMap<String, Result<T, ClusterError>>, ClusterError> {
    let api: Api<SecretObject> = Api::all(cluster.client());
    let params = ListParams::default().fields(&format!("metadata.name={name}"));
    let mut answers = BTreeMap::new();
    pages(
        cluster,
        &api,
        "list the pull secrets",
        params,
        |secret: SecretObject| {
            let namespace = secret.metadata.namespace.clone().unwrap_or_default();
            if namespaces.contains(&namespace) {
                let answer = seen(&namespace, Some(secret));
                answers.insert(namespace, Ok(answer));
            }
        },
    )
    .await?;
    for namespace in namespaces {
        if !answers.contains_key(namespace) {
            answers.insert(namespace.clone(), Ok(seen(namespace, None)));
        }
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fake;

    fn names(count: usize) -> BTreeSet<String> {
        (0..count).map(|number| format!("n{number}")).collect()
    }

    fn secret(namespace: &str) -> serde_json::Value {
        json!({ "metadata": { "name": "regcred", "namespace": namespace } })
    }

    #[tokio::test]
    async fn many_namespaces_are_read_in_pages_of_one_list() {
        let cluster = fake::cluster(|request| {
            assert_eq!(request.path, "/api/v1/secrets");
            assert!(request.query.contains("metadata.name%3Dregcred"));
            if request.query.contains("continue=next") {
                fake::ok(json!({ "metadata": {}, "items": [secret("n5"), secret("other")] }))
            } else {
                fake::ok(json!({ "metadata": { "continue": "next" }, "items": [secret("n0")] }))
            }
        });
        let found = survey(&cluster, "regcred", &names(6), |_, secret| secret.is_some()).await;
        let there: Vec<_> = found
            .iter()
            .filter(|(_, found)| matches!(found, Ok(true)))
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!((found.len(), there), (6, vec!["n0", "n5"]));
    }

    #[tokio::test]
    async fn who_may_not_list_the_cluster_is_asked_for_each_namespace() {
        let cluster = fake::cluster(|request| match request.path.as_str() {
            "/api/v1/secrets" | "/api/v1/namespaces/n3/secrets/regcred" => {
                fake::status(403, "Forbidden", "no")
            }
            "/api/v1/namespaces/n1/secrets/regcred" => fake::ok(secret("n1")),
            _ => fake::not_found(request),
        });
        let found = survey(&cluster, "regcred", &names(6), |_, secret| secret.is_some()).await;
        assert!(matches!(found["n1"], Ok(true)) && matches!(found["n2"], Ok(false)));
        assert!(matches!(found["n3"], Err(ClusterError::Forbidden { .. })));
        assert_eq!(found.len(), 6);
    }
}
