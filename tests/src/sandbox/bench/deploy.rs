//! The deploy of the example against the pipeline of shell commands that it replaces.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use super::BenchError;
use super::contest::{Contender, Row, contest};
use super::phases::Phases;
use super::process::finish;
use super::programs::{Programs, private_docker};
use crate::sandbox::endpoints::{ACCOUNT, NAMESPACE, PROJECT, REGION, WORKSPACE};

const OURS: &str = "kubectl hybrid deploy";
const PEER: &str = "shell pipeline";
const PIPELINE: &str = include_str!("pipeline.sh");
const SERVICES: [&str; 3] = ["web", "api", "search"];
const PULL_SECRET: &str = "regcred";

/// Both ways of deploying, each from a copy of the example of its own.
pub(super) struct Deploys {
    programs: Programs,
    terraform: PathBuf,
    ours: PathBuf,
    peer: PathBuf,
    /// Where the pipeline's own login is written: the product's settings must not help it.
    peer_docker: PathBuf,
    /// Makes each change another one.
    changes: Cell<u32>,
    /// Who deployed last: the other one's pods are not a state to start from.
    last: RefCell<&'static str>,
    our_starts: Phases,
    peer_starts: Phases,
}

impl Deploys {
    pub(super) fn new(binaries: &Path, example: &Path, scratch: &Path) -> Result<Self, BenchError> {
        let terraform = env::var_os("HYBRID_TERRAFORM_DIR").ok_or_else(|| BenchError::Wrong {
            what: "The sandbox's environment".to_owned(),
            why: "has no Terraform folder".to_owned(),
        })?;
        let deploys = Self {
            programs: Programs::first_from(binaries),
            terraform: terraform.into(),
            ours: scratch.join("hybrid/example"),
            peer: scratch.join("pipeline/example"),
            peer_docker: scratch.join("pipeline/docker"),
            changes: Cell::new(0),
            last: RefCell::new(""),
            our_starts: Phases::default(),
            peer_starts: Phases::default(),
        };
        copy(example, &deploys.ours)?;
        copy(example, &deploys.peer)?;
        private_docker(&deploys.peer_docker)?;
        Ok(deploys)
    }

    /// The rows. Afterwards the sandbox is as the product's own deploy leaves it.
    pub(super) fn rows(&self, runs: usize) -> Result<Vec<Row>, BenchError> {
        let rows: Result<Vec<Row>, BenchError> = [true, false]
            .into_iter()
            .map(|changed| {
                let what = if changed {
                    "deploy, three changed"
                } else {
                    "deploy, nothing changed"
                };
                contest(
                    what,
                    runs,
                    &mut [
                        Contender::new(OURS, || self.ours(changed)),
                        Contender::new(PEER, || self.peer(changed)),
                    ],
                )
            })
            .collect();
        let restored = self.restore();
        let rows = rows?;
        restored?;
        Ok(rows)
    }

    /// Takes back what only the pipeline leaves in the cluster, and deploys.
    fn restore(&self) -> Result<(), BenchError> {
        const WHAT: &str = "The way back from the shell pipeline";
        for service in SERVICES {
            self.patch(
                WHAT,
                service,
                &serde_json::json!({"name": service, "imagePullPolicy": "IfNotPresent"}),
            )?;
        }
        let mut command = self.programs.command("kubectl");
        command
            .args(["--namespace", NAMESPACE, "annotate", "secret", PULL_SECRET])
            .arg("kubectl.kubernetes.io/last-applied-configuration-");
        finish(WHAT, &mut command)?;
        // Its login would stay for half of its life.
        let mut command = self.programs.command("kubectl");
        command
            .args(["hybrid", "regcred", "sync", "--force", "-W", WORKSPACE])
            .current_dir(&self.ours);
        finish(WHAT, &mut command)?;
        self.deploy().map(drop)
    }

    /// Changes a service's container.
    fn patch(
        &self,
        what: &str,
        service: &str,
        container: &serde_json::Value,
    ) -> Result<(), BenchError> {
        let patch =
            serde_json::json!({"spec": {"template": {"spec": {"containers": [container]}}}});
        let mut command = self.programs.command("kubectl");
        command
            .args(["--namespace", NAMESPACE, "patch", "deployment", service])
            .arg("--patch")
            .arg(patch.to_string());
        finish(what, &mut command).map(drop)
    }

    fn ours(&self, changed: bool) -> Result<Duration, BenchError> {
        if self.last.replace(OURS) != OURS {
            self.deploy()?;
        }
        if changed {
            self.change(&self.ours)?;
        }
        self.our_starts.next();
        self.deploy()
    }

    fn peer(&self, changed: bool) -> Result<Duration, BenchError> {
        if self.last.replace(PEER) != PEER {
            self.use_moving_tag()?;
            self.pipeline()?;
        }
        if changed {
            self.change(&self.peer)?;
        }
        self.peer_starts.next();
        self.pipeline()
    }

    fn deploy(&self) -> Result<Duration, BenchError> {
        let mut command = self.programs.command("kubectl");
        command
            .args(["hybrid", "deploy", "-W", WORKSPACE])
            .current_dir(&self.ours);
        finish(OURS, &mut command)
    }

    /// What runs: of the project on one screen, against the bare list of pods.
    pub(super) fn status_row(&self, runs: usize) -> Result<Row, BenchError> {
        contest(
            "status",
            runs,
            &mut [
                Contender::new("kubectl hybrid status", || {
                    let mut command = self.programs.command("kubectl-hybrid");
                    command
                        .args(["status", "-W", WORKSPACE])
                        .current_dir(&self.ours);
                    finish("kubectl hybrid status", &mut command)
                }),
                Contender::new("kubectl get pods", || {
                    let mut command = self.programs.command("kubectl");
                    command.args(["get", "pods", "--namespace", NAMESPACE]);
                    finish("kubectl get pods", &mut command)
                }),
            ],
        )
    }

    fn pipeline(&self) -> Result<Duration, BenchError> {
        let mut command = self.programs.command("sh");
        command
            .args(["-c", PIPELINE])
            .current_dir(&self.peer)
            .env("TERRAFORM_DIR", &self.terraform)
            .env("EXAMPLE_DIR", &self.peer)
            .env("REGION", REGION)
            .env("TF_WORKSPACE", WORKSPACE)
            .env("DOCKER_CONFIG", &self.peer_docker);
        finish(PEER, &mut command)
    }

    /// Lets the pods use the tag that the pipeline pushes, and pull it at each start: a restart
    /// with an image that is there already would show the old one.
    fn use_moving_tag(&self) -> Result<(), BenchError> {
        for service in SERVICES {
            let image = format!(
                "{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{PROJECT}-{WORKSPACE}/{service}:latest"
            );
            self.patch(
                "The preparation of the shell pipeline",
                service,
                &serde_json::json!({"name": service, "image": image, "imagePullPolicy": "Always"}),
            )?;
        }
        Ok(())
    }

    /// Another page in every service.
    fn change(&self, example: &Path) -> Result<(), BenchError> {
        let change = self.changes.get() + 1;
        self.changes.set(change);
        // Builds of earlier measurements must not be found in Docker's cache.
        let text = format!("{} {change}\n", std::process::id());
        for service in SERVICES {
            let page = example.join(service).join("www/bench.txt");
            fs::write(&page, &text).map_err(BenchError::io("write", &page))?;
        }
        Ok(())
    }
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) -> Result<(), BenchError> {
    fs::create_dir_all(to).map_err(BenchError::io("make the folder", to))?;
    for entry in fs::read_dir(from).map_err(BenchError::io("read", from))? {
        let entry = entry.map_err(BenchError::io("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target)?;
        } else {
            fs::copy(&source, &target).map_err(BenchError::io("copy", &source))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_pipeline_reads_the_contract_as_terraform_prints_it() {
        let folder = tempfile::tempdir().unwrap();
        let commands = folder.path();
        let contract = r#"{"aws":{"account_id":"1","registry":"r.example"},"cluster":{"contexts":[],"namespace":"ns","pull_secret":"regcred"},"services":{"api":{"repository":"p/api","repository_url":"r.example/p/api","service":{"name":"api"}},"search":{"repository":"p/search","repository_url":"r.example/p/search","workload":{"name":"search"}},"web":{"repository":"p/web","repository_url":"r.example/p/web","service":{"name":"web"}}}}"#;
        let script = |name: &str, text: String| {
            use std::os::unix::fs::PermissionsExt as _;
            let path = commands.join(name);
            fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        script("terraform", format!("printf '%s\\n' '{contract}'"));
        script("aws", "echo password".to_owned());
        for name in ["docker", "kubectl"] {
            script(name, format!("echo {name} \"$@\" >&2; cat >/dev/null"));
        }
        let mut command = Command::new("sh");
        command
            .args(["-c", PIPELINE])
            .env("PATH", format!("{}:/usr/bin:/bin", commands.display()))
            .env("TERRAFORM_DIR", "/t")
            .env("EXAMPLE_DIR", "/e")
            .env("REGION", "eu-central-1")
            .stdin(std::process::Stdio::null());
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        assert!(
            said.contains("docker login --username AWS --password-stdin r.example\n"),
            "{said}"
        );
        assert!(
            said.contains("docker build --tag r.example/p/search:latest /e/search\n"),
            "{said}"
        );
        assert!(
            said.contains("docker push r.example/p/web:latest\n"),
            "{said}"
        );
        assert!(
            said.contains("kubectl --namespace ns rollout restart deployment/api\n"),
            "{said}"
        );
        assert!(
            said.contains("create secret docker-registry regcred"),
            "{said}"
        );
    }

    #[test]
    fn a_copy_has_the_same_files() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(from.path().join("web/www")).unwrap();
        fs::write(from.path().join("web/www/index.html"), "page").unwrap();
        copy(from.path(), &to.path().join("copy")).unwrap();
        let page = to.path().join("copy/web/www/index.html");
        assert_eq!(fs::read_to_string(page).unwrap(), "page");
    }
}
