//! What the cluster's nodes can run, and the refusal of what they cannot.

use crate::cluster::{Cluster, nodes};
use crate::commands::session::Session;
use crate::docker::Platform;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::project::Service;

/// The platforms of the nodes.
#[derive(Debug, Default)]
pub(in crate::commands) struct Nodes {
    context: String,
    /// Empty when they are not known: not every user may list nodes.
    platforms: Vec<Platform>,
    /// What they run beside their own, by emulation.
    emulated: Vec<Platform>,
}

impl Nodes {
    /// Asks the cluster, and `hybrid.toml` for what is emulated.
    pub(in crate::commands) async fn of(
        session: &Session<'_>,
        cluster: &Cluster,
    ) -> Result<Self, CommandError> {
        let file = session.config.file.cluster(session.workspace.as_str());
        Ok(Self {
            context: cluster.context().to_owned(),
            emulated: file
                .emulates
                .unwrap_or_default()
                .iter()
                .map(|platform| parse(platform))
                .collect::<Result<_, _>>()?,
            platforms: nodes::platforms(cluster).await.unwrap_or_default(),
        })
    }

    /// Whether there is anything to compare an image with.
    pub(super) fn are_known(&self) -> bool {
        !self.platforms.is_empty()
    }

    /// What is built for when nobody says: the platform of all nodes, when they have one.
    pub(super) fn common(&self) -> Option<&Platform> {
        match self.platforms.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    /// Lets an image pass that some node runs. Nothing is refused on what is not known.
    ///
    /// # Errors
    /// A refusal that names both sides.
    pub(super) fn check(&self, service: &Service, image: &[Platform]) -> Result<(), CommandError> {
        let runs = |platform: &Platform| {
            self.emulated.contains(platform)
                || self.platforms.iter().any(|node| platform.runs_on(node))
        };
        if image.is_empty() || !self.are_known() || image.iter().any(runs) {
            return Ok(());
        }
        let list = |platforms: &[Platform]| {
            let names: Vec<String> = platforms.iter().map(ToString::to_string).collect();
            names.join(", ")
        };
        let (made_for, nodes) = (list(image), list(&self.platforms));
        Err(CommandError::new(
            Exit::Refused,
            format!(
                "`{}` cannot run: its image is for {made_for}, and the nodes of context `{}` are {nodes}",
                service.name, self.context
            ),
        )
        .hint(format!(
            "build it for the nodes: `platform = \"{}\"` in [services.{}] of hybrid.toml",
            self.platforms[0], service.name
        ))
        .hint(format!(
            "nodes that emulate it are named in hybrid.toml: `emulates = [\"{}\"]` in [cluster]",
            image[0]
        )))
    }
}

/// A platform as somebody wrote it.
pub(super) fn parse(text: &str) -> Result<Platform, CommandError> {
    text.parse()
        .map_err(|error: crate::docker::platform::PlatformError| {
            CommandError::from_error(Exit::Usage, &error)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::WorkloadRef;
    use crate::project::contract::{TagMutability, WorkloadKind};

    fn platforms(names: &str) -> Vec<Platform> {
        let names = names.split_whitespace();
        names.map(|name| parse(name).unwrap()).collect()
    }

    #[test]
    fn an_image_for_other_nodes_is_refused_with_both_sides() {
        let service = Service {
            name: "web".to_owned(),
            repository: "dev/web".to_owned(),
            repository_url: "r/dev/web".to_owned(),
            tag_mutability: TagMutability::Mutable,
            workload: WorkloadRef {
                kind: WorkloadKind::Deployment,
                namespace: "dev".to_owned(),
                name: "web".to_owned(),
            },
            container: "web".to_owned(),
            claimed: Vec::new(),
            port: None,
            build: None,
        };
        // The nodes, what they emulate, the image, and whether it passes.
        for (nodes, emulated, image, passes) in [
            ("linux/arm64", "", "linux/amd64", false),
            ("linux/arm64", "linux/amd64", "linux/amd64", true),
            ("linux/arm64", "", "linux/amd64 linux/arm64", true),
            ("linux/arm64 linux/amd64", "", "linux/amd64", true),
            ("linux/arm64", "", "linux/arm/v7", true),
            ("", "", "linux/amd64", true),
            ("linux/arm64", "", "", true),
        ] {
            let nodes = Nodes {
                context: "kind".to_owned(),
                platforms: platforms(nodes),
                emulated: platforms(emulated),
            };
            let checked = nodes.check(&service, &platforms(image));
            assert_eq!(checked.is_ok(), passes, "{image:?} on {nodes:?}");
            if let Err(error) = checked {
                assert_eq!(error.exit(), Exit::Refused);
                assert_eq!(
                    error.to_string(),
                    "`web` cannot run: its image is for linux/amd64, and the nodes of context `kind` are linux/arm64"
                );
                assert_eq!(error.hints().len(), 2);
            }
        }
    }
}
