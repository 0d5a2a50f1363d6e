//! The AWS side: the emulator, the registry, and the ECR front before both.

use super::build::{Bench, text};
use crate::sandbox::SandboxError;
use crate::sandbox::endpoints::{AWS_PORT, MOTO_PORT, REGISTRY_ADDRESS, REGISTRY_PORT};
use crate::sandbox::supervisor::{PartSpec, Readiness};
use crate::sandbox::supply::Item;

pub(super) const MOTO: &str = "moto";
pub(super) const REGISTRY: &str = "docker-registry";
pub(super) const FRONT: &str = "ecr-front";

pub(super) fn moto(bench: &Bench<'_>) -> Result<PartSpec, SandboxError> {
    let mut part = bench
        .service(MOTO, bench.path(Item::Moto)?)
        .args(["--host", "127.0.0.1", "--port", &MOTO_PORT.to_string()])
        .ready(Readiness::Http {
            port: MOTO_PORT,
            path: "/moto-api/".to_owned(),
        });
    // Otherwise it writes to the folder that it is started in.
    let recording = bench.data("moto")?.join("recording");
    part.environment
        .insert("MOTO_RECORDER_FILEPATH".to_owned(), text(&recording));
    // It keeps nothing that could be lost.
    part.stop_within = 1;
    Ok(part)
}

pub(super) fn registry(bench: &Bench<'_>) -> Result<PartSpec, SandboxError> {
    let data = bench.data("registry")?;
    let settings = serde_json::json!({
        "version": 0.1,
        "log": { "level": "warn", "accesslog": { "disabled": true } },
        "storage": {
            "filesystem": { "rootdirectory": text(&data) },
            "delete": { "enabled": true }
        },
        "http": { "addr": format!("127.0.0.1:{REGISTRY_PORT}") }
    });
    // JSON is YAML as well.
    let settings = bench.settings("registry.yml", &settings.to_string())?;
    let mut part = bench
        .service(REGISTRY, bench.path(Item::DockerRegistry)?)
        .args(["serve", &text(&settings)])
        .ready(Readiness::Http {
            port: REGISTRY_PORT,
            path: "/v2/".to_owned(),
        });
    part.stop_within = 2;
    Ok(part)
}

/// This program's own, see [`crate::sandbox::front`].
pub(super) fn front(bench: &Bench<'_>) -> Result<PartSpec, SandboxError> {
    let exe = std::env::current_exe().map_err(|source| SandboxError::OwnPath { source })?;
    let mut part = bench
        .service(FRONT, &exe)
        .args(["front"])
        .after(&[MOTO, REGISTRY])
        .ready(Readiness::Http {
            port: AWS_PORT,
            path: "/_front/health".to_owned(),
        })
        .ready(Readiness::Tcp(REGISTRY_ADDRESS));
    // It tells a new emulator what the old one knew, when it starts.
    part.restart_with = vec![MOTO.to_owned()];
    Ok(part)
}
