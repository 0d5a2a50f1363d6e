//! Why an image could not be built, read from what the builder printed.

use std::path::PathBuf;

use ecr_hybrid::host::Registry;

use super::command::{CommandError, Failure};
use super::content::ContentError;

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

/// What a builder says of a registry that refuses the token.
const REFUSED: [&str; 4] = [
    "403 Forbidden",
    "401 Unauthorized",
    "authorization token has expired",
    "Authorization Token is invalid",
];

/// What docker and buildx say when the engine is not there, or goes away during a build.
const ENGINE_GONE: [&str; 4] = [
    "Cannot connect to the Docker daemon",
    "Is the docker daemon running",
    // Of gRPC, with which buildx speaks to the engine; what is before it depends on the call.
    "error reading from server",
    "closing transport",
];

impl BuildError {
    /// Reads the failure of a build.
    pub(super) fn from_command(service: String, error: CommandError) -> Self {
        let CommandError::Failed(failure) = error else {
            return Self::Command {
                service,
                source: error,
            };
        };
        let says = |text: &str| failure.tail.iter().any(|line| line.contains(text));
        if ENGINE_GONE.iter().any(|text| says(text)) {
            Self::EngineGone { service, failure }
        } else if says("no space left on device") {
            Self::DiskFull { service, failure }
        } else {
            Self::Failed { service, failure }
        }
    }

    /// The last lines of the build and its log, when it ran.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed { failure, .. }
            | Self::EngineGone { failure, .. }
            | Self::DiskFull { failure, .. } => Some(failure),
            _ => None,
        }
    }

    /// The host of ECR that did not give what the build begins with: its token is dead, or the
    /// principal may not pull there. The builder asks with HEAD, so that the answer has no words.
    pub fn refused_by(&self) -> Option<String> {
        let Self::Failed { failure, .. } = self else {
            return None;
        };
        let told = summary(failure);
        if !REFUSED.iter().any(|words| told.contains(words)) {
            return None;
        }
        let mut names = told.split([' ', '/', '"', ',']);
        let registry = names.find_map(Registry::parse)?;
        Some(registry.host().to_owned())
    }

    /// What to do next, for people.
    pub fn hint(&self) -> Option<String> {
        if let Some(host) = self.refused_by() {
            return Some(format!(
                "the AWS identity in use needs the ECR pull actions at {host}; `aws sts get-caller-identity` shows who it is"
            ));
        }
        match self {
            Self::NoContext { .. } | Self::NoDockerfile { .. } => {
                Some("correct `context` or `dockerfile` of the service in hybrid.toml".to_owned())
            }
            Self::Failed { failure, .. } if needs_another_builder(failure) => Some(
                "use a builder that can: `docker buildx create --driver docker-container --use`"
                    .to_owned(),
            ),
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

/// The builder within the engine writes no caches but those in images, and builds for one platform.
fn needs_another_builder(failure: &Failure) -> bool {
    failure
        .tail
        .iter()
        .any(|line| line.contains("not supported for the docker driver"))
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

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;

    fn refused_by(line: &str) -> Option<String> {
        let failure = Failure {
            command: "docker buildx build".to_owned(),
            status: ExitStatus::from_raw(256),
            stdout: String::new(),
            tail: vec![
                "#5 0.1 403 Forbidden of https://210987654321.dkr.ecr.eu-central-1.amazonaws.com"
                    .to_owned(),
                line.to_owned(),
            ],
            log: None,
        };
        BuildError::from_command("web".to_owned(), CommandError::Failed(Box::new(failure)))
            .refused_by()
    }

    #[test]
    fn the_registry_that_refuses_a_base_image_is_read_from_the_last_word_of_the_builder() {
        let host = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
        for refused in [
            format!(
                "ERROR: failed to build: failed to solve: {host}/base:1: failed to resolve source metadata for {host}/base:1: unexpected status from HEAD request to https://{host}/v2/base/manifests/1: 403 Forbidden"
            ),
            format!(
                "ERROR: failed to build: failed to solve: rpc error: code = Unknown desc = failed to solve with frontend dockerfile.v0: failed to create LLB definition: pulling from host {host} failed with status code [manifests 1]: 403 Forbidden"
            ),
            format!(
                "Error response from daemon: pull access denied for {host}/base, repository does not exist or may require 'docker login': denied: Your authorization token has expired. Reauthenticate and try again."
            ),
        ] {
            assert_eq!(refused_by(&refused).as_deref(), Some(host), "{refused}");
        }
        for other in [
            "ERROR: failed to solve: r.example/base:1: unexpected status from HEAD request to https://r.example/v2/base/manifests/1: 403 Forbidden".to_owned(),
            "ERROR: failed to solve: process \"/bin/sh -c curl -f x\" did not complete successfully: exit code: 22".to_owned(),
            format!("ERROR: failed to solve: {host}/base:1: not found"),
        ] {
            assert_eq!(refused_by(&other), None, "{other}");
        }
    }
}
