//! Puts the machine together, in PID 1.

use std::fs;
use std::path::Path;

use super::{hosts, mounts, network};
use crate::sandbox::endpoints::{NODE, registry_hosts};
use crate::sandbox::{Layout, SandboxError};

/// Makes the current namespaces a machine of its own.
pub fn make(layout: &Layout) -> Result<(), SandboxError> {
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    mounts::make(layout)?;
    write(Path::new("/etc/hosts"), &hosts::hosts_file(&hosts))?;
    rustix::system::sethostname(NODE.as_bytes())
        .map_err(SandboxError::system("name the machine"))?;
    network::make()?;
    trust_registries(layout)
}

/// Tells Docker which CA the registries' certificates are of.
fn trust_registries(layout: &Layout) -> Result<(), SandboxError> {
    let ca = layout.ca_certificate();
    for host in registry_hosts() {
        let dir = Path::new("/etc/docker/certs.d").join(host);
        fs::create_dir_all(&dir).map_err(SandboxError::io("create", &dir))?;
        fs::copy(&ca, dir.join("ca.crt")).map_err(SandboxError::io("copy", &ca))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), SandboxError> {
    fs::write(path, text).map_err(SandboxError::io("write", path))
}

/// Tries, in a process of its own, what the machine will need of the kernel. Leaves nothing.
pub fn probe() -> Result<(), SandboxError> {
    super::unshare()?;
    mounts::probe()
}
