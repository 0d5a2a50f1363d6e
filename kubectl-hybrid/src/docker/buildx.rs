//! Docker's build plugin, and how to start it without the client in front of it.
//!
//! The client starts a plugin twice, the first time to be told who it is. Called by its own name,
//! buildx reads the same configuration, contexts and builders, and three builds at once start in
//! half the time ([standalone mode]).
//!
//! [standalone mode]: https://github.com/docker/buildx#manual-download

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::surroundings::Surroundings;

const PLUGIN: &str = "docker-buildx";
/// Where packages put plugins, beside the user's own folder (docker/cli, `cli-plugins/manager`).
#[cfg(unix)]
const OF_THE_SYSTEM: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

/// The plugin that this client would start. `None` when it has none, and when the client is
/// something else than Docker's own: a wrapper may have a reason to stand in front.
pub(super) fn find(client: &Path, surroundings: &Surroundings) -> Option<PathBuf> {
    if !is_docker_itself(client) {
        return None;
    }
    folders(surroundings)
        .into_iter()
        .filter(|folder| folder.is_absolute())
        .find_map(|folder| surroundings.find_program(folder.join(PLUGIN).as_os_str()))
}

/// In the client's order: those of the configuration, the user's, those of the system.
fn folders(surroundings: &Surroundings) -> Vec<PathBuf> {
    let user = surroundings.docker_config();
    let config: Option<Value> = user
        .as_deref()
        .and_then(|folder| std::fs::read_to_string(folder.join("config.json")).ok())
        .and_then(|text| serde_json::from_str(&text).ok());
    let extra = config
        .as_ref()
        .and_then(|config| config.get("cliPluginsExtraDirs"));
    let mut folders: Vec<PathBuf> = (extra.and_then(Value::as_array).into_iter().flatten())
        .filter_map(Value::as_str)
        .map(PathBuf::from)
        .collect();
    folders.extend(user.map(|folder| folder.join("cli-plugins")));
    folders.extend(of_the_system(surroundings));
    folders
}

#[cfg(unix)]
fn of_the_system(_surroundings: &Surroundings) -> Vec<PathBuf> {
    OF_THE_SYSTEM.iter().map(PathBuf::from).collect()
}

#[cfg(not(unix))]
fn of_the_system(surroundings: &Surroundings) -> Vec<PathBuf> {
    ["ProgramData", "ProgramFiles"]
        .iter()
        .filter_map(|name| surroundings.get(name))
        .map(|folder| Path::new(folder).join("Docker").join("cli-plugins"))
        .collect()
}

/// Docker's client is a program called `docker`, wherever links lead. Podman, version managers and
/// scripts are not.
fn is_docker_itself(client: &Path) -> bool {
    let Ok(path) = client.canonicalize() else {
        return false;
    };
    path.file_stem() == Some(OsStr::new("docker")) && is_binary(&path)
}

fn is_binary(path: &Path) -> bool {
    let mut magic = [0; 2];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && &magic != b"#!"
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn program(path: &Path, content: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_plugin_is_the_one_that_the_client_would_start() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        program(&at("real/docker"), "\x7fELF");
        std::fs::create_dir(at("bin")).unwrap();
        symlink(at("real/docker"), at("bin/docker")).unwrap();
        let surroundings: Surroundings = [("DOCKER_CONFIG", at("config"))].into_iter().collect();
        let found = || find(&at("bin/docker"), &surroundings);

        program(&at("config/cli-plugins/docker-buildx"), "\x7fELF");
        assert_eq!(found(), Some(at("config/cli-plugins/docker-buildx")));

        program(&at("extra/docker-buildx"), "\x7fELF");
        let config = serde_json::json!({ "cliPluginsExtraDirs": [at("extra")] });
        std::fs::write(at("config/config.json"), config.to_string()).unwrap();
        assert_eq!(found(), Some(at("extra/docker-buildx")));

        // What cannot be run is no plugin.
        let unreadable = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(at("extra/docker-buildx"), unreadable).unwrap();
        assert_eq!(found(), Some(at("config/cli-plugins/docker-buildx")));
    }

    #[test]
    fn what_stands_in_for_docker_is_not_passed_by() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        program(&at("config/cli-plugins/docker-buildx"), "\x7fELF");
        let surroundings: Surroundings = [("DOCKER_CONFIG", at("config"))].into_iter().collect();
        program(&at("script/docker"), "#!/bin/sh\nexec podman \"$@\"\n");
        program(&at("real/podman"), "\x7fELF");
        std::fs::create_dir(at("link")).unwrap();
        symlink(at("real/podman"), at("link/docker")).unwrap();
        for client in ["script/docker", "link/docker", "nowhere/docker"] {
            assert_eq!(find(&at(client), &surroundings), None, "{client}");
        }
    }
}
