//! A project of many services of which a few have changed, against the slowest of those few alone.
//!
//! What a deploy of several services can be at best is its slowest build, push and roll-out: that is
//! measured with the plain commands, one service at a time, and a second is added for the deploy's
//! own work.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::contest::{Contender, Row, contest};
use super::phases::Phases;
use super::process::finish;
use super::programs::{Programs, private_docker};
use super::{BenchError, process};
use crate::sandbox::endpoints::{
    ACCOUNT, BASE_IMAGE, PAUSE_IMAGE, REGION, WORKSPACE, registry_host,
};

const OURS: &str = "kubectl hybrid deploy";
const PEER: &str = "slowest alone, and a second";
const SERVICES: usize = 20;
const CHANGED: usize = 5;
const NAME: &str = "bench-many";
const STATE_KEY: &str = "bench-many/terraform.tfstate";
/// The longest of the builds that take time; the others take a second less each.
const LONGEST_BUILD: usize = CHANGED;
/// For the work that a deploy has beside building, pushing and rolling out.
const OWN_WORK: Duration = Duration::from_secs(1);
/// `ACTION FLAG REPOSITORY…`, a few at a time. What an earlier run has left is there already.
const REPOSITORIES: &str = r#"
    action=$1 flag=$2; shift 2
    printf '%s\n' "$@" | xargs -P 4 -I NAME sh -c "aws ecr $action $flag --repository-name NAME ||
        aws ecr describe-repositories --repository-names NAME" >/dev/null
"#;
/// One service, as somebody does it by hand. Wants SERVICE, IMAGE, NAMESPACE.
const ALONE: &str = r#"
    set -eu
    docker build --tag "$IMAGE" "$SERVICE"
    docker push "$IMAGE"
    kubectl --namespace "$NAMESPACE" set image "deployment/$SERVICE" "app=$IMAGE"
    kubectl --namespace "$NAMESPACE" rollout status --timeout=120s "deployment/$SERVICE"
"#;

/// The project, in AWS and in the cluster. It is removed when this value is dropped.
pub(super) struct Many {
    programs: Programs,
    folder: PathBuf,
    docker: PathBuf,
    changes: Cell<u32>,
    our_starts: Phases,
    peer_starts: Phases,
}

/// What a build has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Builds {
    /// A file is copied: everything is the machine's own work, and the services share its cores.
    Copy,
    /// The first services wait, too, each a second longer than the one before, as for a download.
    Wait,
}

impl Many {
    /// Makes the project and deploys it once.
    pub(super) fn new(binaries: &Path, scratch: &Path) -> Result<Self, BenchError> {
        let many = Self {
            programs: Programs::first_from(binaries),
            folder: scratch.join(NAME),
            docker: scratch.join("many-docker"),
            changes: Cell::new(0),
            our_starts: Phases::default(),
            peer_starts: Phases::default(),
        };
        many.write_project()?;
        many.repositories("create-repository", "--image-tag-mutability=MUTABLE")?;
        many.put_state(scratch)?;
        many.apply_manifests()?;
        private_docker(&many.docker)?;
        let login = format!(
            "aws ecr get-login-password --region {REGION} | \
             docker login --username AWS --password-stdin {}",
            registry_host(ACCOUNT, REGION)
        );
        finish("The login", many.by_hand().args(["-c", &login]))?;
        many.deploy(SERVICES)?;
        Ok(many)
    }

    /// The rows.
    pub(super) fn rows(&self, runs: usize) -> Result<Vec<Row>, BenchError> {
        let what = format!("deploy, {SERVICES} services, {CHANGED} changed");
        let of_copies = self.row(&what, runs)?;
        self.write_dockerfiles(Builds::Wait)?;
        self.deploy(CHANGED)?;
        let what = format!("{what}, builds of 1 to {LONGEST_BUILD} s");
        Ok(vec![of_copies, self.row(&what, runs)?])
    }

    fn row(&self, what: &str, runs: usize) -> Result<Row, BenchError> {
        contest(
            what,
            runs,
            &mut [
                Contender::new(OURS, || {
                    for service in services().take(CHANGED) {
                        self.change(&service)?;
                    }
                    self.our_starts.next();
                    self.deploy(CHANGED)
                }),
                Contender::new(PEER, || {
                    let mut slowest = Duration::ZERO;
                    for service in services().take(CHANGED) {
                        slowest = slowest.max(self.alone(&service)?);
                    }
                    Ok(slowest + OWN_WORK)
                }),
            ],
        )
    }

    /// A deploy that rolled so many.
    fn deploy(&self, expected: usize) -> Result<Duration, BenchError> {
        let mut command = self.programs.command("kubectl");
        command
            .args(["hybrid", "deploy", "--output=json"])
            .current_dir(&self.folder)
            // They are of the sandbox's own project.
            .env_remove("HYBRID_TERRAFORM_DIR")
            .env_remove("TF_DATA_DIR");
        let finished = process::run(OURS, &mut command, b"")?.expecting(OURS, 0)?;
        let report: Value = serde_json::from_slice(&finished.stdout).unwrap_or_default();
        let services = report["services"].as_array();
        let rolled = services
            .into_iter()
            .flatten()
            .filter(|service| service["rolled"] == true)
            .count();
        if rolled == expected {
            return Ok(finished.elapsed);
        }
        Err(BenchError::Wrong {
            what: OURS.to_owned(),
            why: format!("rolled {rolled} services and not {expected}"),
        })
    }

    /// One service that has changed, with the plain commands.
    fn alone(&self, service: &str) -> Result<Duration, BenchError> {
        self.change(service)?;
        let image = format!("{}:bench-{}", repository_url(service), self.changes.get());
        let mut command = self.by_hand();
        command
            .args(["-c", ALONE])
            .env("SERVICE", service)
            .env("IMAGE", image)
            .env("NAMESPACE", NAME);
        self.peer_starts.next();
        finish(PEER, &mut command)
    }

    /// A shell in the project's folder, with a login of its own: the product's must not help it.
    fn by_hand(&self) -> Command {
        let mut command = self.programs.command("sh");
        command
            .current_dir(&self.folder)
            .env("DOCKER_CONFIG", &self.docker);
        command
    }

    /// Another page, that no run has had before.
    fn change(&self, service: &str) -> Result<(), BenchError> {
        let change = self.changes.get() + 1;
        self.changes.set(change);
        let text = format!("{} {service} {change}\n", std::process::id());
        write(&self.folder.join(service).join("page"), &text)
    }

    fn write_project(&self) -> Result<(), BenchError> {
        for service in services() {
            let folder = self.folder.join(&service);
            fs::create_dir_all(&folder).map_err(BenchError::io("make the folder", &folder))?;
            self.change(&service)?;
        }
        self.write_dockerfiles(Builds::Copy)?;
        let settings = format!(
            "project = \"{NAME}\"\nworkspace = \"{WORKSPACE}\"\n\n[terraform.backend]\n\
             bucket = \"{}\"\nkey = \"{STATE_KEY}\"\nregion = \"{REGION}\"\n",
            bucket()
        );
        write(&self.folder.join("hybrid.toml"), &settings)
    }

    fn write_dockerfiles(&self, builds: Builds) -> Result<(), BenchError> {
        for (at, service) in services().enumerate() {
            let wait = match builds {
                Builds::Wait if at < CHANGED => {
                    format!("RUN sleep {}\n", LONGEST_BUILD - CHANGED + 1 + at)
                }
                _ => String::new(),
            };
            let dockerfile = format!(
                "FROM {BASE_IMAGE}\nCOPY page /www/page\n{wait}USER 65534\n\
                 CMD [\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n"
            );
            write(&self.folder.join(service).join("Dockerfile"), &dockerfile)?;
        }
        Ok(())
    }

    /// Makes or deletes the repositories.
    fn repositories(&self, action: &str, flag: &str) -> Result<(), BenchError> {
        let mut command = self.programs.command("sh");
        command
            .args(["-c", REPOSITORIES, "sh", action, flag])
            .args(services().map(|service| repository(&service)));
        finish("The making of the repositories", &mut command).map(drop)
    }

    /// The contract, as Terraform would have written it.
    fn put_state(&self, scratch: &Path) -> Result<(), BenchError> {
        let state = json!({
            "version": 4, "terraform_version": "1.13.0", "serial": 1,
            "lineage": "3b0d2a52-6c1f-4b59-9d53-6f4f0f6b6a10",
            "outputs": { "hybrid": { "value": contract(), "type": "dynamic" } },
            "resources": [],
        });
        let file = scratch.join("many.tfstate");
        fs::write(&file, state.to_string()).map_err(BenchError::io("write", &file))?;
        let mut command = self.programs.command("aws");
        command
            .args(["s3api", "put-object", "--bucket", &bucket()])
            .args(["--key", &state_key(), "--body"])
            .arg(&file);
        finish("The contract's upload", &mut command).map(drop)
    }

    fn apply_manifests(&self) -> Result<(), BenchError> {
        let mut command = self.programs.command("kubectl");
        command.args(["apply", "-f", "-"]);
        let what = "The making of the workloads";
        process::run(what, &mut command, manifests().to_string().as_bytes())?
            .expecting(what, 0)
            .map(drop)
    }
}

impl Drop for Many {
    fn drop(&mut self) {
        let mut namespace = self.programs.command("kubectl");
        namespace.args(["delete", "namespace", NAME, "--ignore-not-found"]);
        // The next run makes it anew.
        namespace.arg("--timeout=60s");
        let mut state = self.programs.command("aws");
        state
            .args(["s3api", "delete-object", "--bucket", &bucket()])
            .args(["--key", &state_key()]);
        // What stays is in the sandbox alone, and goes with it.
        drop(namespace.stdin(Stdio::null()).output());
        drop(state.stdin(Stdio::null()).output());
        drop(self.repositories("delete-repository", "--force"));
    }
}

fn write(path: &Path, text: &str) -> Result<(), BenchError> {
    fs::write(path, text).map_err(BenchError::io("write", path))
}

fn services() -> impl Iterator<Item = String> {
    (1..=SERVICES).map(|number| format!("s{number:02}"))
}

fn repository(service: &str) -> String {
    format!("{NAME}/{service}")
}

fn repository_url(service: &str) -> String {
    format!("{}/{}", registry_host(ACCOUNT, REGION), repository(service))
}

fn bucket() -> String {
    format!("hybrid-tfstate-{ACCOUNT}")
}

fn state_key() -> String {
    format!("env:/{WORKSPACE}/{STATE_KEY}")
}

fn contract() -> Value {
    let services: Map<String, Value> = services()
        .map(|service| {
            let of_contract = json!({
                "repository": repository(&service),
                "repository_url": repository_url(&service),
                "tag_mutability": "MUTABLE",
                "workload": { "name": service, "container": "app" },
            });
            (service, of_contract)
        })
        .collect();
    json!({
        "schema_version": 1, "project": NAME, "environment": "dev", "workspace": WORKSPACE,
        "aws": { "account_id": ACCOUNT, "region": REGION,
            "registry": registry_host(ACCOUNT, REGION) },
        "state": { "lock": "none" },
        "cluster": { "namespace": NAME },
        "services": services,
    })
}

fn manifests() -> Value {
    let mut items =
        vec![json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAME } })];
    items.extend(services().map(|service| {
        let labels = json!({ "app": service });
        let pod = json!({
            "imagePullSecrets": [{ "name": "regcred" }],
            "terminationGracePeriodSeconds": 0,
            // Something that runs until the first deploy.
            "containers": [{ "name": "app", "image": PAUSE_IMAGE,
                "imagePullPolicy": "IfNotPresent",
                // Without a probe ours waits for a crash at the start, and kubectl does not.
                "readinessProbe": { "tcpSocket": { "port": 8080 }, "periodSeconds": 1 } }],
        });
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": service, "namespace": NAME },
            "spec": { "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": pod } },
        })
    }));
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_of_the_contract_has_its_workload() {
        let (contract, manifests) = (contract(), manifests());
        let services = contract["services"].as_object().unwrap();
        assert_eq!(services.len(), SERVICES);
        for (name, service) in services {
            let of_name = |item: &&Value| item["metadata"]["name"] == name.as_str();
            let items = manifests["items"].as_array().unwrap();
            let workload = items.iter().find(of_name).unwrap();
            assert_eq!(
                workload["metadata"]["namespace"],
                contract["cluster"]["namespace"]
            );
            assert_eq!(service["workload"]["name"], workload["metadata"]["name"]);
            let container = &workload["spec"]["template"]["spec"]["containers"][0];
            assert_eq!(service["workload"]["container"], container["name"]);
            assert_eq!(
                service["repository_url"],
                format!(
                    "{}/{}",
                    registry_host(ACCOUNT, REGION),
                    service["repository"].as_str().unwrap()
                )
            );
        }
    }
}
