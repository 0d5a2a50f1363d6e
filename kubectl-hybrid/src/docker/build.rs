//! Builds images with the user's builder, a few at a time, each with its own log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::command::{Command, CommandError, Failure, OnLine};
use super::content::{ContentError, ContentTag};
use super::engine::Docker;
use super::platform::Platform;
use crate::registry::{Digest, ImageReference};

/// What an image is made from. The content tag is computed from this, and from nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The folder that Docker sees.
    pub context: PathBuf,
    /// The Dockerfile; without it the one in the context.
    pub dockerfile: Option<PathBuf>,
    /// The stage to build; without it the last.
    pub target: Option<String>,
    /// Build arguments by name.
    pub build_args: BTreeMap<String, String>,
    /// What the image is built for. It is part of what the image is, so it is always said: the
    /// cluster's platform, or the engine's.
    pub platforms: Vec<Platform>,
}

impl Source {
    /// The Dockerfile's path.
    pub fn dockerfile(&self) -> PathBuf {
        self.dockerfile
            .clone()
            .unwrap_or_else(|| self.context.join("Dockerfile"))
    }
}

/// One image to build.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// The service's name, for messages and for the log's name.
    pub service: String,
    /// What it is made from.
    pub source: Source,
    /// What the content was when the tags were chosen. The build fails when it is something else
    /// by the end, because its tag would lie.
    pub content: Option<ContentTag>,
    /// The names that the image gets.
    pub tags: Vec<ImageReference>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// `--secret` specifications. They name files or variables, never values.
    pub secrets: Vec<String>,
    /// `--ssh` specifications.
    pub ssh: Vec<String>,
    /// `--cache-from` specifications.
    pub cache_from: Vec<String>,
    /// `--cache-to` specifications.
    pub cache_to: Vec<String>,
    /// Ask for newer base images.
    pub pull: bool,
    /// More arguments for the build command, as the user gave them.
    pub extra: Vec<String>,
}

impl BuildRequest {
    /// A build of this source with everything else left out.
    pub fn new(service: &str, source: Source) -> Self {
        Self {
            service: service.to_owned(),
            source,
            content: None,
            tags: Vec::new(),
            labels: BTreeMap::new(),
            secrets: Vec::new(),
            ssh: Vec::new(),
            cache_from: Vec::new(),
            cache_to: Vec::new(),
            pull: false,
            extra: Vec::new(),
        }
    }
}

/// An image that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The service's name.
    pub service: String,
    /// The image's id in the engine: of its configuration or, with the containerd image store, of
    /// its manifest.
    pub image_id: Digest,
    /// The whole output.
    pub log: PathBuf,
    /// How long the build ran, without the wait for its turn.
    pub elapsed: Duration,
}

/// Why an image could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The context is not a folder.
    #[error("cannot build `{service}`: its context {} is not a folder", path.display())]
    NoContext {
        /// The service.
        service: String,
        /// The context.
        path: PathBuf,
    },
    /// There is no Dockerfile.
    #[error("cannot build `{service}`: there is no {}", path.display())]
    NoDockerfile {
        /// The service.
        service: String,
        /// The Dockerfile.
        path: PathBuf,
    },
    /// The build ran and failed.
    #[error("building `{service}` failed: {}", summary(failure))]
    Failed {
        /// The service.
        service: String,
        /// The last lines and the log.
        failure: Box<Failure>,
    },
    /// The engine went away.
    #[error(
        "building `{service}` ended because the Docker engine does not answer: {}",
        summary(failure)
    )]
    EngineGone {
        /// The service.
        service: String,
        /// The last lines and the log.
        failure: Box<Failure>,
    },
    /// The disk is full, here or in the engine.
    #[error(
        "building `{service}` failed because the disk is full: {}",
        summary(failure)
    )]
    DiskFull {
        /// The service.
        service: String,
        /// The last lines and the log.
        failure: Box<Failure>,
    },
    /// The request needs what the classic builder cannot do.
    #[error("building `{service}` needs BuildKit for `{option}`, and this Docker has no buildx")]
    NeedsBuildKit {
        /// The service.
        service: String,
        /// The option.
        option: &'static str,
    },
    /// Files changed while they were built.
    #[error("files of `{service}` changed while it was built, so its tag {tag} would not be true")]
    ContentChanged {
        /// The service.
        service: String,
        /// The tag from before the build.
        tag: String,
    },
    /// The content could not be read again.
    #[error("cannot check what `{service}` was built from: {source}")]
    Content {
        /// The service.
        service: String,
        /// Why.
        source: ContentError,
    },
    /// The builder did not say what it built.
    #[error("the builder did not say which image it made of `{service}`")]
    NoImageId {
        /// The service.
        service: String,
    },
    /// The build could not be run.
    #[error("cannot build `{service}`: {source}")]
    Command {
        /// The service.
        service: String,
        /// Why.
        source: CommandError,
    },
}

impl BuildError {
    /// The last lines of the build and its log, when it ran.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed { failure, .. }
            | Self::EngineGone { failure, .. }
            | Self::DiskFull { failure, .. } => Some(failure),
            _ => None,
        }
    }

    /// What to do next, for people.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoContext { .. } | Self::NoDockerfile { .. } => {
                Some("correct `context` or `dockerfile` of the service in hybrid.toml".to_owned())
            }
            Self::Failed { failure, .. } => failure
                .log
                .as_deref()
                .map(|log| format!("the whole output is in {}", log.display())),
            Self::EngineGone { .. } => {
                Some("`docker version` shows whether the engine answers".to_owned())
            }
            Self::DiskFull { .. } => {
                Some("`docker system df` shows what takes the space, `docker builder prune` frees the build cache".to_owned())
            }
            Self::NeedsBuildKit { .. } => {
                Some("install the buildx plugin: https://docs.docker.com/go/buildx/".to_owned())
            }
            Self::ContentChanged { .. } => Some("run the command again".to_owned()),
            Self::Content { .. } | Self::NoImageId { .. } | Self::Command { .. } => None,
        }
    }
}

/// The line that names the cause, among the last lines: BuildKit's and Docker's own error lines
/// come before whatever happens to be last.
fn summary(failure: &Failure) -> String {
    let told = failure.tail.iter().rev().find_map(|line| {
        let line = line.trim();
        ["ERROR: ", "error: ", "Error response from daemon: "]
            .iter()
            .find_map(|prefix| line.strip_prefix(prefix))
    });
    let last = || {
        failure
            .tail
            .iter()
            .rev()
            .map(|line| line.trim())
            .find(|l| !l.is_empty())
    };
    told.or_else(last)
        .map_or_else(|| failure.status.to_string(), str::to_owned)
}

/// Which builder Docker has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuilderKind {
    /// `docker buildx build`, with the builder that the user has chosen.
    Buildx {
        /// What it calls itself.
        version: String,
    },
    /// The engine's own builder, without BuildKit.
    Classic,
}

/// Builds images, as many at a time as it was told.
#[derive(Debug)]
pub struct Builder {
    docker: Docker,
    kind: BuilderKind,
    logs: PathBuf,
    turns: Semaphore,
}

impl Builder {
    /// A builder whose logs go into this folder, one file per service, and that runs at most
    /// `jobs` builds at a time.
    ///
    /// buildx is used when Docker has it, unless `DOCKER_BUILDKIT=0` asks for the classic builder.
    pub async fn new(docker: Docker, logs: &Path, jobs: usize) -> Result<Self, CommandError> {
        let wants_classic = docker
            .surroundings()
            .get("DOCKER_BUILDKIT")
            .is_some_and(|value| value == "0" || value == "false");
        let kind = if wants_classic {
            BuilderKind::Classic
        } else {
            match docker.command(["buildx", "version"]).run().await {
                Ok(done) => BuilderKind::Buildx {
                    version: done.stdout.trim().to_owned(),
                },
                Err(CommandError::Failed(_)) => BuilderKind::Classic,
                Err(error) => return Err(error),
            }
        };
        Ok(Self {
            docker,
            kind,
            logs: logs.to_path_buf(),
            turns: Semaphore::new(jobs.max(1)),
        })
    }

    /// Which builder is used.
    pub fn kind(&self) -> &BuilderKind {
        &self.kind
    }

    /// Where the output of this service's build goes.
    pub fn log_of(&self, service: &str) -> PathBuf {
        let name: String = service
            .chars()
            .map(|c| {
                if c.is_alphanumeric() || matches!(c, '-' | '_') {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        self.logs.join(format!("{name}.log"))
    }

    /// Builds one image and loads it into the engine. Waits for its turn first. Dropping the
    /// future ends the build.
    pub async fn build(
        &self,
        request: &BuildRequest,
        on_line: Option<OnLine>,
    ) -> Result<Built, BuildError> {
        let service = || request.service.clone();
        check(request)?;
        let lost = |source| BuildError::Command {
            service: service(),
            source,
        };
        let scratch = tempfile::tempdir().map_err(|source| {
            lost(CommandError::Log {
                path: std::env::temp_dir(),
                source,
            })
        })?;
        let id_file = scratch.path().join("image-id");
        let log = self.log_of(&request.service);
        let mut command = self.command(request, &id_file)?.log(&log);
        if let Some(tell) = on_line {
            command = command.on_line(tell);
        }
        // The semaphore is never closed: without a permit the build simply runs.
        let turn = self.turns.acquire().await.ok();
        let done = command
            .run()
            .await
            .map_err(|error| classify(service(), error))?;
        drop(turn);

        let image_id = std::fs::read_to_string(&id_file)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| BuildError::NoImageId { service: service() })?;
        if let Some(before) = &request.content {
            let after =
                ContentTag::of(&request.source)
                    .await
                    .map_err(|source| BuildError::Content {
                        service: service(),
                        source,
                    })?;
            if after.tag() != before.tag() {
                return Err(BuildError::ContentChanged {
                    service: service(),
                    tag: before.tag().to_string(),
                });
            }
        }
        Ok(Built {
            service: service(),
            image_id,
            log,
            elapsed: done.elapsed,
        })
    }

    fn command(&self, request: &BuildRequest, id_file: &Path) -> Result<Command, BuildError> {
        let mut command = match &self.kind {
            BuilderKind::Buildx { .. } => {
                self.docker
                    .command(["buildx", "build", "--load", "--progress=plain"])
            }
            BuilderKind::Classic => {
                let buildkit_only = [
                    ("--secret", !request.secrets.is_empty()),
                    ("--ssh", !request.ssh.is_empty()),
                    ("--cache-to", !request.cache_to.is_empty()),
                    ("--platform", request.source.platforms.len() > 1),
                ];
                if let Some((option, _)) = buildkit_only.iter().find(|(_, wanted)| *wanted) {
                    return Err(BuildError::NeedsBuildKit {
                        service: request.service.clone(),
                        option,
                    });
                }
                self.docker.command(["build"]).env("DOCKER_BUILDKIT", "0")
            }
        };
        // A provenance attestation holds the time of the build: it would give unchanged content a
        // new digest. Whoever wants one asks for it by option or variable.
        if self
            .docker
            .surroundings()
            .get("BUILDX_NO_DEFAULT_ATTESTATIONS")
            .is_none()
        {
            command = command.env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1");
        }
        command = command.arg("--iidfile").arg(id_file);
        for tag in &request.tags {
            command = command.arg("--tag").arg(tag.to_string());
        }
        command = command.arg("--file").arg(request.source.dockerfile());
        if let Some(target) = &request.source.target {
            command = command.arg("--target").arg(target);
        }
        for (name, value) in &request.source.build_args {
            command = command
                .arg("--build-arg")
                .arg_shown_as(format!("{name}={value}"), format!("{name}=…"));
        }
        // The classic builder takes the option for another platform only: on the engine's own it
        // is understood, and older engines ask for experimental mode when it is given.
        let platforms: Vec<String> = request
            .source
            .platforms
            .iter()
            .map(ToString::to_string)
            .collect();
        if !platforms.is_empty() {
            command = command.arg("--platform").arg(platforms.join(","));
        }
        for (name, value) in &request.labels {
            command = command.arg("--label").arg(format!("{name}={value}"));
        }
        let lists = [
            ("--secret", &request.secrets),
            ("--ssh", &request.ssh),
            ("--cache-from", &request.cache_from),
            ("--cache-to", &request.cache_to),
        ];
        for (option, values) in lists {
            for value in values {
                command = command.arg(option).arg(value);
            }
        }
        if request.pull {
            command = command.arg("--pull");
        }
        Ok(command
            .args(&request.extra)
            .arg(request.source.context.as_os_str()))
    }
}

fn check(request: &BuildRequest) -> Result<(), BuildError> {
    let context = &request.source.context;
    if !context.is_dir() {
        return Err(BuildError::NoContext {
            service: request.service.clone(),
            path: context.clone(),
        });
    }
    let dockerfile = request.source.dockerfile();
    if !dockerfile.is_file() {
        return Err(BuildError::NoDockerfile {
            service: request.service.clone(),
            path: dockerfile,
        });
    }
    Ok(())
}

fn classify(service: String, error: CommandError) -> BuildError {
    let CommandError::Failed(failure) = error else {
        return BuildError::Command {
            service,
            source: error,
        };
    };
    let says = |text: &str| failure.tail.iter().any(|line| line.contains(text));
    if says("Cannot connect to the Docker daemon") || says("Is the docker daemon running") {
        BuildError::EngineGone { service, failure }
    } else if says("no space left on device") {
        BuildError::DiskFull { service, failure }
    } else {
        BuildError::Failed { service, failure }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::fake::fake_docker;

    const SUCCEEDS: &str = r#"case "$*" in
"buildx version") echo 'github.com/docker/buildx v0.29.1 abc';;
*) echo "$@" > "$(dirname "$0")/args"
   echo "$DOCKER_BUILDKIT $BUILDX_NO_DEFAULT_ATTESTATIONS" > "$(dirname "$0")/env"
   while [ $# -gt 0 ]; do
     [ "$1" = --iidfile ] && printf sha256:%064d 7 > "$2"
     shift
   done
   echo '#1 building' >&2;;
esac"#;

    fn source(context: &Path) -> Source {
        std::fs::write(context.join("Dockerfile"), "FROM scratch\n").unwrap();
        Source {
            context: context.to_path_buf(),
            dockerfile: None,
            target: None,
            build_args: BTreeMap::new(),
            platforms: vec!["linux/amd64".parse().unwrap()],
        }
    }

    fn request(context: &Path) -> BuildRequest {
        BuildRequest::new("web", source(context))
    }

    async fn failing(script: &str) -> (BuildError, tempfile::TempDir) {
        let script = format!("[ \"$1 $2\" = 'buildx version' ] && exit 0\n{script}");
        let (_fake, docker) = fake_docker(&script, &[]);
        let folder = tempfile::tempdir().unwrap();
        let builder = Builder::new(docker, &folder.path().join("logs"), 1)
            .await
            .unwrap();
        let error = builder
            .build(&request(folder.path()), None)
            .await
            .unwrap_err();
        (error, folder)
    }

    #[tokio::test]
    async fn buildx_is_told_everything_in_a_stable_order() {
        let (fake, docker) = fake_docker(SUCCEEDS, &[]);
        let context = tempfile::tempdir().unwrap();
        let logs = tempfile::tempdir().unwrap();
        let builder = Builder::new(docker, logs.path(), 2).await.unwrap();
        let mut request = request(context.path());
        request.source.target = Some("run".into());
        request.source.build_args = [("B", "2"), ("A", "1")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        request.tags = vec!["registry.example/web:abc".parse().unwrap()];
        request.labels = [(
            "org.opencontainers.image.revision".to_owned(),
            "abc".to_owned(),
        )]
        .into();
        request.secrets = vec!["id=npm,env=NPM_TOKEN".into()];
        let built = builder.build(&request, None).await.unwrap();
        assert_eq!(built.image_id.as_str(), format!("sha256:{:064}", 7));
        assert_eq!(
            std::fs::read_to_string(&built.log).unwrap(),
            "#1 building\n"
        );
        let args = std::fs::read_to_string(fake.path().join("args")).unwrap();
        let dir = context.path().display();
        let (before, after) = args.trim().split_once("--tag").unwrap();
        assert!(
            before.starts_with("buildx build --load --progress=plain --iidfile "),
            "{before}"
        );
        assert_eq!(
            after,
            format!(
                " registry.example/web:abc --file {dir}/Dockerfile --target run --build-arg A=1 --build-arg B=2 --platform linux/amd64 --label org.opencontainers.image.revision=abc --secret id=npm,env=NPM_TOKEN {dir}"
            )
        );
        assert_eq!(
            std::fs::read_to_string(fake.path().join("env")).unwrap(),
            " 1\n"
        );
    }

    #[tokio::test]
    async fn without_buildx_the_classic_builder_is_used_and_its_limits_are_named() {
        let without = SUCCEEDS.replace("echo 'github.com/docker/buildx v0.29.1 abc'", "exit 1");
        let (fake, docker) = fake_docker(&without, &[]);
        let context = tempfile::tempdir().unwrap();
        let builder = Builder::new(docker, context.path(), 1).await.unwrap();
        assert_eq!(builder.kind(), &BuilderKind::Classic);
        builder.build(&request(context.path()), None).await.unwrap();
        let args = std::fs::read_to_string(fake.path().join("args")).unwrap();
        assert!(args.starts_with("build --iidfile "), "{args}");
        assert_eq!(
            std::fs::read_to_string(fake.path().join("env")).unwrap(),
            "0 1\n"
        );

        let mut request = request(context.path());
        request.ssh = vec!["default".into()];
        let error = builder.build(&request, None).await.unwrap_err();
        assert!(error.to_string().contains("`--ssh`"), "{error}");
        assert!(error.hint().unwrap().contains("buildx"));
    }

    #[tokio::test]
    async fn a_failing_build_names_its_cause_and_keeps_its_log() {
        let (error, _folder) = failing(
            r##"for i in $(seq 1 40); do echo "#5 step $i" >&2; done
echo 'ERROR: failed to build: process "/bin/sh -c false" did not complete successfully: exit code: 1' >&2
echo 'View build details: docker-desktop://x' >&2
exit 1"##,
        )
        .await;
        assert_eq!(
            error.to_string(),
            "building `web` failed: failed to build: process \"/bin/sh -c false\" did not complete successfully: exit code: 1"
        );
        let failure = error.failure().unwrap();
        let log = std::fs::read_to_string(failure.log.as_ref().unwrap()).unwrap();
        assert!(log.contains("#5 step 1\n"));
        assert!(error.hint().unwrap().contains("web.log"));
    }

    #[tokio::test]
    async fn causes_that_are_not_the_dockerfile_s_are_told_apart() {
        let (error, _folder) = failing(
            "echo 'ERROR: Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?' >&2; exit 1",
        )
        .await;
        assert!(matches!(error, BuildError::EngineGone { .. }), "{error:?}");
        let (error, _folder) =
            failing("echo 'ERROR: write /var/lib/docker/x: no space left on device' >&2; exit 1")
                .await;
        assert!(matches!(error, BuildError::DiskFull { .. }), "{error:?}");
        let (error, _folder) = failing("exit 0").await;
        assert!(matches!(error, BuildError::NoImageId { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn a_missing_context_or_dockerfile_is_told_before_docker_runs() {
        let (_fake, docker) = fake_docker("[ $1 = buildx ] && exit 1", &[]);
        let folder = tempfile::tempdir().unwrap();
        let builder = Builder::new(docker, folder.path(), 1).await.unwrap();
        let mut request = request(folder.path());
        std::fs::remove_file(folder.path().join("Dockerfile")).unwrap();
        let error = builder.build(&request, None).await.unwrap_err();
        assert!(
            matches!(error, BuildError::NoDockerfile { .. }),
            "{error:?}"
        );
        request.source.context = folder.path().join("gone");
        let error = builder.build(&request, None).await.unwrap_err();
        assert!(matches!(error, BuildError::NoContext { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn files_that_change_during_the_build_fail_it() {
        let context = tempfile::tempdir().unwrap();
        let edits = format!(
            "[ \"$1 $2\" = 'buildx version' ] || echo edited > {}/new\n{SUCCEEDS}",
            context.path().display()
        );
        let (_fake, docker) = fake_docker(&edits, &[]);
        let logs = tempfile::tempdir().unwrap();
        let builder = Builder::new(docker, logs.path(), 1).await.unwrap();
        let mut request = request(context.path());
        request.content = Some(ContentTag::of(&request.source).await.unwrap());
        let error = builder.build(&request, None).await.unwrap_err();
        assert!(
            matches!(error, BuildError::ContentChanged { .. }),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn no_more_builds_run_at_a_time_than_allowed() {
        // Each build fails when it sees another one at work.
        let script = r#"[ "$1 $2" = 'buildx version' ] && exit 0
mkdir "$(dirname "$0")/busy" || exit 9
while [ $# -gt 0 ]; do [ "$1" = --iidfile ] && printf sha256:%064d 7 > "$2"; shift; done
sleep 0.05
rmdir "$(dirname "$0")/busy""#;
        let (_fake, docker) = fake_docker(script, &[]);
        let context = tempfile::tempdir().unwrap();
        let logs = tempfile::tempdir().unwrap();
        let builder = Builder::new(docker, logs.path(), 1).await.unwrap();
        let requests = ["a", "b", "c"].map(|name| BuildRequest::new(name, source(context.path())));
        let builds = requests.iter().map(|request| builder.build(request, None));
        for result in futures::future::join_all(builds).await {
            result.unwrap();
        }
    }
}
