//! From the project's configuration to objects in AWS and in the cluster.

use std::process::{Command, Stdio};

use super::http::{Endpoint, Request};
use super::run::{run, succeed};
use super::{Settings, TerraformError, configuration, emulator};
use crate::sandbox::endpoints::NAMESPACE;
use crate::sandbox::report::Report;

/// All of bootstrap that the emulator can take. It ignores the condition of the policy that allows
/// TLS alone, so that this would deny everything, and it drops a part of the life cycle, for which
/// the provider would wait three minutes. The region is named because outputs need it.
pub const BOOTSTRAP_TARGETS: [&str; 6] = [
    "-target=aws_s3_bucket_versioning.state",
    "-target=aws_s3_bucket_server_side_encryption_configuration.state",
    "-target=aws_s3_bucket_public_access_block.state",
    "-target=aws_s3_bucket_ownership_controls.state",
    "-target=aws_dynamodb_table.lock",
    "-target=data.aws_region.current",
];

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Everything was there.
    Already,
    /// Terraform ran.
    Freshly,
}

/// Applies the configuration, or sees that it is applied. Safe to call again at any time, also
/// after a call that was killed.
pub fn apply(settings: &Settings, report: &Report) -> Result<Applied, TerraformError> {
    let endpoint = settings.endpoint()?;
    let fingerprint = configuration::lay_out(settings)?;
    let is_current = std::fs::read_to_string(settings.marker()).is_ok_and(|it| it == fingerprint);
    let state = emulator::has_state(settings, endpoint)?;
    if state && is_current && !settings.unfinished().exists() {
        return Ok(Applied::Already);
    }
    // What a killed run has made is written down nowhere, and without the marker nobody knows what
    // the state was made by.
    if !state || !settings.marker().exists() || settings.unfinished().exists() {
        start_over(settings, endpoint)?;
    }
    configuration::write(&settings.unfinished(), "")?;
    let result = terraform(settings, endpoint, report);
    // A run that ends by itself has written its state, whether it went well or not.
    configuration::remove(&settings.unfinished())?;
    result?;
    configuration::write(&settings.marker(), &fingerprint)?;
    Ok(Applied::Freshly)
}

/// Whether a plan now would change nothing.
pub fn plan_is_empty(settings: &Settings) -> Result<bool, TerraformError> {
    let arguments = ["plan", "-no-color", "-detailed-exitcode"];
    let outcome = run(settings, &settings.root, &arguments)?;
    match outcome.code {
        Some(0) => Ok(true),
        Some(2) => Ok(false),
        _ => Err(outcome.failed(settings, &settings.root)),
    }
}

fn terraform(
    settings: &Settings,
    endpoint: Endpoint,
    report: &Report,
) -> Result<(), TerraformError> {
    let (root, bootstrap) = (&settings.root, &settings.bootstrap());
    report.step("state bucket and lock table", || {
        succeed(settings, bootstrap, &["init", "-no-color", "-upgrade"])?;
        let mut arguments = vec!["apply", "-no-color", "-auto-approve"];
        arguments.extend(BOOTSTRAP_TARGETS);
        succeed(settings, bootstrap, &arguments)?;
        let backend = succeed(settings, bootstrap, &["output", "-raw", "backend_hcl"])?;
        configuration::write(&settings.backend_hcl(), &backend)
    })?;
    report.step("contract: terraform apply", || {
        succeed(
            settings,
            root,
            &[
                "init",
                "-no-color",
                "-reconfigure",
                // The mirror says which versions there are; a state folder may be older than it.
                "-upgrade",
                "-backend-config=backend.hcl",
            ],
        )?;
        succeed(
            settings,
            root,
            &[
                "workspace",
                "select",
                "-no-color",
                "-or-create",
                &settings.workspace,
            ],
        )?;
        // A lock that somebody has left for a try is none of this run's business.
        succeed(
            settings,
            root,
            &["apply", "-no-color", "-auto-approve", "-lock=false"],
        )?;
        emulator::create_other_repositories(endpoint)
    })
}

/// Nothing in AWS, nothing in the cluster, nothing remembered.
fn start_over(settings: &Settings, endpoint: Endpoint) -> Result<(), TerraformError> {
    // Through the front, which empties its journal with it.
    endpoint.expect("forget", &Request::new("POST", "/moto-api/reset"))?;
    configuration::remove(&settings.marker())?;
    configuration::remove(&settings.bootstrap().join("terraform.tfstate"))?;
    let output = Command::new(&settings.kubectl)
        .args([
            "delete",
            "namespace",
            NAMESPACE,
            "--ignore-not-found",
            "--timeout=60s",
        ])
        .arg("--kubeconfig")
        .arg(&settings.kubeconfig)
        .args(["--context", &settings.context])
        .env_clear()
        .envs(settings.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .output()
        .map_err(|source| TerraformError::Start {
            program: settings.kubectl.clone(),
            source,
        })?;
    if output.status.success() {
        return Ok(());
    }
    Err(TerraformError::Namespace {
        namespace: NAMESPACE,
        why: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
