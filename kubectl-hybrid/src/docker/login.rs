//! A private Docker configuration for the time of one command, in which our registries are
//! answered by our helper.
//!
//! The user's own configuration is never changed and never holds a token. Their contexts, plugins,
//! builders and other credentials apply as ever.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};
use tempfile::TempDir;

use super::command::{Command, CommandError};
use super::helper;
use super::overlay::{self, ShapeError};
use super::private_folder::{self, PROGRAMS};
use super::surroundings::Surroundings;

/// How long the helper may take to forget a token.
const FORGET: Duration = Duration::from_secs(10);

/// Why Docker cannot be logged in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The user's configuration cannot be read.
    #[error("cannot read the Docker configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The user's configuration is not JSON.
    #[error("the Docker configuration {} is not valid JSON: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The user's configuration is JSON of the wrong shape.
    #[error("the Docker configuration {} cannot be used: {source}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Where.
        source: ShapeError,
    },
    /// The private folder cannot be made.
    #[error("cannot make a private Docker configuration in {}: {source}", folder.display())]
    Folder {
        /// The folder that it was to be made in.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `PATH` cannot hold the helper's folder.
    #[error("cannot put {} on PATH: its name contains the separator of PATH", folder.display())]
    Path {
        /// The helper's folder.
        folder: PathBuf,
    },
}

impl LoginError {
    /// What to do next, for people.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Json { path, .. } | Self::Shape { path, .. } => Some(format!(
                "correct {}, or set DOCKER_CONFIG to another folder",
                path.display()
            )),
            Self::Folder { .. } => {
                Some("check that the folder can be written and is not full".to_owned())
            }
            Self::Read { .. } | Self::Path { .. } => None,
        }
    }
}

/// How Docker is logged in to our registries. Dropping it removes what it made.
#[derive(Debug)]
pub struct Login {
    registries: Vec<String>,
    env: Vec<(OsString, Option<OsString>)>,
    helper: PathBuf,
    is_overlay: bool,
    // The lock is released before the folder goes: fields drop in this order.
    _lock: Option<File>,
    _folder: Option<TempDir>,
}

impl Login {
    /// Prepares a login for these registry hosts.
    ///
    /// `own` is this program's executable: it, or the helper beside it, answers Docker. When the
    /// user's configuration routes each host to our helper already it is used as it is.
    pub fn prepare(
        surroundings: &Surroundings,
        own: &Path,
        registries: &[String],
    ) -> Result<Self, LoginError> {
        let user_folder = surroundings.docker_config();
        let mut config = read_config(user_folder.as_deref())?;
        let is_overlay = !registries
            .iter()
            .all(|host| overlay::is_routed(&config, host));
        let on_path = surroundings.find_program(helper::program_name().as_ref());
        if let (false, Some(helper)) = (is_overlay, on_path) {
            return Ok(Self {
                registries: registries.to_vec(),
                env: auth_config(surroundings, registries).into_iter().collect(),
                helper,
                is_overlay,
                _lock: None,
                _folder: None,
            });
        }

        let (folder, lock) = private_folder::make(surroundings)?;
        let failed = |source| LoginError::Folder {
            folder: folder.path().to_path_buf(),
            source,
        };
        let bin = folder.path().join(PROGRAMS);
        std::fs::create_dir(&bin).map_err(failed)?;
        let helper = helper::install_into(&bin, &helper::answering_program(own)).map_err(failed)?;
        let path = surroundings
            .path_with(&bin)
            .ok_or(LoginError::Path { folder: bin })?;
        let mut env = vec![("PATH".into(), Some(path))];
        env.extend(auth_config(surroundings, registries));

        if is_overlay {
            overlay::route(&mut config, registries).map_err(|source| LoginError::Shape {
                path: config_path(user_folder.as_deref()),
                source,
            })?;
            if let Some(user) = user_folder
                .as_deref()
                .and_then(|f| std::path::absolute(f).ok())
            {
                share(&user, folder.path(), &mut config).map_err(failed)?;
                if surroundings.get("BUILDX_CONFIG").is_none() {
                    env.push(("BUILDX_CONFIG".into(), Some(user.join("buildx").into())));
                }
            }
            private_folder::write(&folder.path().join("config.json"), &config).map_err(failed)?;
            env.push((
                "DOCKER_CONFIG".into(),
                Some(folder.path().as_os_str().to_owned()),
            ));
        }
        Ok(Self {
            registries: registries.to_vec(),
            env,
            helper,
            is_overlay,
            _lock: Some(lock),
            _folder: Some(folder),
        })
    }

    /// Adds a variable for Docker and the helper, such as the AWS profile of this run.
    #[must_use]
    pub fn with_env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), Some(value.into())));
        self
    }

    /// What to change in the environment of Docker; `None` removes a variable.
    pub fn env_changes(&self) -> &[(OsString, Option<OsString>)] {
        &self.env
    }

    /// Whether our helper answers for this host.
    pub fn answers_for(&self, host: &str) -> bool {
        self.registries.iter().any(|registry| registry == host)
    }

    /// Whether a private configuration stands in for the user's.
    pub fn is_overlay(&self) -> bool {
        self.is_overlay
    }

    /// Tells the helper to forget its token for this host: a registry has refused it, whatever its
    /// expiry says. The next question mints a new one.
    pub async fn forget_token(&self, host: &str) -> Result<(), CommandError> {
        Command::new(&self.helper)
            .arg("erase")
            .env_changes(&self.env)
            .stdin(host)
            .timeout(FORGET)
            .run()
            .await
            .map(|_| ())
    }
}

fn config_path(folder: Option<&Path>) -> PathBuf {
    folder.unwrap_or(Path::new("")).join("config.json")
}

/// The user's configuration; without a file, or with an empty one, an empty object.
fn read_config(folder: Option<&Path>) -> Result<Value, LoginError> {
    let empty = || Value::Object(Map::new());
    let path = config_path(folder);
    if folder.is_none() {
        return Ok(empty());
    }
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(empty()),
        Err(source) => return Err(LoginError::Read { path, source }),
    };
    if text.trim().is_empty() {
        return Ok(empty());
    }
    serde_json::from_str(&text).map_err(|source| LoginError::Json { path, source })
}

/// `DOCKER_AUTH_CONFIG` comes before any helper: our hosts are taken out of it.
fn auth_config(
    surroundings: &Surroundings,
    registries: &[String],
) -> Option<(OsString, Option<OsString>)> {
    const NAME: &str = "DOCKER_AUTH_CONFIG";
    let text = surroundings.get(NAME)?.to_str()?;
    let mut config: Value = serde_json::from_str(text).ok()?;
    let top = config.as_object_mut()?;
    overlay::forget(top, registries).ok()?;
    Some((NAME.into(), Some(config.to_string().into())))
}

/// Lets what lies beside the user's configuration apply: contexts, plugins, trust.
#[cfg(unix)]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the form for Windows fails when it cannot copy"
)]
fn share(user: &Path, private: &Path, _config: &mut Value) -> io::Result<()> {
    let Ok(entries) = std::fs::read_dir(user) else {
        // No folder, nothing to share.
        return Ok(());
    };
    for entry in entries.flatten() {
        if entry.file_name() != "config.json" {
            // A name that is taken is one of ours.
            let _ = std::os::unix::fs::symlink(entry.path(), private.join(entry.file_name()));
        }
    }
    Ok(())
}

/// Symbolic links need a privilege on Windows: the contexts, a few small files, are copied, and
/// the plugins are found by a setting.
#[cfg(not(unix))]
fn share(user: &Path, private: &Path, config: &mut Value) -> io::Result<()> {
    let contexts = user.join("contexts");
    if contexts.is_dir() {
        copy_folder(&contexts, &private.join("contexts"))?;
    }
    let plugins = user.join("cli-plugins");
    if let (true, Some(top)) = (plugins.is_dir(), config.as_object_mut()) {
        let folders = top
            .entry("cliPluginsExtraDirs")
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Some(folders) = folders.as_array_mut() {
            folders.push(Value::from(plugins.to_string_lossy().into_owned()));
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &place)?;
        } else {
            std::fs::copy(entry.path(), place)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
