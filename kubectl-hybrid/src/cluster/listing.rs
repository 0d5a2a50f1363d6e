//! Listing the objects of many namespaces, in pages that are dropped as soon as they are seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use futures::stream::{self, StreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use kube::api::ListParams;
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use super::patience::patiently;
use super::{AT_A_TIME, Cluster, ClusterError, PAGE};

/// From this many namespaces on one list is cheaper than a request for each.
pub(super) const FEW: usize = 4;

/// Hands each object of these namespaces to `seen`. Gives the namespaces that could not be listed.
///
/// Who may not list the whole cluster is asked for each namespace. `kind` is the objects' name in
/// errors, for example `pods`.
pub async fn each<K>(
    cluster: &Cluster,
    kind: &str,
    namespaces: &BTreeSet<String>,
    mut seen: impl FnMut(&str, K),
) -> BTreeMap<String, ClusterError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let all = ListParams::default();
    if namespaces.len() > FEW {
        let api = Api::<K>::all(cluster.client());
        let action = format!("list the {kind}");
        let listed = pages(cluster, &api, &action, all.clone(), |object: K| {
            let namespace = object.namespace().unwrap_or_default();
            if namespaces.contains(&namespace) {
                seen(&namespace, object);
            }
        });
        match listed.await {
            Ok(()) => return BTreeMap::new(),
            Err(ClusterError::Forbidden { .. }) => {}
            Err(error) => return failed(namespaces, &error),
        }
    }
    let mut asked = stream::iter(namespaces)
        .map(|namespace| {
            let params = all.clone();
            async move {
                let api = Api::<K>::namespaced(cluster.client(), namespace);
                let mut found = Vec::new();
                let action = format!("list the {kind} of namespace `{namespace}`");
                let listed =
                    pages(cluster, &api, &action, params, |object| found.push(object)).await;
                (namespace, listed.map(|()| found))
            }
        })
        .buffer_unordered(AT_A_TIME);
    let mut errors = BTreeMap::new();
    while let Some((namespace, listed)) = asked.next().await {
        match listed {
            Ok(found) => found.into_iter().for_each(|object| seen(namespace, object)),
            Err(error) => {
                errors.insert(namespace.clone(), error);
            }
        }
    }
    errors
}

/// Hands each object of a list to `seen`, a page at a time.
pub(super) async fn pages<K>(
    cluster: &Cluster,
    api: &Api<K>,
    action: &str,
    params: ListParams,
    mut seen: impl FnMut(K),
) -> Result<(), ClusterError>
where
    K: Clone + Debug + DeserializeOwned,
{
    let mut params = params.limit(PAGE);
    loop {
        let page = patiently(|| async {
            api.list(&params)
                .await
                .map_err(|error| cluster.explain(action, &error))
        })
        .await?;
        page.items.into_iter().for_each(&mut seen);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(()),
        }
    }
}

/// An error that all of them share.
fn failed(namespaces: &BTreeSet<String>, error: &ClusterError) -> BTreeMap<String, ClusterError> {
    namespaces
        .iter()
        .map(|namespace| {
            let error = ClusterError::Protocol {
                action: format!("list what is in namespace `{namespace}`"),
                why: error.to_string(),
            };
            (namespace.clone(), error)
        })
        .collect()
}
