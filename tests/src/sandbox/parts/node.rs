//! The node: kubelet and kube-proxy.

use super::build::{Bench, text};
use super::{containers, control_plane, images};
use crate::sandbox::certificates::{
    KUBELET as KUBELET_CERTIFICATE, KUBELET_SERVER, PROXY as PROXY_CERTIFICATE,
};
use crate::sandbox::endpoints::{NODE, POD_RANGE};
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
        // There is no name server, and a pod without one is said to be without one.
        "resolvConf": "",
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
