//! The docker and registry rooms against a real engine, a real registry and the ECR API as the
//! sandbox has them.
//!
//! They need the sandbox's environment. The credential helper is taken from `PATH`, or from beside
//! the plugin. Each test makes repositories of its own and removes them.

// The sandbox is a Linux machine.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "A test ends where something is not as it should be."
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_ecr::types::ImageTagMutability;
use kubectl_hybrid::docker::{
    BuildError, BuildRequest, Builder, ContentTag, Docker, Login, PushFailure, Source, State,
    Surroundings, push,
};
use kubectl_hybrid::registry::{ImageReference, Registry, RegistryError, Tag, TagChange};
use tempfile::TempDir;

const ACCOUNT: &str = "123456789012";
const REGION: &str = "eu-central-1";
const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

/// A user with an empty Docker configuration, a service, and repositories named after the test.
struct Setting {
    folder: TempDir,
    docker: Docker,
    registry: Registry,
    ecr: aws_sdk_ecr::Client,
    repositories: Vec<String>,
    name: String,
}

impl Setting {
    async fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The user's folder has the plugins of the sandbox and nothing else.
        let user = folder.path().join("docker");
        std::fs::create_dir(&user).unwrap();
        std::fs::write(user.join("config.json"), USER_CONFIG).unwrap();
        let process = Surroundings::of_process();
        let plugins = process.docker_config().unwrap().join("cli-plugins");
        std::os::unix::fs::symlink(plugins, user.join("cli-plugins")).unwrap();
        let surroundings: Surroundings = std::env::vars_os()
            .filter(|(name, _)| name != "DOCKER_CONFIG")
            .chain([("DOCKER_CONFIG".into(), user.into_os_string())])
            .collect();
        let helper = surroundings.find_program("docker-credential-ecr-hybrid".as_ref());
        let own = helper.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_kubectl-hybrid")));
        let login = Login::prepare(&surroundings, &own, &[HOST.to_owned()]).unwrap();
        assert!(login.is_overlay());
        let docker = Docker::locate(&Arc::new(surroundings)).unwrap();
        let config = ecr_hybrid::aws::sdk_config(None, Some(REGION)).await;
        let setting = Self {
            docker: docker.with_login(Arc::new(login)),
            registry: Registry::new(&config, ACCOUNT, HOST),
            ecr: aws_sdk_ecr::Client::new(&config),
            repositories: Vec::new(),
            name: format!("docker-room-{name}-{}", std::process::id()),
            folder,
        };
        setting.write("FROM busybox:1.36\nCOPY page /page\n", name);
        setting
    }

    async fn repository(&mut self, mutability: ImageTagMutability) -> ImageReference {
        let name = format!("{}/r{}", self.name, self.repositories.len());
        self.ecr
            .create_repository()
            .repository_name(&name)
            .image_tag_mutability(mutability)
            .send()
            .await
            .unwrap();
        self.repositories.push(name.clone());
        ImageReference::new(HOST, &name).unwrap()
    }

    fn source(&self) -> Source {
        Source {
            context: self.folder.path().join("web"),
            dockerfile: None,
            target: None,
            build_args: BTreeMap::new(),
            platforms: vec!["linux/amd64".parse().unwrap()],
        }
    }

    fn write(&self, dockerfile: &str, page: &str) {
        let context = self.folder.path().join("web");
        std::fs::create_dir_all(&context).unwrap();
        std::fs::write(context.join("Dockerfile"), dockerfile).unwrap();
        std::fs::write(context.join("page"), page).unwrap();
    }

    fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    async fn build(&self, name: &ImageReference) {
        let builder = Builder::new(self.docker.clone(), &self.logs(), 2)
            .await
            .unwrap();
        let mut request = BuildRequest::new("web", self.source());
        request.content = Some(ContentTag::of(&request.source).await.unwrap());
        request.tags = vec![name.clone()];
        builder.build(&request, None).await.unwrap();
    }

    async fn docker(&self, args: &[&str]) -> String {
        let done = self.docker.command(args.iter().copied()).run().await;
        done.unwrap().stdout.trim().to_owned()
    }

    async fn end(self) {
        for name in &self.repositories {
            self.ecr
                .delete_repository()
                .repository_name(name)
                .force(true)
                .send()
                .await
                .unwrap();
        }
        let user = self.folder.path().join("docker/config.json");
        assert_eq!(std::fs::read_to_string(user).unwrap(), USER_CONFIG);
    }
}

/// Odd on purpose: it must come back byte for byte.
const USER_CONFIG: &str = "{ \"detachKeys\":\"ctrl-e,e\",\n\"auths\":{}}";

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

fn read_overlay(docker: &Docker) -> String {
    let env = docker.login().unwrap().env_changes().to_vec();
    let (_, folder) = env
        .into_iter()
        .find(|(name, _)| name == "DOCKER_CONFIG")
        .unwrap();
    std::fs::read_to_string(Path::new(&folder.unwrap()).join("config.json")).unwrap()
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn the_engine_says_who_it_is() {
    let setting = Setting::new("engine").await;
    let engine = setting.docker.engine().await.unwrap();
    assert_eq!(engine.platform.os(), "linux");
    assert!(!engine.server_version.is_empty());
    assert_eq!(
        engine.endpoint,
        std::env::var("DOCKER_HOST").unwrap(),
        "the sandbox's engine"
    );
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn an_image_is_built_pushed_found_by_its_content_and_tagged_without_layers() {
    let mut setting = Setting::new("main").await;
    let repository = setting.repository(ImageTagMutability::Mutable).await;
    let content = ContentTag::of(&setting.source()).await.unwrap();
    assert_eq!(content.state(), State::Unversioned);
    let image = repository.tagged(content.tag());
    let wanted = [content.tag().clone(), tag("dev")];
    let name = repository.repository();
    let before = setting.registry.look_up(name, &wanted).await.unwrap();
    assert_eq!(before.digest(content.tag()), None);

    setting.build(&image).await;
    let pushed = push(&setting.docker, &image, None, None).await.unwrap();
    let after = setting.registry.look_up(name, &wanted).await.unwrap();
    assert_eq!(after.digest(content.tag()), Some(&pushed.digest));
    assert_eq!(after.digest(&wanted[1]), None);

    let dev = &wanted[1];
    let pinned = pushed.pinned();
    let change = setting.registry.move_tag(&pinned, dev).await.unwrap();
    assert_eq!(change, TagChange::Moved);
    let change = setting.registry.move_tag(&image, dev).await.unwrap();
    assert_eq!(change, TagChange::WasThere);
    let detail = setting.registry.describe(name, dev).await.unwrap().unwrap();
    assert_eq!(detail.digest, pushed.digest);
    assert!(detail.pushed_at.is_some());

    // The registry serves what the API tagged.
    setting
        .docker(&["image", "rm", "-f", &image.to_string()])
        .await;
    setting.docker(&["pull", &pinned.to_string()]).await;
    setting
        .docker(&["pull", &repository.tagged(dev).to_string()])
        .await;
    let page = setting
        .docker(&[
            "run",
            "--rm",
            "--network=none",
            &pinned.to_string(),
            "cat",
            "/page",
        ])
        .await;
    assert_eq!(page, "main");

    // A moved tag: another image, and dev follows.
    setting.write("FROM busybox:1.36\nCOPY page /page\n", "second");
    let second = ContentTag::of(&setting.source()).await.unwrap();
    assert_ne!(second.tag(), content.tag());
    let image = repository.tagged(second.tag());
    setting.build(&image).await;
    let again = push(&setting.docker, &image, None, None).await.unwrap();
    assert_ne!(again.digest, pushed.digest);
    setting.registry.move_tag(&image, dev).await.unwrap();
    let now = setting.registry.look_up(name, &wanted).await.unwrap();
    assert_eq!(now.digest(dev), Some(&again.digest));
    assert_eq!(now.digest(content.tag()), Some(&pushed.digest));

    let overlay = read_overlay(&setting.docker);
    assert!(
        overlay.contains("ecr-hybrid") && !overlay.contains("\"auth\""),
        "{overlay}"
    );
    setting.end().await;
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn the_same_content_built_again_has_the_same_digest() {
    let mut setting = Setting::new("again").await;
    let repository = setting.repository(ImageTagMutability::Mutable).await;
    let mut digests = Vec::new();
    for name in ["one", "two"] {
        let image = repository.tagged(&tag(name));
        setting.build(&image).await;
        digests.push(
            push(&setting.docker, &image, None, None)
                .await
                .unwrap()
                .digest,
        );
    }
    assert_eq!(digests[0], digests[1]);
    setting.end().await;
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_missing_repository_and_an_immutable_tag_are_told_apart() {
    let mut setting = Setting::new("refused").await;
    let gone = ImageReference::new(HOST, &format!("{}/gone", setting.name)).unwrap();
    let missing = gone.tagged(&tag("abc"));
    setting.build(&missing).await;
    let error = push(&setting.docker, &missing, None, None)
        .await
        .unwrap_err();
    assert_eq!(error.cause(), Some(PushFailure::NoRepository), "{error:?}");
    let error = setting
        .registry
        .look_up(gone.repository(), &[tag("abc")])
        .await
        .unwrap_err();
    assert!(
        matches!(error, RegistryError::NoRepository { .. }),
        "{error:?}"
    );
    assert_eq!(
        setting
            .registry
            .repository(gone.repository())
            .await
            .unwrap(),
        None
    );

    let repository = setting.repository(ImageTagMutability::Immutable).await;
    let detail = setting
        .registry
        .repository(repository.repository())
        .await
        .unwrap()
        .unwrap();
    assert!(!detail.mutability.may_move(&tag("dev")));
    let first = repository.tagged(&tag("abc"));
    setting.build(&first).await;
    push(&setting.docker, &first, None, None).await.unwrap();
    setting.write("FROM busybox:1.36\nCOPY page /page\n", "other");
    setting.build(&first).await;
    let error = push(&setting.docker, &first, None, None).await.unwrap_err();
    assert_eq!(error.cause(), Some(PushFailure::ImmutableTag), "{error:?}");
    let other = repository.tagged(&tag("other"));
    setting
        .docker(&["tag", &first.to_string(), &other.to_string()])
        .await;
    push(&setting.docker, &other, None, None).await.unwrap();
    let error = setting
        .registry
        .move_tag(&other, &tag("abc"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, RegistryError::ImmutableTag { .. }),
        "{error:?}"
    );
    setting.end().await;
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_failing_dockerfile_is_told_with_its_last_lines() {
    let setting = Setting::new("failing").await;
    setting.write("FROM busybox:1.36\nRUN echo about to break && false\n", "x");
    let builder = Builder::new(setting.docker.clone(), &setting.logs(), 1)
        .await
        .unwrap();
    let request = BuildRequest::new("web", setting.source());
    let error = builder.build(&request, None).await.unwrap_err();
    assert!(matches!(error, BuildError::Failed { .. }), "{error:?}");
    assert!(error.to_string().contains("echo about to break"), "{error}");
    let failure = error.failure().unwrap();
    assert!(
        failure
            .tail
            .iter()
            .any(|line| line.contains("about to break"))
    );
    assert!(failure.log.as_ref().unwrap().is_file());
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_build_that_is_dropped_leaves_no_process() {
    let setting = Setting::new("dropped").await;
    setting.write("FROM busybox:1.36\nRUN echo started; sleep 300\n", "x");
    let builder = Builder::new(setting.docker.clone(), &setting.logs(), 1)
        .await
        .unwrap();
    let name = format!("{}:dropped", setting.name);
    let mut request = BuildRequest::new("web", setting.source());
    request.tags = vec![name.parse().unwrap()];
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let on_line = Arc::new(move |line: &str| {
        if line.contains("started") && !line.contains("echo") {
            let _ = tell.send(());
        }
    });
    tokio::select! {
        result = builder.build(&request, Some(on_line)) => panic!("ended: {result:?}"),
        started = told.recv() => started.unwrap(),
    }
    let wait = Duration::from_secs(20);
    let gone = tokio::time::timeout(wait, async {
        while !processes_with(&name).is_empty()
            || !processes_with("echo started; sleep 300").is_empty()
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(gone.await.is_ok(), "{:?} still run", processes_with(&name));
}

/// The command lines of other processes that contain this text.
fn processes_with(text: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap();
    processes
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(text))
        .collect()
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn an_engine_that_is_not_there_is_named() {
    let surroundings: Surroundings = std::env::vars_os()
        .filter(|(name, _)| name != "DOCKER_CONTEXT")
        .chain([("DOCKER_HOST".into(), "unix:///nowhere/docker.sock".into())])
        .collect();
    let docker = Docker::locate(&Arc::new(surroundings)).unwrap();
    // The child sees the same address, as it would when a user had set it.
    let login = Login::prepare(docker.surroundings(), Path::new("/bin/true"), &[]).unwrap();
    let login = login.with_env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let error = docker
        .with_login(Arc::new(login))
        .engine()
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("unix:///nowhere/docker.sock"),
        "{error}"
    );
    assert!(error.hint().is_some());
}
