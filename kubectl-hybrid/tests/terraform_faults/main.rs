//! Faults of S3 and `DynamoDB` that an emulator does not show, and a Terraform that misbehaves.

#![expect(
    clippy::unwrap_used,
    reason = "A test ends where something is not as it should be."
)]

#[cfg(unix)]
mod credential_process;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use ecr_hybrid::aws::sdk_config;
use futures::future::BoxFuture;
use kubectl_hybrid::project::config::ContractSource;
use kubectl_hybrid::terraform::contract::{ContractRead, Provenance, ReadError, ReadRequest, read};
use kubectl_hybrid::terraform::keys::Workspace;
use kubectl_hybrid::terraform::lock;
use kubectl_hybrid::terraform::root::{Root, TerraformEnv};
use kubectl_hybrid::terraform::state::{DigestCheck, StateError, StateFacts};

/// What a request asks for: `GET /bucket/key` or `GetItem LockID`.
type Answers = Box<dyn FnMut(&str) -> Answer + Send>;

struct Answer {
    status: u16,
    headers: &'static str,
    body: String,
}

fn answer(status: u16, body: impl Into<String>) -> Answer {
    Answer {
        status,
        headers: "",
        body: body.into(),
    }
}

fn s3_error(status: u16, code: &str) -> Answer {
    answer(
        status,
        format!("<Error><Code>{code}</Code><Message>No.</Message></Error>"),
    )
}

fn dynamodb_error(code: &str) -> Answer {
    answer(
        400,
        format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"No."}}"#),
    )
}

/// Answers on an address of its own until the process ends.
fn serve(answers: Answers) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let answers = Arc::new(Mutex::new(answers));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let answers = Arc::clone(&answers);
            std::thread::spawn(move || answer_one(stream.unwrap(), &answers));
        }
    });
    endpoint
}

fn answer_one(stream: TcpStream, answers: &Mutex<Answers>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut words = line.split(' ').map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return;
    };
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let asked = match headers
        .get("x-amz-target")
        .and_then(|target| target.split_once('.'))
    {
        Some((_, action)) => {
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let id = body["Key"]["LockID"]["S"].as_str().unwrap_or_default();
            format!("{action} {id}").trim_end().to_owned()
        }
        None => format!("{method} {}", target.split('?').next().unwrap()),
    };
    let answer = (answers.lock().unwrap())(&asked);
    let head = format!(
        "HTTP/1.1 {} X\r\nContent-Length: {}\r\n{}Connection: close\r\n\r\n",
        answer.status,
        answer.body.len(),
        answer.headers
    );
    let mut stream = reader.into_inner();
    // Who asked may have given up.
    let _sent = stream.write_all(head.as_bytes());
    if method != "HEAD" {
        let _sent = stream.write_all(answer.body.as_bytes());
    }
}

fn load(profile: Option<String>, region: Option<String>) -> BoxFuture<'static, SdkConfig> {
    Box::pin(async move {
        let credentials = Credentials::from_keys("id", "secret", None);
        let config = sdk_config(profile.as_deref(), region.as_deref()).await;
        let config = config.into_builder();
        config
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build()
    })
}

const STATE: &str = "GET /b/k";
const DIGEST: &str = "GetItem b/k-md5";

fn state() -> String {
    r#"{"version":4,"terraform_version":"1.11.4","serial":1,"lineage":"l","resources":[],"outputs":
    {"hybrid":{"value":{"schema_version":1,"project":"p","environment":"e","workspace":"default",
    "aws":{"account_id":"123456789012","region":"eu-central-1","registry":"r.example.com"},
    "state":{"lock":"none"},"cluster":{"namespace":"n"},"services":{}}}}}"#
        .to_owned()
}

fn root(dir: &Path, endpoint: &str) -> Root {
    std::fs::write(dir.join("main.tf"), "terraform {\n  backend \"s3\" {}\n}\n").unwrap();
    let hcl = format!(
        "bucket = \"b\"\nkey = \"k\"\nregion = \"eu-central-1\"\ndynamodb_table = \"t\"\n\
         endpoints = {{ s3 = \"{endpoint}\", dynamodb = \"{endpoint}\" }}\n"
    );
    std::fs::write(dir.join("backend.hcl"), hcl).unwrap();
    Root::open(dir, None, TerraformEnv::default()).unwrap()
}

async fn read_with(
    answers: impl FnMut(&str) -> Answer + Send + 'static,
) -> Result<ContractRead, ReadError> {
    let dir = tempfile::tempdir().unwrap();
    let root = root(dir.path(), &serve(Box::new(answers)));
    read(&ReadRequest {
        root: Some(&root),
        backend: None,
        workspace: &Workspace::default_workspace(),
        source: ContractSource::Auto,
        project: None,
        cache_dir: None,
        load_aws: &load,
    })
    .await
}

#[tokio::test]
async fn access_denied_to_the_state_is_one_sentence_about_who_asks() {
    let error = read_with(|asked| match asked {
        STATE => s3_error(403, "AccessDenied"),
        _ => answer(200, "{}"),
    })
    .await
    .unwrap_err();
    assert_eq!(error.to_string(), "access to the state s3://b/k is denied");
    assert!(error.is_authentication());
    assert!(error.hint().unwrap().contains("s3:ListBucket"));
}

#[tokio::test]
async fn an_expired_login_is_about_who_asks() {
    let error = read_with(|asked| match asked {
        STATE => s3_error(400, "ExpiredToken"),
        _ => answer(200, "{}"),
    })
    .await
    .unwrap_err();
    assert!(error.is_authentication(), "{error}");
}

#[tokio::test]
async fn a_bucket_in_another_region_is_named_with_its_region() {
    let error = read_with(|asked| match asked {
        STATE => Answer {
            headers: "x-amz-bucket-region: us-east-1\r\n",
            ..s3_error(301, "PermanentRedirect")
        },
        _ => answer(200, "{}"),
    })
    .await
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the state bucket `b` is not in eu-central-1"
    );
    assert_eq!(
        error.hint().unwrap(),
        "Set the backend's region to us-east-1."
    );
}

#[tokio::test]
async fn a_reader_without_access_to_the_lock_table_still_reads() {
    let read = read_with(|asked| match asked {
        STATE => answer(200, state()),
        _ => dynamodb_error("AccessDeniedException"),
    })
    .await
    .unwrap();
    assert!(
        matches!(
            &read.provenance,
            Provenance::State(StateFacts {
                digest: DigestCheck::Unknown(_),
                ..
            })
        ),
        "{read:?}"
    );
}

#[tokio::test]
async fn a_writer_between_state_and_digest_is_waited_for() {
    let mut old = true;
    let read = read_with(move |asked| match asked {
        STATE => answer(200, state()),
        DIGEST if std::mem::take(&mut old) => {
            answer(200, r#"{"Item":{"Digest":{"S":"of the last version"}}}"#)
        }
        _ => answer(200, "{}"),
    })
    .await
    .unwrap();
    assert!(
        matches!(
            read.provenance,
            Provenance::State(StateFacts {
                digest: DigestCheck::NoRow,
                ..
            })
        ),
        "{read:?}"
    );
}

#[tokio::test]
async fn locks_are_read_where_the_state_may_not_be() {
    let dir = tempfile::tempdir().unwrap();
    let info = r#"{\"ID\":\"7\",\"Who\":\"a@b\"}"#;
    let endpoint = serve(Box::new(move |asked| match asked {
        "GetItem b/k" => answer(200, format!(r#"{{"Item":{{"Info":{{"S":"{info}"}}}}}}"#)),
        _ => s3_error(403, "AccessDenied"),
    }));
    let root = root(dir.path(), &endpoint);
    let (access, backend) = lock::open(Some(&root), None, &load).await.unwrap();
    let locks = lock::read(&access, &backend, &Workspace::default_workspace())
        .await
        .unwrap();
    assert_eq!((locks.ids(), locks.state_exists), (vec!["7"], None));
}

#[tokio::test]
async fn a_lock_table_that_may_not_be_read_is_an_error_and_not_a_free_lock() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = serve(Box::new(|asked| match asked {
        "GetItem b/k" => dynamodb_error("AccessDeniedException"),
        asked if asked.starts_with("GetItem") => answer(200, "{}"),
        _ => s3_error(404, "NoSuchKey"),
    }));
    let root = root(dir.path(), &endpoint);
    let (access, backend) = lock::open(Some(&root), None, &load).await.unwrap();
    let read = lock::read(&access, &backend, &Workspace::default_workspace()).await;
    assert!(read.unwrap_err().to_string().contains("access denied"));
}

#[tokio::test]
async fn an_object_that_stays_without_its_digest_is_reported() {
    let error = read_with(|asked| match asked {
        STATE => answer(200, state()),
        _ => answer(200, r#"{"Item":{"Digest":{"S":"another"}}}"#),
    })
    .await
    .unwrap_err();
    assert!(
        matches!(error, ReadError::State(StateError::WrongDigest { .. })),
        "{error}"
    );
}

/// A program in the place of Terraform that writes down how it was called.
#[cfg(unix)]
fn fake_terraform(dir: &Path) -> Root {
    use std::os::unix::fs::PermissionsExt;
    let program = dir.join("fake-terraform");
    let state = state();
    // The outputs are the state's last field: all but its own closing brace.
    let (_, outputs) = state.split_once("\"outputs\":").unwrap();
    let outputs = outputs.trim().strip_suffix('}').unwrap();
    let script = format!(
        "#!/bin/sh\necho \"$* in ${{TF_WORKSPACE-none}}\" >>'{}/calls'\ncase \"$*\" in\n\
         *list*) printf '* default\\n  dev\\n' ;;\n\
         *) cat <<'END'\n{outputs}\n\nWarning: Deprecated Parameter\nEND\n;;\nesac\n",
        dir.display(),
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(
        dir.join("main.tf"),
        "terraform {\n  backend \"gcs\" {}\n}\n",
    )
    .unwrap();
    Root::open(dir, Some(&program), TerraformEnv::default()).unwrap()
}

#[tokio::test]
#[cfg(unix)]
async fn other_backends_are_asked_for_through_terraform_whatever_it_prints() {
    let dir = tempfile::tempdir().unwrap();
    let root = fake_terraform(dir.path());
    let read_in = async |workspace: &str| {
        read(&ReadRequest {
            root: Some(&root),
            backend: None,
            workspace: &Workspace::new(workspace).unwrap(),
            source: ContractSource::Auto,
            project: None,
            cache_dir: None,
            load_aws: &load,
        })
        .await
    };
    let read = read_in("default").await.unwrap();
    assert_eq!(
        read.provenance,
        Provenance::Cli {
            because: Some("its backend is `gcs`".to_owned())
        }
    );
    // The contract of another workspace is not taken for the one that was asked for.
    let error = read_in("dev").await.unwrap_err();
    assert!(matches!(error, ReadError::OtherWorkspace { .. }), "{error}");
    let error = read_in("typo").await.unwrap_err();
    assert!(
        error.to_string().contains("`typo` does not exist"),
        "{error}"
    );
    let calls = std::fs::read_to_string(dir.path().join("calls")).unwrap();
    let chdir = format!("-chdir={}", dir.path().display());
    let expected = [
        "output -json -no-color in default",
        "workspace list -no-color in none",
        "output -json -no-color in dev",
        // Not asked for the outputs of `typo`: that would create it.
        "workspace list -no-color in none",
    ];
    let calls: Vec<_> = calls
        .lines()
        .map(|line| line.strip_prefix(&format!("{chdir} ")).unwrap())
        .collect();
    assert_eq!(calls, expected);
}
