//! The environment variables that decide which Docker is used and how.
//!
//! They are a value, so that a test states them and nothing reads the process' own by surprise.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Environment variables by name. On Windows names are found whatever their case.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    vars: BTreeMap<OsString, OsString>,
}

impl Surroundings {
    /// The variables of this process.
    pub fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    /// The variable's value; `None` when it is unset or empty.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        let found = self.vars.get(OsStr::new(name)).or_else(|| {
            if cfg!(windows) {
                self.vars
                    .iter()
                    .find(|(key, _)| key.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value)
            } else {
                None
            }
        })?;
        (!found.is_empty()).then_some(found.as_os_str())
    }

    /// The user's home folder, as Docker finds it.
    pub fn home(&self) -> Option<PathBuf> {
        let name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
        self.get(name).map(PathBuf::from)
    }

    /// The folder of the user's Docker configuration: `DOCKER_CONFIG`, else `.docker` at home.
    pub fn docker_config(&self) -> Option<PathBuf> {
        match self.get("DOCKER_CONFIG") {
            Some(folder) => Some(PathBuf::from(folder)),
            None => self.home().map(|home| home.join(".docker")),
        }
    }

    /// Finds a program: a path as it is, a bare name on `PATH`.
    pub fn find_program(&self, program: &OsStr) -> Option<PathBuf> {
        let path = Path::new(program);
        if path.components().count() > 1 || path.is_absolute() {
            return executable(path);
        }
        std::env::split_paths(self.get("PATH")?)
            // A relative folder on PATH depends on the working folder: Docker skips those as well.
            .filter(|folder| folder.is_absolute())
            .find_map(|folder| executable(&folder.join(path)))
    }

    /// `PATH` with one more folder in front.
    pub fn path_with(&self, folder: &Path) -> Option<OsString> {
        let old = self.get("PATH").unwrap_or_default();
        std::env::join_paths(
            std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(old)),
        )
        .ok()
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Surroundings {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(vars: I) -> Self {
        Self {
            vars: vars
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        }
    }
}

#[cfg(unix)]
fn executable(path: &Path) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;

    let metadata = std::fs::metadata(path).ok()?;
    let runs = metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
    runs.then(|| path.to_path_buf())
}

#[cfg(not(unix))]
fn executable(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path.to_path_buf());
    }
    let with_extension = path.with_added_extension("exe");
    with_extension.is_file().then_some(with_extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let surroundings: Surroundings = [("DOCKER_CONFIG", ""), ("HOME", "/home/ada")]
            .into_iter()
            .collect();
        assert_eq!(surroundings.get("DOCKER_CONFIG"), None);
        if cfg!(unix) {
            assert_eq!(
                surroundings.docker_config(),
                Some(PathBuf::from("/home/ada/.docker"))
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_program_is_found_on_path_only_when_it_can_run() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("docker");
        std::fs::write(&program, "#!/bin/sh\n").unwrap();
        let surroundings: Surroundings = [("PATH", folder.path())].into_iter().collect();
        assert_eq!(surroundings.find_program(OsStr::new("docker")), None);
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(
            surroundings.find_program(OsStr::new("docker")),
            Some(program.clone())
        );
        assert_eq!(
            surroundings.find_program(program.as_os_str()),
            Some(program)
        );
    }
}
