//! The ECR front as a part of the sandbox: this program's own, with the sandbox's addresses.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::certificates::REGISTRY;
use super::endpoints::{AWS_PORT, MOTO_PORT, REGISTRY_ADDRESS, REGISTRY_PORT};
use super::{Layout, SandboxError};
use crate::front::{Front, Log, Settings};

/// Serves until SIGTERM. Runs inside the machine.
pub fn run(layout: &Layout) -> Result<(), SandboxError> {
    let pki = layout.pki();
    let settings = Settings {
        api: SocketAddr::from((Ipv4Addr::LOCALHOST, AWS_PORT)),
        registry_listen: REGISTRY_ADDRESS,
        moto: format!("http://127.0.0.1:{MOTO_PORT}"),
        registry: format!("http://127.0.0.1:{REGISTRY_PORT}"),
        tls_cert: pki.join(format!("{REGISTRY}.crt")),
        tls_key: pki.join(format!("{REGISTRY}.key")),
        state_dir: layout.data("front"),
        replay: true,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(SandboxError::system("start the front's runtime"))?;
    runtime.block_on(async {
        let mut terminate =
            signal(SignalKind::terminate()).map_err(SandboxError::system("wait for SIGTERM"))?;
        let log: Log = Arc::new(|line| eprintln!("{} {line}", jiff::Timestamp::now()));
        let front = Front::start(&settings, log)
            .await
            .map_err(|error| SandboxError::Front(error.to_string()))?;
        terminate.recv().await;
        front.stop().await;
        Ok(())
    })
}
