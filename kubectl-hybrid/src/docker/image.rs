//! Images that exist already: in the engine, or in a registry.

use serde::Deserialize;

use super::command::CommandError;
use super::engine::Docker;
use super::platform::Platform;
use crate::registry::{Digest, ImageReference};

/// An image in the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalImage {
    /// Its id: of its configuration or, with the containerd image store, of its manifest.
    pub id: Digest,
    /// What it runs on.
    pub platform: Platform,
}

/// What `docker image inspect` says of an image; without a variant it leaves the key out.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: Digest,
    os: String,
    architecture: String,
    #[serde(default)]
    variant: String,
}

/// The configuration of an image, as far as it is of use.
#[derive(Deserialize)]
struct Configuration {
    os: String,
    architecture: String,
    #[serde(default)]
    variant: String,
}

/// Finds an image in the engine; `None` when it is not there.
///
/// # Errors
/// [`CommandError`] when Docker cannot be asked.
pub async fn find(
    docker: &Docker,
    image: &ImageReference,
) -> Result<Option<LocalImage>, CommandError> {
    let name = image.to_string();
    let asked = docker
        .command(["image", "inspect", "--format", "{{json .}}", &name])
        .run()
        .await;
    let done = match asked {
        Ok(done) => done,
        Err(CommandError::Failed(failure))
            if failure
                .tail
                .iter()
                .any(|line| line.to_ascii_lowercase().contains("no such image")) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let inspected = serde_json::from_str::<Inspected>(done.stdout.trim()).ok();
    Ok(inspected.map(|image| LocalImage {
        platform: Platform::new(&image.os, &image.architecture, &image.variant),
        id: image.id,
    }))
}

/// The platform of an image in a registry, as its configuration says. `None` when it is not one
/// image, or this Docker has no buildx to ask with.
pub async fn remote_platform(docker: &Docker, image: &ImageReference) -> Option<Platform> {
    let name = image.to_string();
    let asked = docker
        .command([
            "buildx",
            "imagetools",
            "inspect",
            "--format",
            "{{json .Image}}",
            &name,
        ])
        .run()
        .await
        .ok()?;
    let image: Configuration = serde_json::from_str(asked.stdout.trim()).ok()?;
    Some(Platform::new(
        &image.os,
        &image.architecture,
        &image.variant,
    ))
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::fake::fake_docker;

    fn image() -> ImageReference {
        "web:local".parse().unwrap()
    }

    #[tokio::test]
    async fn an_image_in_the_engine_has_an_id_and_a_platform() {
        let id = format!("sha256:{}", "ab".repeat(32));
        let script = format!(
            r#"[ "$5" = docker.io/library/web:local ] || exit 9
echo '{{"Id":"{id}","Os":"linux","Architecture":"arm","Variant":"v6","RepoTags":[]}}'"#
        );
        let (_folder, docker) = fake_docker(&script, &[]);
        let found = find(&docker, &image()).await.unwrap().unwrap();
        assert_eq!(found.id.as_str(), id);
        assert_eq!(found.platform.to_string(), "linux/arm/v6");
    }

    #[tokio::test]
    async fn an_image_that_is_not_there_is_no_error_and_a_dead_engine_is_one() {
        let script = "echo 'Error response from daemon: No such image: web:local' >&2; exit 1";
        let (_folder, docker) = fake_docker(script, &[]);
        assert_eq!(find(&docker, &image()).await.unwrap(), None);
        let (_folder, docker) = fake_docker("echo 'Cannot connect' >&2; exit 1", &[]);
        assert!(find(&docker, &image()).await.is_err());
    }

    #[tokio::test]
    async fn a_registry_s_image_says_its_platform_where_buildx_can_ask() {
        let script = r#"echo '{"architecture":"arm64","os":"linux","config":{}}'"#;
        let (_folder, docker) = fake_docker(script, &[]);
        let platform = remote_platform(&docker, &image()).await.unwrap();
        assert_eq!(platform.to_string(), "linux/arm64");
        for script in ["exit 1", "echo '{\"linux/amd64\":{}}'"] {
            let (_folder, docker) = fake_docker(script, &[]);
            assert_eq!(remote_platform(&docker, &image()).await, None);
        }
    }
}
