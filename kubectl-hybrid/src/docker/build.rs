//! Builds images with the user's builder, a few at a time, each with its own log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::build_error::BuildError;
use super::buildx;
use super::command::{Command, CommandError, OnLine};
use super::content::ContentTag;
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
    /// Where the builder runs: what is relative in secrets and caches is relative to this folder.
    pub folder: Option<PathBuf>,
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
            folder: None,
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
    /// The registry that refused the token that was kept, so that a new one was minted. Whoever else
    /// holds that one is refused as well.
    pub refused_by: Option<String>,
}

/// Which builder Docker has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuilderKind {
    /// `docker buildx build`, with the builder that the user has chosen.
    Buildx {
        /// Where the plugin is, when it can be started by itself.
        plugin: Option<PathBuf>,
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
        } else if let Some(plugin) = buildx::find(docker.program(), docker.surroundings()) {
            let plugin = Some(plugin);
            BuilderKind::Buildx { plugin }
        } else {
            match docker.command(["buildx", "version"]).run().await {
                Ok(_) => BuilderKind::Buildx { plugin: None },
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
    ///
    /// A token that a registry of ours refuses for a base image, whatever the helper believed, is
    /// forgotten and the build begun once more.
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
        let mut refused_by = None;
        let done = loop {
            let error = match command.clone().run().await {
                Ok(done) => break done,
                Err(error) => BuildError::from_command(service(), error),
            };
            if let (None, Some(host), Some(login)) =
                (&refused_by, error.refused_by(), self.docker.login())
                && login.answers_for(&host)
                && login.forget_token(&host).await.is_ok()
            {
                refused_by = Some(host);
                continue;
            }
            return Err(error);
        };
        drop(turn);

        let image_id = std::fs::read_to_string(&id_file)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| BuildError::NoImageId { service: service() })?;
        if let Some(before) = &request.content {
            let still = before.still_names(&request.source).await;
            let still = still.map_err(|source| BuildError::Content {
                service: service(),
                source,
            })?;
            if !still {
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
            refused_by,
        })
    }

    fn command(&self, request: &BuildRequest, id_file: &Path) -> Result<Command, BuildError> {
        let mut command = match &self.kind {
            BuilderKind::Buildx { plugin } => {
                let command = match plugin {
                    Some(plugin) => self.docker.beside(plugin),
                    None => self.docker.command(["buildx"]),
                };
                command.args(["build", "--load", "--progress=plain"])
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
        if let Some(folder) = &request.folder {
            command = command.cwd(folder);
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

#[cfg(unix)]
#[cfg(test)]
mod tests;
