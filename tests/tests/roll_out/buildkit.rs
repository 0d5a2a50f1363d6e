//! A builder of the user's own, outside of the engine: what it pulls it pulls by itself, with the
//! login that it is lent, and what it builds has to come into the engine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hybrid_tests::bucket::aws;
use hybrid_tests::said::Said;
use hybrid_tests::sandbox::endpoints::{ACCOUNT, BASE_IMAGE, REGION, registry_host};
use tempfile::TempDir;

use super::builds::{configure, docker, image, log};
use super::deployed::{Project, assert_web_shows, in_the_registry};
use super::{image_of, inside, terminate, until};

/// The name that buildx knows the builder by.
const NAME: &str = "of-ones-own";

/// A running BuildKit with nothing in its store. It ends with the test.
struct Buildkit {
    child: Child,
    folder: TempDir,
    is_mounted: bool,
}

impl Buildkit {
    /// With so much room; without it with that of the disk.
    fn started(megabytes: Option<u32>) -> Self {
        let program = std::env::var("HYBRID_TEST_BUILDKITD").expect("`cargo sandbox test` says");
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name).display().to_string();
        let (root, settings, socket) = (place("root"), place("settings"), place("socket"));
        fs::create_dir(&root).unwrap();
        if let Some(megabytes) = megabytes {
            let size = format!("size={megabytes}m");
            let mount = ["mount", "-t", "tmpfs", "-o", &size, "tmpfs", &root];
            Said::of(&mut inside(&mount)).succeeds();
        }
        let state = std::env::var("HYBRID_SANDBOX_DIR").expect("the sandbox's environment");
        let host = registry_host(ACCOUNT, REGION);
        let trusted = format!("[registry.\"{host}\"]\nca = [\"{state}/pki/ca.crt\"]\n");
        fs::write(&settings, trusted).unwrap();
        let address = format!("unix://{socket}");
        let words = [
            program.as_str(),
            "--config",
            &settings,
            "--addr",
            &address,
            "--root",
            &root,
            "--containerd-worker=false",
            "--oci-worker-snapshotter=native",
        ];
        let child = inside(&words)
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let buildkit = Self {
            child,
            folder,
            is_mounted: megabytes.is_some(),
        };
        until(|| Path::new(&socket).exists(), || buildkit.log());
        buildkit
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The plugin, for which this is the chosen builder.
    fn hybrid(&self, project: &Project, arguments: &[&str]) -> Said {
        let known = self.folder.path().join("buildx");
        if !known.exists() {
            let address = format!("unix://{}", self.folder.path().join("socket").display());
            let words = ["buildx", "create", "--name", NAME, "--driver=remote"];
            let mut create = Command::new("docker");
            create.args(words).arg(address).env("BUILDX_CONFIG", &known);
            Said::of(&mut create).succeeds();
        }
        let mut command = project.command(arguments);
        command
            .env("BUILDX_CONFIG", known)
            .env("BUILDX_BUILDER", NAME);
        Said::of(&mut command)
    }
}

impl Drop for Buildkit {
    fn drop(&mut self) {
        terminate(&mut self.child);
        if self.is_mounted {
            let root = self.folder.path().join("root").display().to_string();
            drop(inside(&["umount", &root]).status());
        }
    }
}

/// A private repository with the base image. It goes with the test.
pub(super) struct Base {
    repository: String,
    pub(super) image: String,
}

impl Base {
    pub(super) fn pushed() -> Self {
        let repository = format!("base-{}", std::process::id());
        let host = registry_host(ACCOUNT, REGION);
        let base = Self {
            image: format!("{host}/{repository}:1"),
            repository,
        };
        aws(&[
            "ecr",
            "create-repository",
            "--repository-name",
            &base.repository,
        ]);
        let config = tempfile::tempdir().unwrap();
        let helpers = format!("{{\"credHelpers\":{{\"{host}\":\"ecr-hybrid\"}}}}");
        fs::write(config.path().join("config.json"), helpers).unwrap();
        docker(&["tag", BASE_IMAGE, &base.image]);
        let mut push = Command::new("docker");
        push.args(["push", &base.image])
            .env("DOCKER_CONFIG", config.path());
        Said::of(&mut push).succeeds();
        docker(&["rmi", &base.image]);
        base
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        let name = ["--force", "--repository-name", &self.repository];
        let mut delete = Command::new("aws");
        drop(
            delete
                .args(["ecr", "delete-repository"])
                .args(name)
                .output(),
        );
    }
}

/// Has `web` begin with an image and make something that no other build makes.
pub(super) fn build_on(project: &Project, image: &str) {
    let path: PathBuf = project.path("web/Dockerfile");
    let dockerfile = fs::read_to_string(&path).unwrap();
    let from = format!("FROM {BASE_IMAGE}\n");
    let steps = format!("FROM {image}\nRUN head -c 16 /dev/urandom | sha256sum > /made\n");
    let other = dockerfile.replace(&from, &steps);
    assert_ne!(other, dockerfile);
    fs::write(path, other).unwrap();
}

#[test]
#[ignore = "needs the sandbox and BuildKit"]
fn a_builder_of_ones_own_has_a_private_base_and_a_cache_in_a_folder() {
    let project = Project::deployed();
    let base = Base::pushed();
    build_on(&project, &base.image);
    let config = fs::read_to_string(project.path("hybrid.toml")).unwrap();
    configure(&project, &config, "cache_to = [\"type=local,dest=cache\"]");
    let page = project.change_web();
    let first = image(&project);
    let buildkit = Buildkit::started(None);
    buildkit.hybrid(&project, &["deploy", "web"]).succeeds();
    assert_web_shows(&page);
    assert!(image_of("web").ends_with(&in_the_registry("web")));
    assert!(project.path("cache/index.json").exists(), "{}", log());
    let made = |image: &str| docker(&["run", "--rm", "--network=none", image, "cat", "/made"]);
    let before = made(&first);
    drop(buildkit);

    // Another one, which has nothing but that folder.
    configure(&project, &config, "cache_from = [\"type=local,src=cache\"]");
    let page = project.change_web();
    let second = image(&project);
    assert_ne!(first, second);
    let buildkit = Buildkit::started(None);
    buildkit.hybrid(&project, &["deploy", "web"]).succeeds();
    assert_web_shows(&page);
    assert_eq!(made(&second), before, "{}", log());
}

#[test]
#[ignore = "needs the sandbox and BuildKit"]
fn a_builder_whose_disk_is_full_is_named_and_the_next_deploy_goes_on() {
    let project = Project::deployed();
    let base = Base::pushed();
    build_on(&project, &base.image);
    let page = project.change_web();
    let before = (image_of("web"), in_the_registry("web"));
    let large = vec![7; 64 << 20];
    fs::write(project.path("web/www/large"), large).unwrap();
    let full = Buildkit::started(Some(32));
    let said = full.hybrid(&project, &["deploy", "web"]);
    let sentence = said.fails(6);
    assert!(
        sentence.contains("building `web` failed because the disk is full"),
        "{sentence}"
    );
    assert!(
        said.stderr.contains("docker builder prune"),
        "{}",
        said.stderr
    );
    assert_eq!((image_of("web"), in_the_registry("web")), before);
    drop(full);

    fs::remove_file(project.path("web/www/large")).unwrap();
    let buildkit = Buildkit::started(None);
    buildkit.hybrid(&project, &["deploy", "web"]).succeeds();
    assert_web_shows(&page);
}
