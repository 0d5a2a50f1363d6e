//! Names, addresses and ports of the sandbox: fixed, so that documents and tests can quote them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The account whose registry the example uses.
pub const ACCOUNT: &str = "123456789012";
/// A second account, for what must not leak from one to the other.
pub const OTHER_ACCOUNT: &str = "210987654321";
/// The region that the example uses.
pub const REGION: &str = "eu-central-1";
/// A second region.
pub const OTHER_REGION: &str = "us-east-1";
/// The project of the example.
pub const PROJECT: &str = "knowledge-repo";
/// The Terraform workspace that `up` applies.
pub const WORKSPACE: &str = "dev";
/// The Kubernetes namespace of the example in that workspace.
pub const NAMESPACE: &str = "knowledge-repo-dev";
/// The kubeconfig context.
pub const CONTEXT: &str = "hybrid-sandbox";
/// The one node, which is also the host name inside.
pub const NODE: &str = "hybrid-node";
/// The image of every pod's sandbox.
pub const PAUSE_IMAGE: &str = "localhost/pause:1";
/// The base image of the example's services.
pub const BASE_IMAGE: &str = "busybox:1.36";

/// The API server, inside and on the host.
pub const API_SERVER_PORT: u16 = 16443;
/// The AWS APIs: the ECR front with the emulator behind it, inside and on the host.
pub const AWS_PORT: u16 = 14566;
/// The node ports of the example: web, api, search.
pub const NODE_PORTS: [u16; 3] = [30300, 30301, 30310];

/// The emulator behind the front.
pub const MOTO_PORT: u16 = 14567;
/// The registry behind the front.
pub const REGISTRY_PORT: u16 = 15000;
/// etcd for the API server.
pub const ETCD_PORT: u16 = 12379;
/// etcd for its peers, of which there are none.
pub const ETCD_PEER_PORT: u16 = 12380;
/// Where the ECR host names lead. Not 127.0.0.1: Docker allows plain http for a host that
/// resolves to it.
pub const REGISTRY_ADDRESS: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9)), 443);
/// The node's own address, on an interface that exists inside alone.
pub const NODE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 243, 0, 1);
/// Addresses of services.
pub const SERVICE_RANGE: &str = "10.96.0.0/16";
/// The first address of that range, which is the API server's service.
pub const API_SERVICE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// Addresses of pods.
pub const POD_RANGE: &str = "10.244.0.0/16";

/// What a client of the sandbox needs to know, as values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// `AWS_ENDPOINT_URL`, without a slash at its end.
    pub aws: String,
    /// The API server's URL.
    pub api_server: String,
    /// The registry of the main account in the main region.
    pub registry: String,
    /// All registries, the main one first.
    pub registries: Vec<String>,
    /// Account of the example.
    pub account: &'static str,
    /// Region of the example.
    pub region: &'static str,
}

impl Default for Endpoints {
    fn default() -> Self {
        let registries = registry_hosts();
        Self {
            aws: format!("http://127.0.0.1:{AWS_PORT}"),
            api_server: format!("https://127.0.0.1:{API_SERVER_PORT}"),
            registry: registry_host(ACCOUNT, REGION),
            registries,
            account: ACCOUNT,
            region: REGION,
        }
    }
}

/// The ECR host of an account in a region of the standard partition.
pub fn registry_host(account: &str, region: &str) -> String {
    format!("{account}.dkr.ecr.{region}.amazonaws.com")
}

/// The ECR hosts that answer inside: two accounts in two regions.
pub fn registry_hosts() -> Vec<String> {
    [ACCOUNT, OTHER_ACCOUNT]
        .iter()
        .flat_map(|account| {
            [REGION, OTHER_REGION]
                .iter()
                .map(|region| registry_host(account, region))
        })
        .collect()
}

/// The ports that the gate opens on the host's 127.0.0.1.
pub fn host_ports() -> Vec<u16> {
    [API_SERVER_PORT, AWS_PORT]
        .into_iter()
        .chain(NODE_PORTS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_accounts_and_two_regions_make_four_registries() {
        let hosts = registry_hosts();
        assert_eq!(hosts.len(), 4);
        assert_eq!(hosts[0], "123456789012.dkr.ecr.eu-central-1.amazonaws.com");
        assert_eq!(Endpoints::default().registry, hosts[0]);
    }

    #[test]
    fn the_registry_is_not_at_the_address_that_docker_trusts_without_tls() {
        assert_ne!(REGISTRY_ADDRESS.ip(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
}
