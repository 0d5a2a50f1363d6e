//! containerd, which runs all containers, and the Docker engine on top of it.

use std::fs;

use super::build::{Bench, text};
use crate::sandbox::SandboxError;
use crate::sandbox::endpoints::{PAUSE_IMAGE, registry_hosts};
use crate::sandbox::machine::CGROUP;
use crate::sandbox::supervisor::{PartSpec, Readiness};
use crate::sandbox::supply::Item;

pub(super) const CONTAINERD: &str = "containerd";
pub(super) const DOCKERD: &str = "dockerd";

/// What runs at the moment is not kept: it ends with the machine.
const STATE: &str = "/run/containerd";

pub(super) fn containerd(bench: &Bench<'_>) -> Result<PartSpec, SandboxError> {
    let root = bench.data(CONTAINERD)?;
    let socket = bench.layout.containerd_socket();
    let hosts = bench.layout.etc().join("registries");
    for host in registry_hosts() {
        let ca = bench.layout.ca_certificate();
        let url = format!("https://{host}");
        let settings = format!(
            "server = {}\n\n[host.{}]\nca = {}\n",
            quoted(&url),
            quoted(&url),
            quoted(&text(&ca))
        );
        bench.settings(&format!("registries/{host}/hosts.toml"), &settings)?;
    }
    let cni = conflist(bench)?;
    let settings = format!(
        r#"version = 3
root = {root}
state = {state}
# The machine's own settings would otherwise be read.
imports = []

[grpc]
address = {socket}

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = {pause}

[plugins."io.containerd.cri.v1.images".registry]
config_path = {hosts}

[plugins."io.containerd.cri.v1.runtime"]
# Without CAP_SYS_RESOURCE a score below the own one is refused, and with it every pod.
restrict_oom_score_adj = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = [{cni_bin}]
conf_dir = {cni}

[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "runc"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
SystemdCgroup = false
BinaryName = {runc}
"#,
        root = quoted(&text(&root)),
        state = quoted(STATE),
        socket = quoted(&text(&socket)),
        pause = quoted(PAUSE_IMAGE),
        cni_bin = quoted(&text(bench.path(Item::CniPlugins)?)),
        cni = quoted(&cni),
        hosts = quoted(&text(&hosts)),
        runc = quoted(&text(bench.path(Item::Runc)?)),
    );
    let settings = bench.settings("containerd.toml", &settings)?;
    Ok(bench
        .service(CONTAINERD, bench.path(Item::Containerd)?)
        .args(["--config", &text(&settings), "--log-level", "warn"])
        .ready(Readiness::Unix(socket)))
}

/// How pods are connected: a bridge with addresses of its own, and host ports when a pod asks. Where
/// nothing leads to the outside there is nothing to masquerade; the plugin would write a chain of
/// rules for each pod.
fn conflist(bench: &Bench<'_>) -> Result<String, SandboxError> {
    let list = serde_json::json!({
        "cniVersion": "0.4.0",
        "name": "hybrid-sandbox",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                "ipMasq": false,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{ "subnet": "10.244.0.0/24" }]],
                    "routes": [{ "dst": "0.0.0.0/0" }]
                }
            },
            { "type": "portmap", "capabilities": { "portMappings": true } }
        ]
    });
    let path = bench.settings("cni/10-hybrid-sandbox.conflist", &list.to_string())?;
    Ok(text(path.parent().unwrap_or(&path)))
}

pub(super) fn dockerd(bench: &Bench<'_>) -> Result<PartSpec, SandboxError> {
    let root = bench.data("docker")?;
    let socket = bench.layout.docker_socket();
    // The user's own daemon.json would otherwise be read.
    let settings = bench.settings("dockerd.json", "{}\n")?;
    let plugins = bench.layout.docker_config().join("cli-plugins");
    fs::create_dir_all(&plugins).map_err(SandboxError::io("create", &plugins))?;
    Ok(bench
        .service(DOCKERD, bench.path(Item::Dockerd)?)
        .args(["--config-file", &text(&settings)])
        .args(["--containerd", &text(&bench.layout.containerd_socket())])
        .args(["--host", &format!("unix://{}", text(&socket))])
        .args(["--data-root", &text(&root)])
        .args(["--exec-root", "/run/docker", "--pidfile", "/run/docker.pid"])
        .args(["--exec-opt", "native.cgroupdriver=cgroupfs"])
        .args([
            "--cgroup-parent",
            &format!("{CGROUP}/docker"),
            "--log-level",
            "warn",
        ])
        .after(&[CONTAINERD])
        .ready(Readiness::HttpUnix {
            socket,
            path: "/_ping".to_owned(),
        }))
}

/// A TOML string. Paths and host names hold neither quotes nor backslashes that matter elsewhere.
fn quoted(value: &str) -> String {
    toml::Value::String(value.to_owned()).to_string()
}
