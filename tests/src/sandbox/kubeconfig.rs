//! Kubeconfig files: the admin's, which people and tests use, and those of the parts.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::certificates::ADMIN;
use super::endpoints::{API_SERVER_PORT, CONTEXT};
use super::{Layout, SandboxError};

/// Writes the admin's kubeconfig. Everything is in the one file, so that it can be copied.
pub fn write(layout: &Layout) -> Result<(), SandboxError> {
    let text = render(layout, ADMIN)?;
    let path = layout.kubeconfig();
    // A namespace that somebody has set in it stays as long as the certificates do.
    let holds_same_identity = fs::read_to_string(&path).is_ok_and(|kept| {
        text.lines()
            .filter(|line| line.contains("-data: "))
            .all(|line| kept.contains(line.trim()))
    });
    if holds_same_identity {
        return Ok(());
    }
    fs::write(&path, text).map_err(SandboxError::io("write", &path))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
        .map_err(SandboxError::io("protect", &path))
}

/// The kubeconfig of a part, by the name of its certificate.
pub fn internal(layout: &Layout, certificate: &str) -> Result<String, SandboxError> {
    render(layout, certificate)
}

fn render(layout: &Layout, certificate: &str) -> Result<String, SandboxError> {
    let data = |file: String| {
        let path = layout.pki().join(file);
        // Before the first start there are none, and a look at the parts must work all the same.
        match fs::read(&path) {
            Ok(bytes) => Ok(STANDARD.encode(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(SandboxError::io("read", path)(error)),
        }
    };
    Ok(format!(
        "apiVersion: v1
kind: Config
clusters:
- name: {CONTEXT}
  cluster:
    server: https://127.0.0.1:{API_SERVER_PORT}
    certificate-authority-data: {ca}
users:
- name: {certificate}
  user:
    client-certificate-data: {own}
    client-key-data: {key}
contexts:
- name: {CONTEXT}
  context:
    cluster: {CONTEXT}
    user: {certificate}
current-context: {CONTEXT}
",
        ca = data("ca.crt".to_owned())?,
        own = data(format!("{certificate}.crt"))?,
        key = data(format!("{certificate}.key"))?,
    ))
}
