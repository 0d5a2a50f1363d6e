//! The node: kubelet and kube-proxy.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::build::{Bench, text};
use super::{containers, control_plane, images};
use crate::sandbox::certificates::{
    KUBELET as KUBELET_CERTIFICATE, KUBELET_SERVER, PROXY as PROXY_CERTIFICATE,
};
use crate::sandbox::endpoints::{
    Endpoints, NODE, OTHER_ACCOUNT, OTHER_REGION, POD_RANGE, registry_host,
};
use crate::sandbox::machine::CGROUP;
use crate::sandbox::supervisor::{PartSpec, Readiness};
use crate::sandbox::supply::Item;
use crate::sandbox::{SandboxError, kubeconfig};

/// Name of the part that registers the node.
pub const KUBELET: &str = "kubelet";
pub(super) const PROXY: &str = "kube-proxy";

pub(super) fn kubelet(bench: &Bench<'_>) -> Result<PartSpec, SandboxError> {
    let root = bench.data(KUBELET)?;
    let logs = bench.data("pod-logs")?;
    let settings = serde_json::json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": bench.pki("ca.crt") }
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": bench.pki(&format!("{KUBELET_SERVER}.crt")),
        "tlsPrivateKeyFile": bench.pki(&format!("{KUBELET_SERVER}.key")),
        "containerRuntimeEndpoint":
            format!("unix://{}", text(&bench.layout.containerd_socket())),
        "podLogsDir": text(&logs),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": CGROUP,
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "failCgroupV1": false,
        "failSwapOn": false,
        "localStorageCapacityIsolation": false,
        // There is no name server: a pod asks itself and is refused at once. Without an address here
        // the kubelet writes an event about it each time that it looks at a pod.
        "resolvConf": "",
        "clusterDNS": ["127.0.0.1"],
        // As k3s has it: what one pod pulls does not wait for another's image.
        "serializeImagePulls": false,
        // As every kubelet does from Kubernetes 1.35 on: an image that is there already is given to a pod
        // only when its pull secret, or that secret's login, has pulled it.
        "featureGates": { "KubeletEnsureSecretPulledImages": true },
        // A small disk is no reason to evict an example.
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%"
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "logging": { "verbosity": 1 }
    });
    let settings = bench.settings("kubelet.json", &settings.to_string())?;
    let kubeconfig = kubeconfig::internal(bench.layout, KUBELET_CERTIFICATE)?;
    let kubeconfig = bench.settings("kubelet.kubeconfig", &kubeconfig)?;
    let (providers, programs) = credential_provider(bench)?;
    let mut part = bench
        .service(KUBELET, bench.path(Item::Kubelet)?)
        .args([
            "--kubeconfig",
            &text(&kubeconfig),
            "--config",
            &text(&settings),
        ])
        .args(["--root-dir", &text(&root), "--hostname-override", NODE])
        .args(["--cert-dir", &text(&root.join("pki"))])
        .args(["--image-credential-provider-config", &providers])
        .args(["--image-credential-provider-bin-dir", &programs])
        .after(&[
            containers::CONTAINERD,
            control_plane::API_SERVER,
            images::IMAGES,
        ])
        .ready(Readiness::Http {
            port: 10248,
            path: "/healthz".to_owned(),
        });
    // Pods go with the machine or are taken over by the next kubelet.
    part.stop_within = 2;
    Ok(part)
}

/// The product as the kubelet's credential provider: its configuration, and the folder of programs.
///
/// It answers for one registry only, that of the second account in the second region. All others
/// are pulled with pull secrets or not at all: a provider for them would hide a bad `regcred`.
fn credential_provider(bench: &Bench<'_>) -> Result<(String, String), SandboxError> {
    const PROGRAM: &str = "docker-credential-ecr-hybrid";
    let tokens = bench.data("kubelet-tokens")?;
    let endpoint = Endpoints::default().aws;
    let tokens = text(&tokens);
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        // The emulator takes a key that is an account's number for a key of that account.
        ("AWS_ACCESS_KEY_ID", OTHER_ACCOUNT),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        // A kept token may have been ended by `tokens expire` before the next kubelet asks.
        ("HYBRID_STORE", "none"),
        ("HYBRID_CACHE_DIR", &tokens),
    ];
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| serde_json::json!({ "name": name, "value": value }))
        .collect();
    let settings = serde_json::json!({
        "apiVersion": "kubelet.config.k8s.io/v1",
        "kind": "CredentialProviderConfig",
        "providers": [{
            "name": PROGRAM,
            "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
            "args": ["kubelet"],
            "defaultCacheDuration": "0s",
            "env": variables,
            "matchImages": [registry_host(OTHER_ACCOUNT, OTHER_REGION)]
        }]
    });
    let settings = bench.settings("credential-providers.json", &settings.to_string())?;
    // A script, because the kubelet does not start without its providers, and the product may be
    // built after it.
    let product = bench.layout.binaries()?.join(PROGRAM);
    let script = format!("#!/bin/sh\nexec '{}' \"$@\"\n", text(&product));
    let program = bench.settings(&format!("credential-providers/{PROGRAM}"), &script)?;
    fs::set_permissions(&program, Permissions::from_mode(0o755))
        .map_err(SandboxError::io("protect", &program))?;
    let folder = program.parent().unwrap_or(&program);
    Ok((text(&settings), text(folder)))
}

pub(super) fn proxy(bench: &Bench<'_>) -> Result<PartSpec, SandboxError> {
    let kubeconfig = kubeconfig::internal(bench.layout, PROXY_CERTIFICATE)?;
    let kubeconfig = bench.settings("proxy.kubeconfig", &kubeconfig)?;
    Ok(bench
        .service(PROXY, bench.path(Item::KubeProxy)?)
        .args(["--kubeconfig", &text(&kubeconfig)])
        // The mode that serves node ports on loopback.
        .args(["--proxy-mode=iptables", "--nodeport-addresses=127.0.0.0/8"])
        .args([
            format!("--hostname-override={NODE}"),
            format!("--cluster-cidr={POD_RANGE}"),
        ])
        // A pod that is Ready is reached at once, not after the usual second.
        .args(["--iptables-min-sync-period=100ms"])
        // The limit of tracked connections is the host's to set.
        .args(["--conntrack-max-per-core=0"])
        .after(&[control_plane::API_SERVER])
        .ready(Readiness::Http {
            port: 10256,
            path: "/livez".to_owned(),
        }))
}
