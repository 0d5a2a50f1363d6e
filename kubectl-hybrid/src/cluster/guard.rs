//! The guard: deploys go to local clusters, and elsewhere only where the workspace says so.
//!
//! The address of the API server decides. A name alone never makes a remote server local, because
//! anybody can call a context `kind-dev`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;

/// Where a context leads, as the kubeconfig says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint<'a> {
    /// The name of the context.
    pub context: &'a str,
    /// The URL of the API server.
    pub server: &'a str,
    /// `tls-server-name`: the name that the server's certificate must carry.
    pub tls_server_name: Option<&'a str>,
    /// `proxy-url` of the kubeconfig.
    pub proxy_url: Option<&'a str>,
}

/// Why a context may be deployed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// The server's address is this machine.
    Loopback,
    /// The server's name belongs to a local cluster product.
    LocalName,
    /// The server has a private address, and the context is one of a local virtual machine.
    LocalMachine,
    /// The workspace lists the context.
    Listed,
}

impl Admitted {
    /// Whether the cluster is local, as opposed to listed.
    pub fn is_local(self) -> bool {
        self != Self::Listed
    }
}

impl fmt::Display for Admitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback | Self::LocalName | Self::LocalMachine => "local",
            Self::Listed => "listed by the workspace",
        })
    }
}

/// The guard's refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("context `{context}` is refused: {why}, and the workspace does not list the context")]
pub struct Refused {
    /// The context.
    pub context: String,
    /// The URL of its API server.
    pub server: String,
    /// What speaks against it.
    pub why: Suspicion,
}

impl Refused {
    /// How to go on, for the workspace at hand.
    pub fn hint(&self, workspace: &str) -> String {
        let context = &self.context;
        format!(
            "choose a local cluster with `--context`; or, when `{context}` is meant, list it in \
             hybrid.toml: [workspaces.{workspace}] contexts = [\"{context}\"]"
        )
    }
}

/// What speaks against a context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Suspicion {
    /// The address is not one of this machine.
    #[error("its API server {0} is not on this machine")]
    Remote(String),
    /// The address is this machine, but the certificate's name is another: a tunnel.
    #[error("its API server {server} is a tunnel to `{name}`")]
    Tunnel {
        /// The server's URL.
        server: String,
        /// The name in `tls-server-name`, or the context's cloud name.
        name: String,
    },
    /// The address is reached through a proxy, where `127.0.0.1` is another machine.
    #[error("its API server {server} is reached through the proxy {proxy}")]
    Proxied {
        /// The server's URL.
        server: String,
        /// The proxy's URL, without a password.
        proxy: String,
    },
    /// The URL has no host.
    #[error("its API server `{0}` is not a URL")]
    NoAddress(String),
}

/// Decides whether a context may be deployed to. `listed` are the contexts that the workspace
/// allows beside the local ones.
///
/// # Errors
/// [`Refused`] when it is neither local nor listed.
pub fn judge(endpoint: Endpoint<'_>, listed: &[String]) -> Result<Admitted, Refused> {
    match locality(endpoint) {
        Ok(admitted) => Ok(admitted),
        Err(_) if listed.iter().any(|name| name == endpoint.context) => Ok(Admitted::Listed),
        Err(why) => Err(Refused {
            context: endpoint.context.to_owned(),
            server: endpoint.server.to_owned(),
            why,
        }),
    }
}

fn locality(endpoint: Endpoint<'_>) -> Result<Admitted, Suspicion> {
    let server = endpoint.server.to_owned();
    let host = endpoint
        .server
        .parse::<Uri>()
        .ok()
        .and_then(|uri| uri.host().map(str::to_owned))
        .ok_or_else(|| Suspicion::NoAddress(server.clone()))?;
    let host = normal(&host);
    let address = match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => Some(
            address
                .to_ipv4_mapped()
                .map_or(IpAddr::V6(address), IpAddr::V4),
        ),
        Ok(address) => Some(address),
        Err(_) => None,
    };

    let admitted = match address {
        Some(address) if address.is_loopback() || address.is_unspecified() => Admitted::Loopback,
        Some(address) if is_private(address) && is_machine_name(endpoint.context) => {
            Admitted::LocalMachine
        }
        None if host == "localhost" || host.ends_with(".localhost") => Admitted::Loopback,
        None if is_local_name(&host) => Admitted::LocalName,
        _ => return Err(Suspicion::Remote(server)),
    };

    if let Some(proxy) = endpoint.proxy_url {
        return Err(Suspicion::Proxied {
            server,
            proxy: without_password(proxy),
        });
    }
    if let Some(name) = endpoint.tls_server_name
        && !is_local_certificate_name(name)
    {
        return Err(Suspicion::Tunnel {
            server,
            name: name.to_owned(),
        });
    }
    if is_cloud_name(endpoint.context) {
        return Err(Suspicion::Tunnel {
            server,
            name: endpoint.context.to_owned(),
        });
    }
    Ok(admitted)
}

fn normal(host: &str) -> String {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .trim_end_matches('.')
        .to_ascii_lowercase()
}

/// Names that Docker Desktop, k3d, minikube and `OrbStack` give to the machine they run on.
fn is_local_name(host: &str) -> bool {
    const NAMES: [&str; 8] = [
        "kubernetes.docker.internal",
        "host.docker.internal",
        "gateway.docker.internal",
        "docker-for-desktop",
        "host.k3d.internal",
        "host.minikube.internal",
        "control-plane.minikube.internal",
        "host.lima.internal",
    ];
    NAMES.contains(&host) || host.ends_with(".orb.local")
}

/// Contexts of local clusters that run in a virtual machine of their own, with its own address.
fn is_machine_name(context: &str) -> bool {
    const NAMES: [&str; 9] = [
        "docker-desktop",
        "docker-for-desktop",
        "minikube",
        "rancher-desktop",
        "orbstack",
        "microk8s",
        "colima",
        "k3d",
        "kind",
    ];
    const PREFIXES: [&str; 4] = ["kind-", "k3d-", "colima-", "minikube-"];
    NAMES.contains(&context) || PREFIXES.iter().any(|prefix| context.starts_with(prefix))
}

/// Names that cloud tools give to contexts: behind 127.0.0.1 they are tunnels.
fn is_cloud_name(context: &str) -> bool {
    context.starts_with("arn:aws") || context.starts_with("gke_") || context.contains(".eksctl.io")
}

fn is_local_certificate_name(name: &str) -> bool {
    let name = normal(name);
    let address = name.parse::<IpAddr>().ok();
    name == "localhost"
        || name == "kubernetes"
        || name == "kubernetes.default"
        || name.starts_with("kubernetes.default.svc")
        || is_local_name(&name)
        || address.is_some_and(|address| address.is_loopback() || is_private(address))
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_private() || address.is_link_local() || is_shared(address)
        }
        IpAddr::V6(address) => is_unique_local(address) || address.is_unicast_link_local(),
    }
}

/// 100.64.0.0/10, which some virtual machine products use for their bridge.
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && (64..128).contains(&second)
}

fn is_unique_local(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xfe00 == 0xfc00
}

fn without_password(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
            format!("{scheme}://{host}")
        }
        None => url
            .rsplit_once('@')
            .map_or(url, |(_, host)| host)
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain<'a>(context: &'a str, server: &'a str) -> Endpoint<'a> {
        Endpoint {
            context,
            server,
            tls_server_name: None,
            proxy_url: None,
        }
    }

    #[test]
    fn the_address_decides_and_a_name_helps_only_a_private_one() {
        use Admitted::{LocalMachine, LocalName, Loopback};
        let table: [(&str, &str, Option<Admitted>); 31] = [
            ("anything", "https://127.0.0.1:6443", Some(Loopback)),
            ("hybrid-sandbox", "https://127.0.0.1:16443", Some(Loopback)),
            ("anything", "https://127.8.9.1:6443", Some(Loopback)),
            ("anything", "https://[::1]:6443", Some(Loopback)),
            (
                "anything",
                "https://[::ffff:127.0.0.1]:6443",
                Some(Loopback),
            ),
            ("anything", "https://localhost:6443", Some(Loopback)),
            ("anything", "https://LOCALHOST.:6443", Some(Loopback)),
            ("anything", "https://api.localhost", Some(Loopback)),
            ("k3d-dev", "https://0.0.0.0:35543", Some(Loopback)),
            (
                "docker-desktop",
                "https://kubernetes.docker.internal:6443",
                Some(LocalName),
            ),
            (
                "prod",
                "https://kubernetes.docker.internal:6443",
                Some(LocalName),
            ),
            ("k3d-dev", "https://host.k3d.internal:6550", Some(LocalName)),
            ("orbstack", "https://k8s.orb.local:26443", Some(LocalName)),
            ("minikube", "https://192.168.49.2:8443", Some(LocalMachine)),
            ("kind-dev", "https://172.18.0.2:6443", Some(LocalMachine)),
            (
                "colima-work",
                "https://192.168.106.2:6443",
                Some(LocalMachine),
            ),
            ("microk8s", "https://10.0.2.15:16443", Some(LocalMachine)),
            ("microk8s", "https://[fd00::15]:16443", Some(LocalMachine)),
            (
                "rancher-desktop",
                "https://192.168.127.2:6443",
                Some(LocalMachine),
            ),
            // A private address alone may be the office's cluster.
            ("staging", "https://192.168.49.2:8443", None),
            ("staging", "https://10.20.30.40:6443", None),
            // A name alone is a claim.
            ("kind-dev", "https://203.0.113.7:6443", None),
            ("minikube", "https://api.prod.example.com", None),
            ("docker-desktop", "https://example.com:6443", None),
            ("orbstack", "https://evil-orb.local.example.com", None),
            ("kind-dev", "https://localhost.example.com:6443", None),
            ("kind-dev", "https://127.0.0.1.example.com:6443", None),
            (
                "prod",
                "https://ABCDEF.gr7.eu-central-1.eks.amazonaws.com",
                None,
            ),
            // A tunnel to a cloud cluster ends on this machine, and is still the cloud's.
            (
                "arn:aws:eks:eu-central-1:123456789012:cluster/prod",
                "https://127.0.0.1:8443",
                None,
            ),
            ("gke_acme_europe-west1_prod", "https://localhost:8443", None),
            ("kind-dev", "not a url", None),
        ];
        for (context, server, expected) in table {
            assert_eq!(
                judge(plain(context, server), &[]).ok(),
                expected,
                "{context} {server}"
            );
        }
    }

    #[test]
    fn a_listed_context_is_admitted_by_its_exact_name() {
        let listed = ["staging".to_owned()];
        let remote = "https://api.staging.example.com";
        assert_eq!(
            judge(plain("staging", remote), &listed),
            Ok(Admitted::Listed)
        );
        assert!(judge(plain("staging-2", remote), &listed).is_err());
        assert!(judge(plain("Staging", remote), &listed).is_err());
    }

    #[test]
    fn a_local_context_that_is_listed_stays_local() {
        let listed = ["kind-dev".to_owned()];
        let admitted = judge(plain("kind-dev", "https://127.0.0.1:6443"), &listed).unwrap();
        assert!(admitted.is_local());
    }

    #[test]
    fn a_tunnel_is_not_local() {
        let mut endpoint = plain("work", "https://127.0.0.1:8443");
        endpoint.tls_server_name = Some("api.prod.example.com");
        let refused = judge(endpoint, &[]).unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("tunnel to `api.prod.example.com`"),
            "{refused}"
        );
        endpoint.tls_server_name = Some("kubernetes.default.svc");
        assert_eq!(judge(endpoint, &[]), Ok(Admitted::Loopback));
    }

    #[test]
    fn loopback_behind_a_proxy_is_another_machine_and_the_password_stays_unsaid() {
        let mut endpoint = plain("work", "https://127.0.0.1:6443");
        endpoint.proxy_url = Some("http://me:hunter2@jump.example:3128");
        let refused = judge(endpoint, &[]).unwrap_err();
        assert!(
            refused.to_string().contains("http://jump.example:3128"),
            "{refused}"
        );
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }

    #[test]
    fn the_refusal_names_context_and_server_and_says_how_to_list_it() {
        let refused = judge(plain("prod", "https://api.prod.example.com"), &[]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "context `prod` is refused: its API server https://api.prod.example.com is not on this \
             machine, and the workspace does not list the context"
        );
        assert!(
            refused
                .hint("dev")
                .contains("[workspaces.dev] contexts = [\"prod\"]")
        );
    }
}
