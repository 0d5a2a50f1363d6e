//! etcd and the control plane of Kubernetes.

use super::build::{Bench, text};
use crate::sandbox::certificates::{
    API_SERVER as API_SERVER_CERTIFICATE, CONTROLLER_MANAGER as CONTROLLER_MANAGER_CERTIFICATE,
    KUBELET_CLIENT, SCHEDULER as SCHEDULER_CERTIFICATE, SERVICE_ACCOUNT_KEY,
    SERVICE_ACCOUNT_PUBLIC,
};
use crate::sandbox::endpoints::{
    API_SERVER_PORT, ETCD_PEER_PORT, ETCD_PORT, NODE_ADDRESS, POD_RANGE, SERVICE_RANGE,
};
use crate::sandbox::supervisor::{PartSpec, Readiness};
use crate::sandbox::supply::Item;
use crate::sandbox::{SandboxError, kubeconfig};

pub(super) const ETCD: &str = "etcd";
pub(super) const API_SERVER: &str = "kube-apiserver";
pub(super) const CONTROLLER_MANAGER: &str = "kube-controller-manager";
pub(super) const SCHEDULER: &str = "kube-scheduler";

pub(super) fn etcd(bench: &Bench<'_>) -> Result<PartSpec, SandboxError> {
    let data = bench.data(ETCD)?;
    let clients = format!("http://127.0.0.1:{ETCD_PORT}");
    let peers = format!("http://127.0.0.1:{ETCD_PEER_PORT}");
    Ok(bench
        .service(ETCD, bench.path(Item::Etcd)?)
        .args(["--name", "sandbox", "--data-dir", &text(&data)])
        .args([
            "--listen-client-urls",
            &clients,
            "--advertise-client-urls",
            &clients,
        ])
        .args([
            "--listen-peer-urls",
            &peers,
            "--initial-advertise-peer-urls",
            &peers,
        ])
        .args(["--initial-cluster", &format!("sandbox={peers}")])
        // Nobody's only copy: the disk may take its time.
        .args(["--unsafe-no-fsync", "--log-level", "warn"])
        .ready(Readiness::Http {
            port: ETCD_PORT,
            path: "/health".to_owned(),
        }))
}

pub(super) fn api_server(bench: &Bench<'_>) -> Result<PartSpec, SandboxError> {
    let key = bench.pki(SERVICE_ACCOUNT_KEY);
    let flags = [
        format!("--etcd-servers=http://127.0.0.1:{ETCD_PORT}"),
        format!("--secure-port={API_SERVER_PORT}"),
        format!("--advertise-address={NODE_ADDRESS}"),
        format!("--service-cluster-ip-range={SERVICE_RANGE}"),
        format!("--client-ca-file={}", bench.pki("ca.crt")),
        format!(
            "--tls-cert-file={}",
            bench.pki(&format!("{API_SERVER_CERTIFICATE}.crt"))
        ),
        format!(
            "--tls-private-key-file={}",
            bench.pki(&format!("{API_SERVER_CERTIFICATE}.key"))
        ),
        format!("--kubelet-certificate-authority={}", bench.pki("ca.crt")),
        format!(
            "--kubelet-client-certificate={}",
            bench.pki(&format!("{KUBELET_CLIENT}.crt"))
        ),
        format!(
            "--kubelet-client-key={}",
            bench.pki(&format!("{KUBELET_CLIENT}.key"))
        ),
        "--kubelet-preferred-address-types=Hostname".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-signing-key-file={key}"),
        format!(
            "--service-account-key-file={}",
            bench.pki(SERVICE_ACCOUNT_PUBLIC)
        ),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--allow-privileged=true".to_owned(),
    ];
    let mut part = bench
        .service(API_SERVER, bench.path(Item::KubeApiserver)?)
        .args(flags)
        .after(&[ETCD])
        .ready(Readiness::Https {
            port: API_SERVER_PORT,
            path: "/readyz".to_owned(),
            ca: bench.layout.ca_certificate(),
        });
    part.start_within = 90;
    // It waits a minute for clients that watch; everything it keeps is in etcd.
    part.stop_within = 3;
    Ok(part)
}

pub(super) fn controller_manager(bench: &Bench<'_>) -> Result<PartSpec, SandboxError> {
    let kubeconfig = kubeconfig::internal(bench.layout, CONTROLLER_MANAGER_CERTIFICATE)?;
    let kubeconfig = bench.settings("controller-manager.kubeconfig", &kubeconfig)?;
    Ok(bench
        .service(CONTROLLER_MANAGER, bench.path(Item::KubeControllerManager)?)
        .args(["--kubeconfig", &text(&kubeconfig)])
        .args([
            format!(
                "--service-account-private-key-file={}",
                bench.pki(SERVICE_ACCOUNT_KEY)
            ),
            format!("--root-ca-file={}", bench.pki("ca.crt")),
            format!("--cluster-cidr={POD_RANGE}"),
            "--use-service-account-credentials=true".to_owned(),
            "--leader-elect=false".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
            // Tests make and remove many namespaces: by default it would take minutes over them.
            "--kube-api-qps=200".to_owned(),
            "--kube-api-burst=400".to_owned(),
            "--concurrent-namespace-syncs=20".to_owned(),
        ])
        .after(&[API_SERVER])
        .ready(Readiness::Tcp(([127, 0, 0, 1], 10257).into())))
}

pub(super) fn scheduler(bench: &Bench<'_>) -> Result<PartSpec, SandboxError> {
    let kubeconfig = kubeconfig::internal(bench.layout, SCHEDULER_CERTIFICATE)?;
    let kubeconfig = bench.settings("scheduler.kubeconfig", &kubeconfig)?;
    Ok(bench
        .service(SCHEDULER, bench.path(Item::KubeScheduler)?)
        .args(["--kubeconfig", &text(&kubeconfig)])
        .args(["--leader-elect=false", "--bind-address=127.0.0.1"])
        .after(&[API_SERVER])
        .ready(Readiness::Tcp(([127, 0, 0, 1], 10259).into())))
}
