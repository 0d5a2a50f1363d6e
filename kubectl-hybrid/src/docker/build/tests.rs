use super::*;
use std::sync::Arc;

use crate::docker::fake::{fake_docker, write_program};
use crate::docker::login::Login;

const SUCCEEDS: &str = r#"case "$*" in
"buildx version") echo 'github.com/docker/buildx v0.29.1 abc';;
*) echo "$@" > "$(dirname "$0")/args"
   echo "$DOCKER_BUILDKIT $BUILDX_NO_DEFAULT_ATTESTATIONS" > "$(dirname "$0")/env"
   while [ $# -gt 0 ]; do
 [ "$1" = --iidfile ] && printf sha256:%064d 7 > "$2"
 shift
   done
   echo '#1 building' >&2;;
esac"#;

fn source(context: &Path) -> Source {
    std::fs::write(context.join("Dockerfile"), "FROM scratch\n").unwrap();
    Source {
        context: context.to_path_buf(),
        dockerfile: None,
        target: None,
        build_args: BTreeMap::new(),
        platforms: vec!["linux/amd64".parse().unwrap()],
    }
}

fn request(context: &Path) -> BuildRequest {
    BuildRequest::new("web", source(context))
}

async fn failing(script: &str) -> (BuildError, tempfile::TempDir) {
    let script = format!("[ \"$1 $2\" = 'buildx version' ] && exit 0\n{script}");
    let (_fake, docker) = fake_docker(&script, &[]);
    let folder = tempfile::tempdir().unwrap();
    let builder = Builder::new(docker, &folder.path().join("logs"), 1)
        .await
        .unwrap();
    let error = builder
        .build(&request(folder.path()), None)
        .await
        .unwrap_err();
    (error, folder)
}

#[tokio::test]
async fn buildx_is_told_everything_in_a_stable_order() {
    let (fake, docker) = fake_docker(SUCCEEDS, &[]);
    let context = tempfile::tempdir().unwrap();
    let logs = tempfile::tempdir().unwrap();
    let builder = Builder::new(docker, logs.path(), 2).await.unwrap();
    let mut request = request(context.path());
    request.source.target = Some("run".into());
    request.source.build_args = [("B", "2"), ("A", "1")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
    request.tags = vec!["registry.example/web:abc".parse().unwrap()];
    request.labels = [(
        "org.opencontainers.image.revision".to_owned(),
        "abc".to_owned(),
    )]
    .into();
    request.secrets = vec!["id=npm,env=NPM_TOKEN".into()];
    let built = builder.build(&request, None).await.unwrap();
    assert_eq!(built.image_id.as_str(), format!("sha256:{:064}", 7));
    assert_eq!(
        std::fs::read_to_string(&built.log).unwrap(),
        "#1 building\n"
    );
    let args = std::fs::read_to_string(fake.path().join("args")).unwrap();
    let dir = context.path().display();
    let (before, after) = args.trim().split_once("--tag").unwrap();
    assert!(
        before.starts_with("buildx build --load --progress=plain --iidfile "),
        "{before}"
    );
    assert_eq!(
        after,
        format!(
            " registry.example/web:abc --file {dir}/Dockerfile --target run --build-arg A=1 --build-arg B=2 --platform linux/amd64 --label org.opencontainers.image.revision=abc --secret id=npm,env=NPM_TOKEN {dir}"
        )
    );
    assert_eq!(
        std::fs::read_to_string(fake.path().join("env")).unwrap(),
        " 1\n"
    );
}

#[tokio::test]
async fn without_buildx_the_classic_builder_is_used_and_its_limits_are_named() {
    let without = SUCCEEDS.replace("echo 'github.com/docker/buildx v0.29.1 abc'", "exit 1");
    let (fake, docker) = fake_docker(&without, &[]);
    let context = tempfile::tempdir().unwrap();
    let builder = Builder::new(docker, context.path(), 1).await.unwrap();
    assert_eq!(builder.kind(), &BuilderKind::Classic);
    builder.build(&request(context.path()), None).await.unwrap();
    let args = std::fs::read_to_string(fake.path().join("args")).unwrap();
    assert!(args.starts_with("build --iidfile "), "{args}");
    assert_eq!(
        std::fs::read_to_string(fake.path().join("env")).unwrap(),
        "0 1\n"
    );

    let mut request = request(context.path());
    request.ssh = vec!["default".into()];
    let error = builder.build(&request, None).await.unwrap_err();
    assert!(error.to_string().contains("`--ssh`"), "{error}");
    assert!(error.hint().unwrap().contains("buildx"));
}

#[tokio::test]
async fn a_failing_build_names_its_cause_and_keeps_its_log() {
    let (error, _folder) = failing(
        r##"for i in $(seq 1 40); do echo "#5 step $i" >&2; done
echo 'ERROR: failed to build: process "/bin/sh -c false" did not complete successfully: exit code: 1' >&2
echo 'View build details: docker-desktop://x' >&2
exit 1"##,
    )
    .await;
    assert_eq!(
        error.to_string(),
        "building `web` failed: failed to build: process \"/bin/sh -c false\" did not complete successfully: exit code: 1"
    );
    let failure = error.failure().unwrap();
    let log = std::fs::read_to_string(failure.log.as_ref().unwrap()).unwrap();
    assert!(log.contains("#5 step 1\n"));
    assert!(error.hint().unwrap().contains("web.log"));
}

#[tokio::test]
async fn causes_that_are_not_the_dockerfile_s_are_told_apart() {
    let (error, _folder) = failing(
        "echo 'ERROR: Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?' >&2; exit 1",
    )
    .await;
    assert!(matches!(error, BuildError::EngineGone { .. }), "{error:?}");
    let (error, _folder) =
        failing("echo 'ERROR: write /var/lib/docker/x: no space left on device' >&2; exit 1").await;
    assert!(matches!(error, BuildError::DiskFull { .. }), "{error:?}");
    let (error, _folder) = failing("exit 0").await;
    assert!(matches!(error, BuildError::NoImageId { .. }), "{error:?}");
}

#[tokio::test]
async fn a_missing_context_or_dockerfile_is_told_before_docker_runs() {
    let (_fake, docker) = fake_docker("[ $1 = buildx ] && exit 1", &[]);
    let folder = tempfile::tempdir().unwrap();
    let builder = Builder::new(docker, folder.path(), 1).await.unwrap();
    let mut request = request(folder.path());
    std::fs::remove_file(folder.path().join("Dockerfile")).unwrap();
    let error = builder.build(&request, None).await.unwrap_err();
    assert!(
        matches!(error, BuildError::NoDockerfile { .. }),
        "{error:?}"
    );
    request.source.context = folder.path().join("gone");
    let error = builder.build(&request, None).await.unwrap_err();
    assert!(matches!(error, BuildError::NoContext { .. }), "{error:?}");
}

#[tokio::test]
async fn files_that_change_during_the_build_fail_it() {
    let context = tempfile::tempdir().unwrap();
    let edits = format!(
        "[ \"$1 $2\" = 'buildx version' ] || echo edited > {}/new\n{SUCCEEDS}",
        context.path().display()
    );
    let (_fake, docker) = fake_docker(&edits, &[]);
    let logs = tempfile::tempdir().unwrap();
    let builder = Builder::new(docker, logs.path(), 1).await.unwrap();
    let mut request = request(context.path());
    request.content = Some(ContentTag::of(&request.source).await.unwrap());
    let error = builder.build(&request, None).await.unwrap_err();
    assert!(
        matches!(error, BuildError::ContentChanged { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn no_more_builds_run_at_a_time_than_allowed() {
    // Each build fails when it sees another one at work.
    let script = r#"[ "$1 $2" = 'buildx version' ] && exit 0
mkdir "$(dirname "$0")/busy" || exit 9
while [ $# -gt 0 ]; do [ "$1" = --iidfile ] && printf sha256:%064d 7 > "$2"; shift; done
sleep 0.05
rmdir "$(dirname "$0")/busy""#;
    let (_fake, docker) = fake_docker(script, &[]);
    let context = tempfile::tempdir().unwrap();
    let logs = tempfile::tempdir().unwrap();
    let builder = Builder::new(docker, logs.path(), 1).await.unwrap();
    let requests = ["a", "b", "c"].map(|name| BuildRequest::new(name, source(context.path())));
    let builds = requests.iter().map(|request| builder.build(request, None));
    for result in futures::future::join_all(builds).await {
        result.unwrap();
    }
}

#[tokio::test]
async fn a_token_that_is_refused_for_a_base_image_is_forgotten_and_the_build_begun_once_more() {
    let host = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
    let other = "210987654321.dkr.ecr.eu-central-1.amazonaws.com";
    for (refuses, fails, builds) in [(host, 1, 2), (host, 9, 2), (other, 9, 1)] {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let own = place("kubectl-hybrid");
        write_program(
            &own,
            &format!("echo \"$1 $(cat)\" >> {}", place("asked").display()),
        );
        let script = format!(
            r#"[ "$1 $2" = 'buildx version' ] && exit 0
echo x >> {count}
if [ "$(wc -l < {count})" -le {fails} ]; then
    echo 'ERROR: failed to solve: {refuses}/base:1: unexpected status from HEAD request to https://{refuses}/v2/base/manifests/1: 403 Forbidden' >&2
    exit 1
fi
while [ $# -gt 0 ]; do [ "$1" = --iidfile ] && printf sha256:%064d 7 > "$2"; shift; done"#,
            count = place("count").display()
        );
        let home = folder.path().display().to_string();
        let (_fake, docker) = fake_docker(&script, &[("HOME", &home), ("PATH", "/usr/bin:/bin")]);
        let login = Login::prepare(docker.surroundings(), &own, &[host.to_owned()]).unwrap();
        let docker = docker.with_login(Arc::new(login));
        let builder = Builder::new(docker, &place("logs"), 1).await.unwrap();
        let context = tempfile::tempdir().unwrap();
        let built = builder.build(&request(context.path()), None).await;
        match built {
            Ok(built) => assert_eq!((fails, built.refused_by.as_deref()), (1, Some(host))),
            Err(error) => {
                assert_eq!((fails, error.refused_by().as_deref()), (9, Some(refuses)));
                assert!(error.hint().unwrap().contains(refuses));
            }
        }
        let count = std::fs::read_to_string(place("count")).unwrap();
        assert_eq!(count.lines().count(), builds);
        let asked = std::fs::read_to_string(place("asked")).unwrap_or_default();
        let expected = format!("erase {host}\n").repeat(builds - 1);
        assert_eq!(asked, expected);
    }
}
