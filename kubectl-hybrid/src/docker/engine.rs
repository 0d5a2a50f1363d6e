//! Which Docker client runs, and which engine answers it.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::{Command, CommandError, Failure};
use super::login::Login;
use super::platform::Platform;
use super::surroundings::Surroundings;

/// The variable that names another Docker client, as a path or a name on `PATH`.
pub const DOCKER_VARIABLE: &str = "HYBRID_DOCKER";

/// How long an engine may take to say who it is. A virtual machine that wakes up needs seconds.
const ANSWER: Duration = Duration::from_secs(20);

/// Why there is no engine to work with.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no Docker client.
    #[error("found no Docker client: `{name}` is not a program on PATH")]
    NoClient {
        /// The name or path that was looked for.
        name: String,
    },
    /// The client answers, the engine does not.
    #[error("the Docker engine at {endpoint} ({chosen_by}) does not answer: {detail}")]
    Unreachable {
        /// The engine's address.
        endpoint: String,
        /// What chose this engine: a variable or a context.
        chosen_by: Choice,
        /// The client's own sentence.
        detail: String,
    },
    /// The engine's socket is there, and this user may not open it.
    #[error("this user may not open the Docker engine at {endpoint} ({chosen_by}): {detail}")]
    Forbidden {
        /// The engine's address.
        endpoint: String,
        /// What chose this engine.
        chosen_by: Choice,
        /// The client's own sentence.
        detail: String,
    },
    /// The chosen context does not exist.
    #[error("the Docker context that {chosen_by} chooses does not exist: {detail}")]
    NoContext {
        /// What chose the context.
        chosen_by: Choice,
        /// The client's own sentence.
        detail: String,
    },
    /// The client said something that is not understood.
    #[error("cannot read what `docker version` printed: {source}")]
    Unreadable {
        /// Why.
        source: serde_json::Error,
    },
    /// The client could not be run.
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl EngineError {
    /// What to do next, for people.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoClient { name } if name == "docker" => Some(format!(
                "install Docker, or set {DOCKER_VARIABLE} to the path of a Docker client"
            )),
            Self::NoClient { .. } => Some(format!("correct or unset {DOCKER_VARIABLE}")),
            Self::Unreachable {
                endpoint,
                chosen_by,
                ..
            } => Some(how_to_start(endpoint, chosen_by)),
            Self::Forbidden { .. } if cfg!(target_os = "linux") => Some(
                "add yourself to the group of the socket: `sudo usermod -aG docker $USER`, then log in again"
                    .to_owned(),
            ),
            Self::Forbidden { .. } => Some("check the permissions of the socket".to_owned()),
            Self::NoContext { chosen_by, .. } => Some(match chosen_by {
                Choice::Variable { name, .. } => {
                    format!("correct or unset {name}; `docker context ls` lists what there is")
                }
                Choice::Context { .. } => {
                    "`docker context ls` lists what there is, `docker context use NAME` chooses"
                        .to_owned()
                }
            }),
            Self::Unreadable { .. } | Self::Command(_) => None,
        }
    }
}

/// What chose the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// An environment variable: `DOCKER_HOST` or `DOCKER_CONTEXT`.
    Variable {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// The current context of the user's configuration.
    Context {
        /// Its name.
        name: String,
    },
}

impl std::fmt::Display for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Variable { name, value } => write!(f, "{name}={value}"),
            Self::Context { name } => write!(f, "context `{name}`"),
        }
    }
}

/// The Docker client, with the login that its commands run under.
#[derive(Debug, Clone)]
pub struct Docker {
    program: PathBuf,
    surroundings: Arc<Surroundings>,
    env: Vec<(OsString, Option<OsString>)>,
    login: Option<Arc<Login>>,
}

impl Docker {
    /// Finds the client: `HYBRID_DOCKER`, else `docker` on `PATH`.
    pub fn locate(surroundings: &Arc<Surroundings>) -> Result<Self, EngineError> {
        let name = surroundings
            .get(DOCKER_VARIABLE)
            .unwrap_or(OsStr::new("docker"));
        let program = surroundings
            .find_program(name)
            .ok_or_else(|| EngineError::NoClient {
                name: name.to_string_lossy().into_owned(),
            })?;
        Ok(Self {
            program,
            surroundings: Arc::clone(surroundings),
            env: Vec::new(),
            login: None,
        })
    }

    /// The same client, whose commands run under this login. The login lives as long as the last
    /// copy of the client that has it.
    #[must_use]
    pub fn with_login(mut self, login: Arc<Login>) -> Self {
        self.env = login.env_changes().to_vec();
        self.login = Some(login);
        self
    }

    /// The client's path.
    pub fn program(&self) -> &std::path::Path {
        &self.program
    }

    /// The login, when there is one.
    pub fn login(&self) -> Option<&Arc<Login>> {
        self.login.as_ref()
    }

    /// The variables that the client was located with.
    pub fn surroundings(&self) -> &Arc<Surroundings> {
        &self.surroundings
    }

    /// A command of this client.
    pub fn command<A: Into<OsString>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        Command::new(&self.program)
            .args(args)
            .env_changes(&self.env)
    }

    /// A command of another program, under the same configuration and login.
    pub(super) fn beside(&self, program: &std::path::Path) -> Command {
        Command::new(program).env_changes(&self.env)
    }

    /// Asks the client and the engine who they are.
    pub async fn engine(&self) -> Result<Engine, EngineError> {
        let asked = self
            .command(["version", "--format", "{{json .}}"])
            .timeout(ANSWER)
            .run()
            .await;
        match asked {
            Ok(done) => self.read_version(&done.stdout, String::new()).await,
            Err(CommandError::Failed(failure)) => {
                let detail = last_line(&failure);
                if detail.contains("context not found")
                    || detail.contains("unable to resolve docker endpoint")
                {
                    return Err(EngineError::NoContext {
                        chosen_by: self.choice(&Client::default()),
                        detail,
                    });
                }
                match self.read_version(&failure.stdout, detail).await {
                    Err(EngineError::Unreadable { .. }) => {
                        Err(CommandError::Failed(failure).into())
                    }
                    other => other,
                }
            }
            Err(CommandError::TimedOut { after, .. }) => {
                let chosen_by = self.choice(&Client::default());
                Err(EngineError::Unreachable {
                    endpoint: self.endpoint(&chosen_by).await,
                    chosen_by,
                    detail: format!("no answer within {} s", after.as_secs()),
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn read_version(&self, stdout: &str, detail: String) -> Result<Engine, EngineError> {
        let version: Version = serde_json::from_str(stdout.trim())
            .map_err(|source| EngineError::Unreadable { source })?;
        let chosen_by = self.choice(&version.client);
        let endpoint = self.endpoint(&chosen_by).await;
        match version.server {
            Some(server) => Ok(Engine {
                client_version: version.client.version,
                server_version: server.version,
                api_version: server.api_version,
                platform: Platform::new(&server.os, &server.arch, ""),
                chosen_by,
                endpoint,
            }),
            None if detail.contains("permission denied") => Err(EngineError::Forbidden {
                endpoint,
                chosen_by,
                detail,
            }),
            None => Err(EngineError::Unreachable {
                endpoint,
                chosen_by,
                detail,
            }),
        }
    }

    /// `DOCKER_HOST` comes before `DOCKER_CONTEXT`, and both before the configuration.
    fn choice(&self, client: &Client) -> Choice {
        for name in ["DOCKER_HOST", "DOCKER_CONTEXT"] {
            if let Some(value) = self.surroundings.get(name) {
                return Choice::Variable {
                    name,
                    value: value.to_string_lossy().into_owned(),
                };
            }
        }
        Choice::Context {
            name: client.context.clone().unwrap_or_else(|| "default".into()),
        }
    }

    async fn endpoint(&self, choice: &Choice) -> String {
        let context = match choice {
            Choice::Variable { name, value } if *name == "DOCKER_HOST" => return value.clone(),
            Choice::Variable { value, .. } => value,
            Choice::Context { name } => name,
        };
        let asked = self
            .command([
                "context",
                "inspect",
                "--format",
                "{{.Endpoints.docker.Host}}",
                context,
            ])
            .timeout(ANSWER)
            .run()
            .await;
        match asked {
            Ok(done) if !done.stdout.trim().is_empty() => done.stdout.trim().to_owned(),
            _ => "an unknown address".to_owned(),
        }
    }
}

/// An engine that answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Engine {
    /// The client's version.
    pub client_version: String,
    /// The engine's version.
    pub server_version: String,
    /// The engine's API version.
    pub api_version: Option<String>,
    /// What the engine runs and builds for by default.
    pub platform: Platform,
    /// What chose this engine.
    pub chosen_by: Choice,
    /// The engine's address.
    pub endpoint: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    client: Client,
    #[serde(default)]
    server: Option<Server>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Client {
    #[serde(default)]
    version: String,
    #[serde(default)]
    context: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Server {
    #[serde(default)]
    version: String,
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    os: String,
    #[serde(default)]
    arch: String,
}

fn last_line(failure: &Failure) -> String {
    failure
        .tail
        .iter()
        .rev()
        .find(|line| !line.starts_with('{'))
        .map(|line| line.trim().to_owned())
        .unwrap_or_default()
}

/// The product behind an address, told by the names that each gives its context and socket.
fn how_to_start(endpoint: &str, choice: &Choice) -> String {
    let context = match choice {
        Choice::Context { name } => name.as_str(),
        Choice::Variable { value, .. } => value.as_str(),
    };
    let is = |name: &str| context.contains(name) || endpoint.contains(name);
    if is("colima") {
        "start it: `colima start`"
    } else if is("orbstack") {
        "start it: `orb start`"
    } else if is("rancher-desktop") || endpoint.contains("/.rd/") {
        "start Rancher Desktop: `rdctl start`"
    } else if is("desktop") || endpoint.contains("/.docker/run/") {
        "start Docker Desktop and wait until it is running"
    } else if endpoint.starts_with("tcp://") || endpoint.starts_with("ssh://") {
        return format!("check that the machine behind {endpoint} is up and can be reached");
    } else if matches!(choice, Choice::Variable { .. }) {
        return format!("start the engine behind {endpoint}, or correct {choice}");
    } else if cfg!(target_os = "linux") {
        "start it: `sudo systemctl start docker`"
    } else {
        "start Docker Desktop, or choose a running engine with `docker context use NAME`"
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(name: &str) -> Choice {
        Choice::Context {
            name: name.to_owned(),
        }
    }

    #[test]
    fn the_hint_names_the_product_behind_the_context() {
        let cases = [
            (
                "desktop-linux",
                "unix:///Users/ada/.docker/run/docker.sock",
                "Docker Desktop",
            ),
            (
                "colima",
                "unix:///Users/ada/.colima/default/docker.sock",
                "colima start",
            ),
            (
                "orbstack",
                "unix:///Users/ada/.orbstack/run/docker.sock",
                "orb start",
            ),
            (
                "rancher-desktop",
                "unix:///Users/ada/.rd/docker.sock",
                "rdctl start",
            ),
            ("builder", "ssh://ada@builder", "ssh://ada@builder"),
        ];
        for (name, endpoint, expected) in cases {
            let hint = how_to_start(endpoint, &context(name));
            assert!(hint.contains(expected), "{hint}");
        }
        let variable = Choice::Variable {
            name: "DOCKER_HOST",
            value: "unix:///nowhere.sock".to_owned(),
        };
        let hint = how_to_start("unix:///nowhere.sock", &variable);
        assert!(hint.contains("DOCKER_HOST=unix:///nowhere.sock"), "{hint}");
    }

    #[test]
    fn a_missing_client_is_named_with_the_way_out() {
        let surroundings: Surroundings = [("PATH", "/nowhere")].into_iter().collect();
        let error = Docker::locate(&Arc::new(surroundings)).unwrap_err();
        assert!(error.to_string().contains("`docker`"), "{error}");
        assert!(error.hint().unwrap().contains("install Docker"));

        let surroundings: Surroundings =
            [(DOCKER_VARIABLE, "/nowhere/podman")].into_iter().collect();
        let error = Docker::locate(&Arc::new(surroundings)).unwrap_err();
        assert!(error.to_string().contains("/nowhere/podman"), "{error}");
        assert!(error.hint().unwrap().contains("unset HYBRID_DOCKER"));
    }
}

#[cfg(unix)]
#[cfg(test)]
mod fakes {
    use super::*;
    use crate::docker::fake::fake_docker;

    const UP: &str = r#"case "$1" in
version) echo '{"Client":{"Version":"28.2.2","Context":"colima"},"Server":{"Version":"27.1.0","ApiVersion":"1.46","Os":"linux","Arch":"arm64"}}';;
context) echo unix:///colima.sock;;
esac"#;

    #[tokio::test]
    async fn an_engine_that_is_up_says_who_it_is() {
        let (_folder, docker) = fake_docker(UP, &[]);
        let engine = docker.engine().await.unwrap();
        assert_eq!(engine.server_version, "27.1.0");
        assert_eq!(engine.platform.to_string(), "linux/arm64");
        assert_eq!(engine.endpoint, "unix:///colima.sock");
        assert_eq!(engine.chosen_by, context("colima"));
    }

    fn context(name: &str) -> Choice {
        Choice::Context {
            name: name.to_owned(),
        }
    }

    #[tokio::test]
    async fn an_engine_that_is_down_is_named_with_what_chose_it() {
        let down = r#"echo '{"Client":{"Version":"28.2.2","Context":"default"},"Server":null}'
echo 'Cannot connect to the Docker daemon at tcp://127.0.0.1:1. Is the docker daemon running?' >&2
exit 1"#;
        let (_folder, docker) = fake_docker(down, &[("DOCKER_HOST", "tcp://127.0.0.1:1")]);
        let error = docker.engine().await.unwrap_err();
        assert!(
            matches!(error, EngineError::Unreachable { .. }),
            "{error:?}"
        );
        assert!(
            error.to_string().contains("DOCKER_HOST=tcp://127.0.0.1:1"),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("tcp://127.0.0.1:1"));
    }

    #[tokio::test]
    async fn a_socket_that_may_not_be_opened_is_another_error() {
        let down = r#"echo '{"Client":{"Version":"28.2.2","Context":"default"},"Server":null}'
echo 'permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock' >&2
exit 1"#;
        let (_folder, docker) = fake_docker(down, &[]);
        let error = docker.engine().await.unwrap_err();
        assert!(matches!(error, EngineError::Forbidden { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn a_context_that_does_not_exist_is_named() {
        let missing = r#"echo 'Failed to initialize: unable to resolve docker endpoint: context "nope": context not found: open /x/meta.json: no such file or directory' >&2
exit 1"#;
        let (_folder, docker) = fake_docker(missing, &[("DOCKER_CONTEXT", "nope")]);
        let error = docker.engine().await.unwrap_err();
        assert!(matches!(error, EngineError::NoContext { .. }), "{error:?}");
        assert!(error.to_string().contains("DOCKER_CONTEXT=nope"), "{error}");
    }
}
