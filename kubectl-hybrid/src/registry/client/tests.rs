//! The client before canned answers: what it asks, and what it makes of what ECR says.

use ecr_hybrid::aws_error::Cause;
use serde_json::{Value, json};

use super::*;
use crate::registry::fake::{Fake, HOST, registry};

fn fault(code: &str, message: &str) -> (u16, Value) {
    (400, json!({"__type": code, "message": message}))
}

fn actions(fake: &Fake) -> Vec<String> {
    let asked = fake.asked.lock().unwrap();
    asked.iter().map(|(action, _)| action.clone()).collect()
}

fn digest(of: char) -> Digest {
    format!("sha256:{}", of.to_string().repeat(64))
        .parse()
        .unwrap()
}

fn image(tag: Option<&str>, of: char) -> Value {
    let mut id = json!({"imageDigest": digest(of).as_str()});
    if let Some(tag) = tag {
        id["imageTag"] = tag.into();
    }
    json!({"imageId": id, "imageManifest": format!("manifest {of}"), "imageManifestMediaType": MEDIA_TYPES[0]})
}

fn tags(names: &[&str]) -> Vec<Tag> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

#[tokio::test]
async fn a_look_up_answers_several_tags_with_one_call() {
    let (registry, fake) = registry(|_, _| {
        let missing = json!({"imageId": {"imageTag": "dev"}, "failureCode": "ImageNotFound"});
        (
            200,
            json!({"images": [image(Some("abc"), 'a')], "failures": [missing]}),
        )
    });
    let wanted = tags(&["abc", "dev"]);
    let found = registry.look_up("dev/web", &wanted).await.unwrap();
    assert_eq!(found.digest(&wanted[0]), Some(&digest('a')));
    assert_eq!(found.digest(&wanted[1]), None);
    assert_eq!(found.images[&wanted[0]].manifest, "manifest a");
    let asked = fake.asked.lock().unwrap();
    let (action, body) = &asked[0];
    assert_eq!((action.as_str(), asked.len()), ("BatchGetImage", 1));
    assert_eq!(body["registryId"], "123456789012");
    assert_eq!(
        body["imageIds"],
        json!([{"imageTag": "abc"}, {"imageTag": "dev"}])
    );
    assert_eq!(body["acceptedMediaTypes"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn one_missing_repository_does_not_hide_the_others() {
    let (registry, _fake) = registry(|_, body| {
        if body["repositoryName"] == "dev/gone" {
            fault(
                "RepositoryNotFoundException",
                "The repository with name 'dev/gone' does not exist",
            )
        } else {
            (
                200,
                json!({"images": [image(Some("abc"), 'a')], "failures": []}),
            )
        }
    });
    let wanted = ["dev/gone", "dev/web"]
        .map(|name| (name.to_owned(), tags(&["abc"])))
        .into();
    let answers = registry.look_up_all(&wanted).await;
    assert!(answers["dev/web"].is_ok());
    let error = answers["dev/gone"].as_ref().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the repository `dev/gone` does not exist in {HOST}")
    );
    assert!(error.hint().unwrap().contains("Terraform"));
}

#[tokio::test]
async fn a_tag_that_does_not_exist_has_no_description_and_one_that_does_has_a_date() {
    let (registry, _fake) = registry(|_, body| {
        if body["imageIds"][0]["imageTag"] == "gone" {
            return fault(
                "ImageNotFoundException",
                "The image with imageId {imageTag:'gone'} does not exist",
            );
        }
        let detail = json!({
            "imageDigest": digest('a').as_str(), "imageTags": ["abc", "dev"],
            "imagePushedAt": 1_700_000_000.25, "imageSizeInBytes": 1234,
            "imageManifestMediaType": MEDIA_TYPES[0],
        });
        (200, json!({"imageDetails": [detail]}))
    });
    let wanted = tags(&["gone", "abc"]);
    assert_eq!(registry.describe("web", &wanted[0]).await.unwrap(), None);
    let detail = registry.describe("web", &wanted[1]).await.unwrap().unwrap();
    assert_eq!(detail.digest, digest('a'));
    assert_eq!(detail.tags, tags(&["abc", "dev"]));
    assert_eq!(
        detail.pushed_at.unwrap().to_string(),
        "2023-11-14T22:13:20Z"
    );
    assert_eq!(detail.size, Some(1234));
}

#[tokio::test]
async fn a_repository_tells_whether_its_tags_move() {
    let cases = [
        (
            json!({"imageTagMutability": "MUTABLE"}),
            Mutability::Mutable,
        ),
        (
            json!({"imageTagMutability": "IMMUTABLE"}),
            Mutability::Immutable,
        ),
        (
            json!({
                "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
                "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "dev*"}],
            }),
            Mutability::ImmutableExcept(vec!["dev*".to_owned()]),
        ),
    ];
    for (answer, expected) in cases {
        let (registry, _fake) = registry(move |_, body| {
            if body["repositoryNames"][0] == "gone" {
                return fault("RepositoryNotFoundException", "no");
            }
            let mut answer = answer.clone();
            answer["repositoryName"] = "web".into();
            answer["repositoryUri"] = format!("{HOST}/web").into();
            (200, json!({"repositories": [answer]}))
        });
        let names = ["gone", "web"].map(str::to_owned);
        let answers = registry.repositories(&names).await;
        assert_eq!(answers["gone"].as_ref().unwrap(), &None);
        let web = answers["web"].as_ref().unwrap().as_ref().unwrap();
        assert_eq!(web.mutability, expected);
    }
}

#[tokio::test]
async fn a_tag_is_moved_with_the_manifest_as_it_is() {
    let (registry, fake) = registry(|action, _| match action {
        "BatchGetImage" => (
            200,
            json!({"images": [image(None, 'a'), image(Some("dev"), 'b')], "failures": []}),
        ),
        _ => (200, json!({"image": image(Some("dev"), 'a')})),
    });
    let web = ImageReference::new(HOST, "web").unwrap();
    let dev = tags(&["dev"]).remove(0);
    let change = registry
        .move_tag(&web.pinned(&digest('a')), &dev)
        .await
        .unwrap();
    assert_eq!(change, TagChange::Moved);
    let asked = fake.asked.lock().unwrap();
    let body = &asked[1].1;
    assert_eq!(body["imageManifest"], "manifest a");
    assert_eq!(body["imageDigest"], digest('a').as_str());
    assert_eq!(body["imageTag"], "dev");
    assert_eq!(body["imageManifestMediaType"], MEDIA_TYPES[0]);
}

#[tokio::test]
async fn a_tag_that_is_there_already_is_a_success() {
    let (registry, _fake) = registry(|action, _| match action {
        "BatchGetImage" => (
            200,
            json!({"images": [image(Some("abc"), 'a')], "failures": []}),
        ),
        _ => fault(
            "ImageAlreadyExistsException",
            "Image with digest already exists",
        ),
    });
    let web = ImageReference::new(HOST, "web").unwrap();
    let [abc, dev] = <[Tag; 2]>::try_from(tags(&["abc", "dev"])).unwrap();
    let change = registry.move_tag(&web.tagged(&abc), &dev).await.unwrap();
    assert_eq!(change, TagChange::WasThere);
}

#[tokio::test]
async fn an_image_that_comes_under_another_of_its_names_is_still_found() {
    // The same image twice under one name, once, and under a name nobody asked for.
    let cases: [(Vec<Value>, usize); 3] = [
        (vec![image(Some("dev"), 'a'), image(Some("dev"), 'a')], 1),
        (vec![image(Some("dev"), 'a')], 2),
        (vec![image(Some("old"), 'a'), image(Some("old"), 'a')], 1),
    ];
    for (images, calls) in cases {
        let (registry, fake) =
            registry(move |_, _| (200, json!({"images": images, "failures": []})));
        let wanted = tags(&["abc", "dev"]);
        let found = registry.look_up("web", &wanted).await.unwrap();
        for tag in &wanted {
            assert_eq!(found.digest(tag), Some(&digest('a')), "{tag}");
        }
        assert_eq!(actions(&fake).len(), calls);
    }
}

#[tokio::test]
async fn an_immutable_tag_and_a_missing_image_are_told_apart() {
    let (immutable, _fake) = registry(|action, _| match action {
        "BatchGetImage" => (
            200,
            json!({"images": [image(Some("abc"), 'a')], "failures": []}),
        ),
        _ => fault(
            "ImageTagAlreadyExistsException",
            "The image tag 'dev' already exists",
        ),
    });
    let web = ImageReference::new(HOST, "web").unwrap();
    let [abc, dev] = <[Tag; 2]>::try_from(tags(&["abc", "dev"])).unwrap();
    let error = immutable
        .move_tag(&web.tagged(&abc), &dev)
        .await
        .unwrap_err();
    assert!(
        matches!(error, RegistryError::ImmutableTag { .. }),
        "{error:?}"
    );

    let (empty, _fake) = registry(|_, _| (200, json!({"images": [], "failures": []})));
    for image in [web.tagged(&abc), web.pinned(&digest('c')), web.clone()] {
        let error = empty.move_tag(&image, &dev).await.unwrap_err();
        assert!(matches!(error, RegistryError::NoImage { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn what_is_true_of_every_service_is_explained_by_its_cause() {
    let cases = [
        ("AccessDeniedException", Cause::AccessDenied),
        ("ExpiredTokenException", Cause::BadCredentials),
        ("ThrottlingException", Cause::Throttled),
    ];
    for (code, expected) in cases {
        let (registry, _fake) = registry(move |_, _| fault(code, "no"));
        let error = registry.look_up("web", &tags(&["abc"])).await.unwrap_err();
        let RegistryError::Aws(aws) = &error else {
            panic!("{error:?}");
        };
        assert_eq!(aws.cause(), expected, "{code}");
        assert!(
            error.to_string().contains("look up images of `web`"),
            "{error}"
        );
    }
}
