//! What the cluster's nodes run.

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;

use super::{Cluster, ClusterError};
use crate::docker::Platform;

/// The platforms of the nodes, each once. The kubelet writes them into the labels
/// `kubernetes.io/os` and `kubernetes.io/arch`; only metadata is read.
///
/// # Errors
/// [`ClusterError`] when the nodes cannot be listed: a user of one namespace often may not.
pub async fn platforms(cluster: &Cluster) -> Result<Vec<Platform>, ClusterError> {
    let nodes = Api::<Node>::all(cluster.client())
        .list_metadata(&ListParams::default())
        .await
        .map_err(|error| cluster.explain("list the nodes".to_owned(), &error))?;
    let mut platforms: Vec<Platform> = nodes
        .items
        .iter()
        .filter_map(|node| {
            let labels = node.metadata.labels.as_ref()?;
            let os = labels.get("kubernetes.io/os")?;
            let arch = labels.get("kubernetes.io/arch")?;
            Some(Platform::new(os, arch, ""))
        })
        .collect();
    platforms.sort();
    platforms.dedup();
    Ok(platforms)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fake::{cluster, ok, status};

    #[tokio::test]
    async fn each_platform_is_named_once() {
        let node = |arch: &str| {
            json!({ "metadata": { "labels": {
            "kubernetes.io/os": "linux", "kubernetes.io/arch": arch } } })
        };
        let items = json!([node("arm64"), node("amd64"), node("arm64"), { "metadata": {} }]);
        let cluster = cluster(move |_| {
            ok(
                json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
                       "metadata": {}, "items": items }),
            )
        });
        let platforms = platforms(&cluster).await.unwrap();
        let names: Vec<String> = platforms.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["linux/amd64", "linux/arm64"]);
    }

    #[tokio::test]
    async fn a_user_who_may_not_list_nodes_gets_an_error() {
        let cluster = cluster(|_| status(403, "Forbidden", "nodes is forbidden"));
        assert!(platforms(&cluster).await.is_err());
    }
}
