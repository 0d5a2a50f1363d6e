//! A login by SSO that ends while a deploy is on its way.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hybrid_tests::said::Said;
use hybrid_tests::sandbox::endpoints::BASE_IMAGE;

use super::deployed::{Project, assert_web_shows, in_the_registry};
use super::engine_of_today::Engine;
use super::{image_of, step};

const PROFILE: &str = "[profile team]\nsso_session = corp\nsso_account_id = 123456789012\n\
    sso_role_name = dev\nregion = eu-central-1\n[sso-session corp]\n\
    sso_region = eu-central-1\nsso_start_url = https://corp.example/start\n";

/// The login as `aws sso login` writes it down; the name is the SHA-1 of `corp`.
const LOGIN_FILE: &str = ".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
const LOGIN: &str = r#"{"startUrl":"https://corp.example/start","region":"eu-central-1",
    "accessToken":"a-login","expiresAt":"2100-01-01T00:00:00Z"}"#;

/// What a portal of IAM Identity Center gives to who has logged in: the key that the emulator takes.
const GIVEN: &str = r#"{"roleCredentials":{"accessKeyId":"testing","secretAccessKey":"testing",
    "sessionToken":"t","expiration":4102444800000}}"#;
const REFUSED: &str =
    r#"{"__type":"UnauthorizedException","message":"Session token not found or invalid"}"#;

const EXPIRED: &str = "the login session of AWS profile `team` has expired";
const COMMAND: &str = "aws sso login --profile team";

/// A portal, which no emulator has.
struct Portal {
    url: String,
    has_ended: Arc<AtomicBool>,
}

impl Portal {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let has_ended = Arc::new(AtomicBool::new(false));
        let shared = has_ended.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                answer(&stream, shared.load(Ordering::SeqCst));
            }
        });
        Self { url, has_ended }
    }

    fn end(&self, ended: bool) {
        self.has_ended.store(ended, Ordering::SeqCst);
    }
}

fn answer(mut stream: &TcpStream, has_ended: bool) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while lines.next().is_some_and(|line| !line.is_empty()) {}
    let (status, body) = if has_ended {
        (401, REFUSED)
    } else {
        (200, GIVEN)
    };
    let _ = write!(
        stream,
        "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
}

/// The plugin of somebody who has logged in by SSO and keeps no tokens, so that each process asks.
fn plugin(project: &Project, engine: &Engine, portal: &Portal, arguments: &[&str]) -> Command {
    let login = project.path("home").join(LOGIN_FILE);
    fs::create_dir_all(login.parent().unwrap()).unwrap();
    fs::write(login, LOGIN).unwrap();
    fs::write(project.path("aws-config"), PROFILE).unwrap();
    let mut command = Command::new("kubectl-hybrid");
    command
        .args(arguments)
        .current_dir(project.path(""))
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env("HOME", project.path("home"))
        .env("AWS_CONFIG_FILE", project.path("aws-config"))
        .env("AWS_PROFILE", "team")
        .env("AWS_ENDPOINT_URL_SSO", &portal.url)
        .env("HYBRID_STORE", "none")
        .envs(engine.is_chosen_by())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[test]
#[ignore = "needs the sandbox"]
fn a_login_that_ends_half_way_is_named_with_its_command_and_the_next_deploy_goes_on() {
    ends_half_way(&Engine::OfTheSandbox);
}

/// A login ends between build and push, and before a build that pulls. A new one heals it.
pub(super) fn ends_half_way(engine: &Engine) {
    let project = Project::deployed();
    let page = project.change_web();
    let before = (image_of("web"), in_the_registry("web"));
    let portal = Portal::open();
    let plugin = |arguments: &[&str]| plugin(&project, engine, &portal, arguments);
    let mut child = plugin(&["deploy", "web"]).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut stderr = String::new();
    for line in lines.map_while(Result::ok) {
        if step(&line) == "built" {
            portal.end(true);
        }
        stderr.push_str(&line);
        stderr.push('\n');
    }
    let said = Said {
        code: child.wait().unwrap().code(),
        stdout: String::new(),
        stderr,
    };
    let sentence = said.fails(5);
    assert!(sentence.contains(EXPIRED), "{sentence}");
    assert!(said.stderr.contains(COMMAND), "{}", said.stderr);
    assert_eq!((image_of("web"), in_the_registry("web")), before);

    // A base image is asked for by the builder, with the same helper.
    let dockerfile = fs::read_to_string(project.path("web/Dockerfile")).unwrap();
    let private = image_of("api");
    let on_a_private_base = dockerfile.replace(BASE_IMAGE, &private);
    assert_ne!(on_a_private_base, dockerfile);
    fs::write(project.path("web/Dockerfile"), on_a_private_base).unwrap();
    let said = Said::of(&mut plugin(&["build", "web"]));
    let sentence = said.fails(5);
    assert!(sentence.contains(EXPIRED), "{sentence}");
    assert!(said.stderr.contains(COMMAND), "{}", said.stderr);
    fs::write(project.path("web/Dockerfile"), dockerfile).unwrap();

    portal.end(false);
    Said::of(&mut plugin(&["deploy", "web"])).succeeds();
    assert_web_shows(&page);
}
