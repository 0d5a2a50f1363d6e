//! `--strategy restart`: pods get the image by the workspace's tag, which has to move, and which
//! nodes have to pull again.

use crate::cli::Strategy;
use crate::cluster::workload::WorkloadState;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::project::contract::TagMutability;
use crate::project::{Project, Service};
use crate::registry::Tag;

const BY_DIGEST: &str =
    "leave `--strategy restart` away (`--strategy digest`): pods then get the image by its digest";

/// Refuses a strategy that needs a tag where there is none.
pub(super) fn check(strategy: Strategy, project: &Project) -> Result<(), CommandError> {
    if strategy == Strategy::Restart {
        for service in &project.services {
            image(project, service)?;
        }
    }
    Ok(())
}

/// The image of a service under the workspace's tag.
///
/// # Errors
/// When there is no such tag, because the repository keeps its tags where they are, or because the
/// workspace's name cannot be one.
pub(super) fn image(project: &Project, service: &Service) -> Result<String, CommandError> {
    if service.tag_mutability == TagMutability::Immutable {
        let why = format!(
            "--strategy restart needs a tag that moves, and the tags of repository `{}` do not",
            service.repository
        );
        return Err(CommandError::new(Exit::Usage, why).hint(BY_DIGEST));
    }
    let tag = Tag::from_name(&project.workspace).ok_or_else(|| {
        let why = format!("workspace `{}` cannot be a tag", project.workspace);
        CommandError::new(Exit::Usage, why).hint(BY_DIGEST)
    })?;
    Ok(format!("{}:{tag}", service.repository_url))
}

/// Refuses a container whose node keeps the image that it has of a tag: its pods would be new and
/// run the old image.
pub(super) fn check_pulled(
    containers: &[String],
    state: &WorkloadState,
) -> Result<(), CommandError> {
    let kept = containers.iter().find_map(|name| {
        let container = state.container(name)?;
        // The API server fills it in; without it, the tag of a workspace is not pulled again.
        let policy = container.pull_policy.as_deref().unwrap_or("IfNotPresent");
        (policy != "Always").then_some((name, policy))
    });
    let Some((name, policy)) = kept else {
        return Ok(());
    };
    Err(CommandError::new(
        Exit::Usage,
        format!(
            "--strategy restart would leave the old image in container `{name}` of {}: with \
             `imagePullPolicy: {policy}` a node that has the tag does not pull it again",
            state.workload
        ),
    )
    .hint(BY_DIGEST)
    .hint("or set `imagePullPolicy: Always` where the workload is defined"))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;
    use serde_json::{Value, json};

    use super::*;
    use crate::project::fake;
    use crate::registry::fake::HOST;

    #[test]
    fn only_a_repository_whose_tags_move_has_an_image_for_the_workspace() {
        let (mutable, immutable) = (TagMutability::Mutable, TagMutability::Immutable);
        let table = [
            ("dev", mutable, Ok("shop/web:dev")),
            // The tag that is moved, not the name that it is made from.
            ("dev/ada", mutable, Ok("shop/web:dev-ada")),
            ("..", mutable, Err("workspace `..` cannot be a tag")),
            (
                "dev",
                immutable,
                Err(
                    "--strategy restart needs a tag that moves, and the tags of repository `shop/web` do not",
                ),
            ),
        ];
        for (workspace, tag_mutability, expected) in table {
            let project = fake::project(workspace, fake::service(tag_mutability));
            assert!(check(Strategy::Digest, &project).is_ok());
            assert_eq!(check(Strategy::Restart, &project).is_ok(), expected.is_ok());
            match (image(&project, &project.services[0]), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, format!("{HOST}/{expected}")),
                (Err(error), Err(expected)) => {
                    assert_eq!(error.to_string(), expected);
                    assert_eq!(error.exit(), Exit::Usage);
                    assert_eq!(error.hints(), [BY_DIGEST]);
                }
                (found, expected) => unreachable!("{found:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn only_a_container_that_always_pulls_gets_what_a_tag_moved_to() {
        let state = |web: &Value, migrate: &Value| -> WorkloadState {
            let object: Deployment = serde_json::from_value(json!({
                "metadata": { "name": "web" },
                "spec": { "selector": {}, "template": { "spec": {
                    "initContainers": [{ "name": "migrate", "imagePullPolicy": migrate }],
                    "containers": [{ "name": "web", "imagePullPolicy": web },
                                   { "name": "proxy", "imagePullPolicy": "Never" }] } } },
            }))
            .unwrap();
            object.into()
        };
        let always = json!("Always");
        // Of the container, of the init container, and the one that is refused.
        for (web, migrate, refused) in [
            (always.clone(), always.clone(), None),
            (json!("IfNotPresent"), always.clone(), Some("web")),
            (json!("Never"), always.clone(), Some("web")),
            (Value::Null, always.clone(), Some("web")),
            (always, json!("IfNotPresent"), Some("migrate")),
        ] {
            let containers = ["web".to_owned(), "migrate".to_owned()];
            let checked = check_pulled(&containers, &state(&web, &migrate));
            let expected = refused.map(|name| {
                format!(
                    "--strategy restart would leave the old image in container `{name}` of deployment/web"
                )
            });
            match (checked, expected) {
                (Ok(()), None) => {}
                (Err(error), Some(expected)) => {
                    assert_eq!(error.exit(), Exit::Usage);
                    assert!(error.to_string().starts_with(&expected), "{error}");
                    assert_eq!(error.hints().len(), 2);
                }
                (checked, expected) => unreachable!("{checked:?} instead of {expected:?}"),
            }
        }
    }
}
