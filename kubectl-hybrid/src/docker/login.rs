//! A private Docker configuration for the time of one command, in which our registries are
//! answered by our helper.
//!
//! The user's own configuration is never changed and never holds a token. Their contexts, plugins,
//! builders and other credentials apply as ever.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};
use tempfile::TempDir;

use super::command::{Command, CommandError};
use super::helper;
use super::overlay::{self, ShapeError};
use super::surroundings::Surroundings;

/// What the private folders are called; the rest of the name is random.
const PREFIX: &str = "kubectl-hybrid-docker-";

/// The file that a live folder's owner holds locked.
const LOCK: &str = "owner.lock";

/// The folder that is put on `PATH`. It is made once the lock is held.
const PROGRAMS: &str = "hybrid-bin";

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
                env: auth_config(surroundings, registries).into_iter().collect(),
                helper,
                is_overlay,
                _lock: None,
                _folder: None,
            });
        }

        let (folder, lock) = private_folder(surroundings)?;
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
            write_private(&folder.path().join("config.json"), &config).map_err(failed)?;
            env.push((
                "DOCKER_CONFIG".into(),
                Some(folder.path().as_os_str().to_owned()),
            ));
        }
        Ok(Self {
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

/// Makes a folder that only this user can enter, and holds its lock.
///
/// The runtime folder is preferred: it is in memory and ends with the user's session.
fn private_folder(surroundings: &Surroundings) -> Result<(TempDir, File), LoginError> {
    let runtime = surroundings.get("XDG_RUNTIME_DIR").map(PathBuf::from);
    let temporary = std::env::temp_dir();
    let make = |parent: &Path| {
        sweep(parent);
        let folder = private_name().tempdir_in(parent)?;
        let lock = File::create(folder.path().join(LOCK))?;
        lock.lock()?;
        Ok((folder, lock))
    };
    let in_runtime = runtime.as_deref().and_then(|parent| make(parent).ok());
    match in_runtime {
        Some(private) => Ok(private),
        None => make(&temporary).map_err(|source| LoginError::Folder {
            folder: temporary,
            source,
        }),
    }
}

#[cfg(unix)]
fn private_name() -> tempfile::Builder<'static, 'static> {
    use std::os::unix::fs::PermissionsExt as _;

    let mut builder = tempfile::Builder::new();
    builder
        .prefix(PREFIX)
        .permissions(std::fs::Permissions::from_mode(0o700));
    builder
}

/// The temporary folder of Windows is the user's own already.
#[cfg(not(unix))]
fn private_name() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX);
    builder
}

/// Removes the folders of owners that were killed. A folder is judged only once it shows that its
/// owner has taken the lock.
fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let folder = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(PREFIX)
            || !folder.join(PROGRAMS).is_dir()
        {
            continue;
        }
        let is_dead = File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if is_dead {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
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

fn write_private(path: &Path, config: &Value) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(config.to_string().as_bytes())?;
    file.flush()
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::docker::fake::write_program;

    const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

    struct User {
        home: TempDir,
        own: PathBuf,
    }

    impl User {
        fn new(config: Option<&str>) -> Self {
            let home = tempfile::tempdir().unwrap();
            let docker = home.path().join(".docker");
            std::fs::create_dir_all(docker.join("contexts/meta")).unwrap();
            std::fs::create_dir_all(docker.join("cli-plugins")).unwrap();
            std::fs::write(docker.join("cli-plugins/docker-buildx"), "plugin").unwrap();
            if let Some(config) = config {
                std::fs::write(docker.join("config.json"), config).unwrap();
            }
            std::fs::create_dir(home.path().join("run")).unwrap();
            let own = home.path().join("kubectl-hybrid");
            write_program(
                &own,
                "echo \"$(basename \"$0\") $1 $(cat)\" > \"$HOME/asked\"",
            );
            Self { home, own }
        }

        fn surroundings(&self, more: &[(&str, &str)]) -> Surroundings {
            let home = self.home.path().to_string_lossy().into_owned();
            let run = format!("{home}/run");
            more.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .chain([
                    ("HOME".to_owned(), home),
                    ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
                    ("XDG_RUNTIME_DIR".to_owned(), run),
                ])
                .collect()
        }

        fn login(&self, more: &[(&str, &str)]) -> Result<Login, LoginError> {
            Login::prepare(&self.surroundings(more), &self.own, &[HOST.to_owned()])
        }

        fn private_folders(&self) -> usize {
            std::fs::read_dir(self.home.path().join("run"))
                .unwrap()
                .count()
        }
    }

    fn env(login: &Login, name: &str) -> Option<String> {
        let (_, value) = login.env_changes().iter().find(|(key, _)| key == name)?;
        Some(value.as_ref()?.to_string_lossy().into_owned())
    }

    #[test]
    fn the_user_s_own_file_stays_and_the_private_one_routes_our_host() {
        let text = r#"{"auths":{"ghcr.io":{"auth":"eA=="}},"currentContext":"colima"}"#;
        let user = User::new(Some(text));
        let login = user.login(&[]).unwrap();
        assert!(login.is_overlay());
        let folder = PathBuf::from(env(&login, "DOCKER_CONFIG").unwrap());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join("config.json")), 0o600);
        let private: Value =
            serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
        assert!(overlay::is_routed(&private, HOST));
        assert_eq!(private["currentContext"], "colima");
        assert!(folder.join("contexts/meta").is_dir());
        assert!(folder.join("cli-plugins/docker-buildx").is_file());
        assert_eq!(
            env(&login, "BUILDX_CONFIG").unwrap(),
            user.home.path().join(".docker/buildx").to_string_lossy()
        );
        let own = std::fs::read_to_string(user.home.path().join(".docker/config.json")).unwrap();
        assert_eq!(own, text);
    }

    #[test]
    fn nothing_is_left_when_the_login_ends_and_the_user_s_folders_survive() {
        let user = User::new(None);
        let login = user.login(&[]).unwrap();
        assert_eq!(user.private_folders(), 1);
        drop(login);
        assert_eq!(user.private_folders(), 0);
        assert!(
            user.home
                .path()
                .join(".docker/cli-plugins/docker-buildx")
                .is_file()
        );
    }

    #[test]
    fn what_a_killed_owner_left_is_swept_and_what_lives_is_not() {
        let user = User::new(None);
        let dead = user.home.path().join("run").join(format!("{PREFIX}dead"));
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join(LOCK), "").unwrap();
        std::fs::create_dir(dead.join(PROGRAMS)).unwrap();
        let first = user.login(&[]).unwrap();
        assert!(!dead.exists());
        let second = user.login(&[]).unwrap();
        for login in [&first, &second] {
            assert!(Path::new(&env(login, "DOCKER_CONFIG").unwrap()).is_dir());
        }
    }

    #[test]
    fn a_user_who_routes_our_host_already_keeps_their_own_configuration() {
        let user = User::new(Some(&format!(
            r#"{{"credHelpers":{{"{HOST}":"ecr-hybrid"}}}}"#
        )));
        let login = user.login(&[]).unwrap();
        assert!(!login.is_overlay());
        assert_eq!(env(&login, "DOCKER_CONFIG"), None);
        // The helper is not on PATH: it is offered all the same.
        assert!(env(&login, "PATH").unwrap().contains(PREFIX));

        let bin = user.home.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        write_program(&bin.join(helper::program_name()), "exit 0");
        let login = user.login(&[]).unwrap();
        drop(login);
        let surroundings = user.surroundings(&[]);
        let path = surroundings.path_with(&bin).unwrap();
        let surroundings: Surroundings = [
            ("HOME", user.home.path().as_os_str()),
            ("PATH", path.as_os_str()),
        ]
        .into_iter()
        .collect();
        let login = Login::prepare(&surroundings, &user.own, &[HOST.to_owned()]).unwrap();
        assert!(login.env_changes().is_empty(), "{login:?}");
    }

    #[tokio::test]
    async fn this_program_answers_under_the_helper_s_name() {
        let user = User::new(None);
        let home = user.home.path().to_string_lossy().into_owned();
        let login = user.login(&[]).unwrap().with_env("HOME", home);
        login.forget_token(HOST).await.unwrap();
        assert_eq!(
            std::fs::read_to_string(user.home.path().join("asked")).unwrap(),
            format!("docker-credential-ecr-hybrid erase {HOST}\n")
        );
    }

    #[test]
    fn credentials_in_the_environment_do_not_come_before_our_helper() {
        let user = User::new(None);
        let config =
            format!(r#"{{"auths":{{"{HOST}":{{"auth":"old"}},"ghcr.io":{{"auth":"eA=="}}}}}}"#);
        let login = user.login(&[("DOCKER_AUTH_CONFIG", &config)]).unwrap();
        assert_eq!(
            env(&login, "DOCKER_AUTH_CONFIG").unwrap(),
            r#"{"auths":{"ghcr.io":{"auth":"eA=="}}}"#
        );
    }

    #[test]
    fn a_broken_configuration_is_named_with_its_place() {
        let user = User::new(Some("{\n  \"auths\": {,}\n}"));
        let error = user.login(&[]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("config.json is not valid JSON"), "{text}");
        assert!(text.contains("line 2"), "{text}");
        assert!(error.hint().unwrap().contains("DOCKER_CONFIG"));
        assert_eq!(user.private_folders(), 0);

        let user = User::new(Some(r#"{"credHelpers": 1}"#));
        let error = user.login(&[]).unwrap_err();
        assert!(error.to_string().contains("`credHelpers`"), "{error}");
        assert_eq!(user.private_folders(), 0);
        assert!(User::new(Some("")).login(&[]).is_ok());
    }
}
