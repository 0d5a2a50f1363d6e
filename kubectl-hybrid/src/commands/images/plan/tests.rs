//! Plans before a registry with canned answers.

use std::fs;
use std::path::Path;

use clap::Parser as _;
use serde_json::{Value, json};

use super::*;
use crate::cli::{Cli, Output};
use crate::project::config::{Config, Origin};
use crate::project::fake;
use crate::registry::fake::registry;
use crate::terraform::keys::Workspace;
use crate::ui::Ui;

/// What the registry of `--no-build` is asked and answers, and the plan that comes of it.
async fn without_build(
    folder: &Path,
    has_sources: bool,
    answer: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> Result<Vec<ImagePlan>, CommandError> {
    let mut service = fake::service(TagMutability::Immutable);
    if has_sources {
        fs::write(folder.join("Dockerfile"), "FROM scratch\n").unwrap();
        service.build = Some(Build {
            context: folder.to_owned(),
            dockerfile: folder.join("Dockerfile"),
            target: None,
            platform: Some("linux/amd64".to_owned()),
            args: BTreeMap::new(),
            secrets: Vec::new(),
            ssh: Vec::new(),
            cache_from: Vec::new(),
            cache_to: Vec::new(),
        });
    }
    let project = fake::project("dev", service);
    fs::write(folder.join("hybrid.toml"), "").unwrap();
    let ui = Ui::new(Output::Text, true);
    let session = Session {
        global: Cli::parse_from(["kubectl-hybrid", "version"]).global,
        ui: &ui,
        config: Config::read(&folder.join("hybrid.toml")).unwrap(),
        root: None,
        workspace: Workspace::new("dev").unwrap(),
        workspace_origin: Origin::Default,
    };
    let (registry, _fake) = registry(move |_, body| {
        let digest = format!("sha256:{}", "1".repeat(64));
        let ids = body["imageIds"].as_array().unwrap().iter();
        let (there, gone): (Vec<&Value>, Vec<&Value>) =
            ids.partition(|id| answer(id["imageTag"].as_str().unwrap()));
        let images: Vec<Value> = there
            .iter()
            .map(|id| {
                json!({ "imageId": { "imageDigest": digest, "imageTag": id["imageTag"] },
                        "imageManifest": "{}" })
            })
            .collect();
        let failures: Vec<Value> = gone
            .iter()
            .map(|id| json!({ "imageId": id, "failureCode": "ImageNotFound" }))
            .collect();
        (200, json!({ "images": images, "failures": failures }))
    });
    let workshop = Workshop::new(&session, &project, 1);
    plan(&ImageRequest {
        session: &session,
        project: &project,
        registry: &registry,
        workshop: &workshop,
        nodes: &Nodes::default(),
        images: &[],
        builds: false,
    })
    .await
}

#[tokio::test]
async fn without_a_build_the_image_of_the_sources_is_taken_where_tags_do_not_move() {
    let folder = tempfile::tempdir().unwrap();
    let is_content = |tag: &str| tag.starts_with("src-");
    let plans = without_build(folder.path(), true, is_content)
        .await
        .unwrap();
    let [image] = plans.as_slice() else {
        unreachable!("{plans:?}");
    };
    assert!(!image.builds && !image.pushes && image.made.is_none());
    assert!(image.digest.is_some() && image.moves_tag.is_none());
    assert!(is_content(image.reference.tag().unwrap().as_str()));
}

#[tokio::test]
async fn without_a_build_and_without_an_image_of_the_sources_the_way_out_is_named() {
    let by_hand = "name an image that is in the registry: `--image web=";
    for (has_sources, sentence) in [
        (
            true,
            "repository `shop/web` has no image of the sources as they are (`src-",
        ),
        (false, "service `web` has no Dockerfile"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let refused = without_build(folder.path(), has_sources, |_| false).await;
        let error = refused.unwrap_err();
        assert!(error.to_string().starts_with(sentence), "{error}");
        let hints = error.hints();
        assert!(hints.last().unwrap().starts_with(by_hand), "{hints:?}");
    }
}
