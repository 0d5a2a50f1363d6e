//! The machine's network: loopback and the node's own address. Nothing leads to the outside.

use std::process::Command;

use crate::sandbox::SandboxError;
use crate::sandbox::endpoints::NODE_ADDRESS;

/// A bridge without ports: a kind of interface that every kernel with Docker's needs has.
const INTERFACE: &str = "node0";

/// Brings loopback up and gives the node an address, since a kubelet takes none from loopback.
pub(super) fn make() -> Result<(), SandboxError> {
    let address = format!("{NODE_ADDRESS}/24");
    ip(&["link", "set", "lo", "up"])?;
    ip(&["link", "add", INTERFACE, "type", "bridge"])?;
    ip(&["address", "add", &address, "dev", INTERFACE])?;
    ip(&["link", "set", INTERFACE, "up"])
}

fn ip(arguments: &[&str]) -> Result<(), SandboxError> {
    let failed = |why: String| SandboxError::Command {
        command: format!("ip {}", arguments.join(" ")),
        why,
    };
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(format!(
        "{} {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    )))
}
