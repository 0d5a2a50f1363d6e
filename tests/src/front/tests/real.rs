//! The front before the real emulator and the real registry.
//!
//! `HYBRID_TEST_MOTO` is the path of a `moto_server`; `docker-registry` comes from the PATH or from
//! `HYBRID_TEST_REGISTRY`.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;

use super::super::xml;
use super::bench::{Bench, HOST, signed};
use crate::digest::sha256;

const KEY: &str = "testing";
const REGION: &str = "eu-central-1";
const REPOSITORY: &str = "knowledge-repo-dev/web";
const KIND: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A real part; it ends with the test.
struct Part(Child);

impl Drop for Part {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

fn start(command: &mut Command, address: SocketAddr) -> Part {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let part = Part(child.unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program())));
    let deadline = Instant::now() + Duration::from_mins(1);
    while TcpStream::connect(address).is_err() {
        assert!(
            Instant::now() < deadline,
            "{:?} does not listen",
            command.get_program()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    part
}

fn moto(address: SocketAddr) -> Part {
    let program = std::env::var_os("HYBRID_TEST_MOTO").expect("HYBRID_TEST_MOTO is not set");
    let port = address.port().to_string();
    start(
        Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port])
            .env_remove("MOTO_ACCOUNT_ID"),
        address,
    )
}

fn registry(address: SocketAddr, folder: &std::path::Path) -> Part {
    let program =
        std::env::var_os("HYBRID_TEST_REGISTRY").unwrap_or_else(|| "docker-registry".into());
    let settings = folder.join("registry.yml");
    let text = json!({
        "version": 0.1,
        "storage": { "filesystem": { "rootdirectory": folder.join("data") } },
        "http": { "addr": address.to_string() },
    });
    std::fs::write(&settings, text.to_string()).expect("a file");
    start(Command::new(program).arg("serve").arg(settings), address)
}

/// The real parts behind a front.
struct Behind {
    moto_at: SocketAddr,
    registry_at: SocketAddr,
    moto: Option<Part>,
    _registry: Part,
    _folder: tempfile::TempDir,
}

impl Behind {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (moto_at, registry_at) = (free_address(), free_address());
        Self {
            moto_at,
            registry_at,
            moto: Some(moto(moto_at)),
            _registry: registry(registry_at, folder.path()),
            _folder: folder,
        }
    }

    /// Another emulator, which knows nothing.
    fn start_moto(&mut self) {
        // The address must be free first.
        self.moto = None;
        self.moto = Some(moto(self.moto_at));
    }

    async fn front(&self) -> Bench {
        self.front_in(tempfile::tempdir().expect("a folder")).await
    }

    async fn front_in(&self, folder: tempfile::TempDir) -> Bench {
        let (moto, registry) = (self.moto_at, self.registry_at);
        Bench::start_in(
            folder,
            &format!("http://{moto}"),
            &format!("http://{registry}"),
        )
        .await
    }
}

/// What became of a step of a push.
type Pushed = Result<String, (u16, String)>;

/// Pushes an image of one layer; the digest comes back.
async fn push(bench: &Bench, password: &str, repository: &str, tag: &str, layer: &str) -> Pushed {
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).to_string();
    for blob in [layer, &config] {
        let begin = Request::builder()
            .method(Method::POST)
            .uri(format!("/v2/{repository}/blobs/uploads/"));
        let location = step(bench, password, begin, "").await?;
        let location = location
            .strip_prefix(&format!("https://{HOST}"))
            .expect("the public host");
        assert!(
            location.starts_with(&format!("/v2/{repository}/blobs/uploads/")),
            "{location}"
        );
        let uri = format!("{location}&digest=sha256:{}", sha256(blob));
        let finish = Request::builder().method(Method::PUT).uri(uri);
        step(bench, password, finish, blob).await?;
    }
    let manifest = json!({
        "schemaVersion": 2, "mediaType": KIND,
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": config.len(), "digest": format!("sha256:{}", sha256(&config))},
        "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": layer.len(), "digest": format!("sha256:{}", sha256(layer))}],
    })
    .to_string();
    let put = Request::builder()
        .method(Method::PUT)
        .uri(format!("/v2/{repository}/manifests/{tag}"))
        .header("content-type", KIND);
    step(bench, password, put, &manifest).await?;
    Ok(format!("sha256:{}", sha256(&manifest)))
}

/// One step; the Location comes back.
async fn step(
    bench: &Bench,
    password: &str,
    request: http::request::Builder,
    body: &str,
) -> Pushed {
    let body = Bytes::from(body.to_owned());
    let answer = bench
        .registry(HOST, Some(password), request, body)
        .await
        .expect("an answer");
    let status = answer.status();
    if !status.is_success() {
        return Err((
            status.as_u16(),
            String::from_utf8_lossy(answer.body()).into_owned(),
        ));
    }
    let location = answer.headers().get("location").expect("a location");
    Ok(location.to_str().expect("text").to_owned())
}

async fn pull(bench: &Bench, password: &str, reference: &str) -> (u16, Bytes) {
    let request = Request::builder()
        .uri(format!("/v2/{REPOSITORY}/manifests/{reference}"))
        .header("accept", KIND);
    let answer = bench
        .registry(HOST, Some(password), request, "")
        .await
        .expect("an answer");
    (answer.status().as_u16(), answer.into_body())
}

async fn s3(bench: &Bench, method: Method, path: &str, body: &'static str) -> (u16, Bytes) {
    let request = signed(method, path, KEY, "us-east-1", "s3")
        .body(Full::from(body))
        .expect("a request");
    let answer = bench.api(request).await.expect("an answer");
    (answer.status().as_u16(), answer.into_body())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a moto_server in HYBRID_TEST_MOTO, and docker-registry"]
async fn images_are_pushed_and_pulled_as_ecr_would_have_it() {
    let behind = Behind::start();
    let bench = behind.front().await;
    let password = bench.password(KEY, REGION).await;

    let (status, text) = push(&bench, &password, REPOSITORY, "dev", "one")
        .await
        .expect_err("no repository");
    assert_eq!(status, 404);
    assert!(text.contains("The repository with name 'knowledge-repo-dev/web' does not exist in the registry with id '123456789012'"), "{text}");

    for (name, mutability) in [
        (REPOSITORY, "MUTABLE"),
        ("knowledge-repo-dev/fixed", "IMMUTABLE"),
    ] {
        let body = json!({"repositoryName": name, "imageTagMutability": mutability});
        assert_eq!(
            bench.ecr(KEY, REGION, "CreateRepository", &body).await.0,
            200
        );
    }
    let first = push(&bench, &password, REPOSITORY, "dev", "one")
        .await
        .expect("pushed");
    let second = push(&bench, &password, REPOSITORY, "dev", "two")
        .await
        .expect("pushed");
    let (status, manifest) = pull(&bench, &password, "dev").await;
    assert_eq!(
        (status, format!("sha256:{}", sha256(&manifest))),
        (200, second.clone())
    );
    // The tag moved on; what a pod is pinned to stays.
    assert_eq!(pull(&bench, &password, &first).await.0, 200);
    let known = json!({"repositoryName": REPOSITORY, "imageIds": [{"imageTag": "dev"}]});
    let (_, answer) = bench.ecr(KEY, REGION, "DescribeImages", &known).await;
    assert_eq!(answer["imageDetails"][0]["imageDigest"], second);
    let (status, text) = pull(&bench, &password, "nope").await;
    assert_eq!(status, 404);
    assert!(String::from_utf8_lossy(&text).contains("Requested image not found"));

    let fixed = "knowledge-repo-dev/fixed";
    push(&bench, &password, fixed, "v1", "one")
        .await
        .expect("pushed");
    for layer in ["one", "two"] {
        let (status, text) = push(&bench, &password, fixed, "v1", layer)
            .await
            .expect_err("fixed");
        assert_eq!(status, 400);
        assert!(text.contains("The image tag 'v1' already exists in the 'knowledge-repo-dev/fixed' repository and cannot be overwritten because the repository is immutable."), "{text}");
    }
    // What is deleted through the API is gone for pulls.
    let gone = json!({"repositoryName": REPOSITORY, "imageIds": [{"imageDigest": second}]});
    assert_eq!(
        bench.ecr(KEY, REGION, "BatchDeleteImage", &gone).await.0,
        200
    );
    assert_eq!(pull(&bench, &password, &second).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a moto_server in HYBRID_TEST_MOTO, and docker-registry"]
async fn a_pull_only_role_pulls_and_does_not_push() {
    let behind = Behind::start();
    let bench = behind.front().await;
    let body = json!({"repositoryName": REPOSITORY});
    assert_eq!(
        bench.ecr(KEY, REGION, "CreateRepository", &body).await.0,
        200
    );
    let admin = bench.password(KEY, REGION).await;
    push(&bench, &admin, REPOSITORY, "dev", "one")
        .await
        .expect("pushed");

    let policy = "%7B%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%5B%22ecr%3AGetAuthorizationToken%22%2C%22ecr%3ABatchGetImage%22%5D%2C%22Resource%22%3A%22%2A%22%7D%5D%2C%22Version%22%3A%222012-10-17%22%7D";
    let role = "reader";
    for form in [
        format!("Action=CreateRole&RoleName={role}&AssumeRolePolicyDocument=%7B%7D"),
        format!("Action=PutRolePolicy&RoleName={role}&PolicyName=p&PolicyDocument={policy}"),
    ] {
        let (status, text) = bench.query(KEY, "iam", &form).await;
        assert_eq!(status, 200, "{text}");
    }
    let form = format!(
        "Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2F{role}&RoleSessionName=me"
    );
    let (_, session) = bench.query(KEY, "sts", &form).await;
    let key = xml::first(&session, "AccessKeyId").expect("a key");
    let password = bench.password(&key, REGION).await;
    assert_eq!(pull(&bench, &password, "dev").await.0, 200);
    let (status, text) = push(&bench, &password, REPOSITORY, "new", "one")
        .await
        .expect_err("denied");
    assert_eq!(status, 403);
    assert!(text.contains("User: arn:aws:sts::123456789012:assumed-role/reader/me is not authorized to perform: ecr:InitiateLayerUpload on resource: arn:aws:ecr:eu-central-1:123456789012:repository/knowledge-repo-dev/web because no identity-based policy allows the ecr:InitiateLayerUpload action"), "{text}");
    // A change of its policy counts at once.
    let form = format!("Action=DeleteRolePolicy&RoleName={role}&PolicyName=p");
    assert_eq!(bench.query(KEY, "iam", &form).await.0, 200);
    assert_eq!(pull(&bench, &password, "dev").await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a moto_server in HYBRID_TEST_MOTO, and docker-registry"]
async fn an_emulator_that_died_comes_back_with_all_that_it_knew() {
    let mut behind = Behind::start();
    let bench = behind.front().await;
    let body = json!({"repositoryName": REPOSITORY});
    assert_eq!(
        bench
            .ecr("210987654321", "us-east-1", "CreateRepository", &body)
            .await
            .0,
        200
    );
    assert_eq!(
        bench.ecr(KEY, REGION, "CreateRepository", &body).await.0,
        200
    );
    let password = bench.password(KEY, REGION).await;
    let digest = push(&bench, &password, REPOSITORY, "dev", "one")
        .await
        .expect("pushed");
    for (method, path, body) in [
        (Method::PUT, "/hybrid-tfstate", ""),
        (Method::PUT, "/hybrid-tfstate/env%3A/dev/state", "1"),
        (Method::PUT, "/hybrid-tfstate/env%3A/dev/state", "2"),
        (
            Method::PUT,
            "/hybrid-tfstate/env%3A/dev/state.tflock",
            "lock",
        ),
        (
            Method::DELETE,
            "/hybrid-tfstate/env%3A/dev/state.tflock",
            "",
        ),
    ] {
        assert!(s3(&bench, method, path, body).await.0 < 300, "{path}");
    }
    let (_, session) = bench
        .query(KEY, "sts", "Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A210987654321%3Arole%2Fx&RoleSessionName=me")
        .await;
    let key = xml::first(&session, "AccessKeyId").expect("a key");

    behind.moto = None;
    assert_eq!(
        s3(&bench, Method::GET, "/hybrid-tfstate/env%3A/dev/state", "")
            .await
            .0,
        503
    );
    behind.start_moto();
    let (status, state) = s3(&bench, Method::GET, "/hybrid-tfstate/env%3A/dev/state", "").await;
    assert_eq!((status, state.as_ref()), (200, &b"2"[..]));
    assert_eq!(
        s3(
            &bench,
            Method::GET,
            "/hybrid-tfstate/env%3A/dev/state.tflock",
            ""
        )
        .await
        .0,
        404
    );
    assert_eq!(pull(&bench, &password, &digest).await.0, 200);
    let (status, _) = bench
        .ecr(
            "210987654321",
            "us-east-1",
            "DescribeRepositories",
            &body_of(REPOSITORY),
        )
        .await;
    assert_eq!(status, 200);
    let (_, who) = bench.query(&key, "sts", "Action=GetCallerIdentity").await;
    assert!(
        who.contains("arn:aws:sts::210987654321:assumed-role/x/me"),
        "{who}"
    );

    // A front that is started again tells nothing twice.
    let kept = bench.stop().await;
    let bench = behind.front_in(kept).await;
    assert_eq!(bench.admin(|admin| admin.replay()).await.expect("told"), 0);

    // Both are new: the journal is what is left.
    let kept = bench.stop().await;
    behind.start_moto();
    let bench = behind.front_in(kept).await;
    assert_eq!(pull(&bench, &password, "dev").await.0, 200);
    assert_eq!(
        s3(&bench, Method::GET, "/hybrid-tfstate/env%3A/dev/state", "")
            .await
            .1
            .as_ref(),
        b"2"
    );

    // A front with another journal takes the emulator for its own.
    let other = behind.front().await;
    assert_eq!(
        s3(&other, Method::GET, "/hybrid-tfstate/env%3A/dev/state", "")
            .await
            .0,
        404
    );
}

fn body_of(repository: &str) -> serde_json::Value {
    json!({"repositoryNames": [repository]})
}
