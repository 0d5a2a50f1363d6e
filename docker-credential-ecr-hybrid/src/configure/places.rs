//! Which files decide for Docker and for Podman.

use std::path::PathBuf;

use super::error::ConfigureError;
use crate::docker_config::DockerConfig;
use crate::environment::Environment;

/// A file, and what is to be done in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file; it need not exist.
    pub path: PathBuf,
    /// Whether registries are routed here. Otherwise only logins that would go before the helper
    /// are taken out.
    pub routes: bool,
}

/// The files to change: Docker's, and with `podman` Podman's as well.
///
/// Docker reads `DOCKER_CONFIG`, else `~/.docker`. Podman reads `REGISTRY_AUTH_FILE` alone when it is
/// set, else first the login file in `XDG_RUNTIME_DIR`, which a restart empties, and then the lasting
/// one in the configuration folder. Podman 4 takes Docker's file alone where `DOCKER_CONFIG` is set.
pub fn places(environment: &Environment, podman: bool) -> Result<Vec<Place>, ConfigureError> {
    let docker = DockerConfig::path(environment).ok_or(ConfigureError::NoPlace {
        whose: "Docker",
        variable: "DOCKER_CONFIG",
    })?;
    let routing = |path| Place { path, routes: true };
    let mut places = vec![routing(docker)];
    if !podman {
        return Ok(places);
    }
    if let Some(path) = environment.path("REGISTRY_AUTH_FILE") {
        places.push(routing(path));
        return Ok(places);
    }
    let lasting = environment
        .path("XDG_CONFIG_HOME")
        .or_else(|| Some(environment.home_of_docker()?.join(".config")))
        .ok_or(ConfigureError::NoPlace {
            whose: "Podman",
            variable: "REGISTRY_AUTH_FILE",
        })?;
    let of = |folder: PathBuf| folder.join("containers").join("auth.json");
    places.push(routing(of(lasting)));
    if let Some(runtime) = environment.path("XDG_RUNTIME_DIR") {
        places.push(Place {
            path: of(runtime),
            routes: false,
        });
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::HOME_OF_DOCKER;

    fn found(variables: &[(&str, &str)], podman: bool) -> Vec<(PathBuf, bool)> {
        let environment = Environment::given(variables.iter().copied());
        let places = places(&environment, podman).unwrap();
        places
            .into_iter()
            .map(|place| (place.path, place.routes))
            .collect()
    }

    #[test]
    fn the_files_follow_their_variables() {
        const HOME: &str = HOME_OF_DOCKER;
        let docker = (PathBuf::from("/h/.docker/config.json"), true);
        assert_eq!(found(&[(HOME, "/h")], false), std::slice::from_ref(&docker));
        let podman = found(&[(HOME, "/h"), ("XDG_RUNTIME_DIR", "/run/u")], true);
        let expected = [
            docker.clone(),
            ("/h/.config/containers/auth.json".into(), true),
            ("/run/u/containers/auth.json".into(), false),
        ];
        assert_eq!(podman, expected);
        let given = found(&[(HOME, "/h"), ("REGISTRY_AUTH_FILE", "/a.json")], true);
        assert_eq!(given, [docker, ("/a.json".into(), true)]);
        assert!(places(&Environment::given([]), false).is_err());
    }
}
