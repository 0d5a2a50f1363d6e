//! The Docker engine as people install it today: it keeps images in containerd, does not wait for a
//! registry that fails, and has other words for what one refuses.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use hybrid_tests::said::{Said, text};
use hybrid_tests::sandbox::endpoints::BASE_IMAGE;
use tempfile::TempDir;

use super::buildkit::{Base, build_on};
use super::deployed::{Project, assert_web_shows, front, in_the_registry};
use super::{image_of, inside, sign_on, terminate, until};

/// A network of its own, which takes nothing away from the sandbox's engine.
const BRIDGE: &str = "of-today";
const BRIDGE_ADDRESS: &str = "172.30.99.1/24";

/// What the plugin builds and pushes with.
pub(super) enum Engine {
    /// The one that the environment names.
    OfTheSandbox,
    /// Another one.
    OfToday(OfToday),
}

impl Engine {
    fn hybrid(&self, project: &Project, arguments: &[&str]) -> Said {
        let mut command = project.command(arguments);
        command.envs(self.is_chosen_by());
        Said::of(&mut command)
    }

    /// The variable that has Docker's client use it.
    pub(super) fn is_chosen_by(&self) -> Option<(&'static str, String)> {
        match self {
            Self::OfTheSandbox => None,
            Self::OfToday(engine) => Some(("DOCKER_HOST", engine.address())),
        }
    }
}

/// A running engine with nothing in it but the base image. It ends with the test.
pub(super) struct OfToday {
    child: Child,
    folder: TempDir,
}

impl OfToday {
    fn started() -> Self {
        let program = std::env::var("HYBRID_TEST_DOCKERD").expect("`cargo sandbox test` says");
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name).display().to_string();
        let settings = place("settings");
        std::fs::write(&settings, "{}").unwrap();
        // One that was killed has left it.
        let add = format!(
            "ip link delete {BRIDGE} 2>/dev/null; ip link add {BRIDGE} type bridge && \
             ip address add {BRIDGE_ADDRESS} dev {BRIDGE} && ip link set {BRIDGE} up"
        );
        Said::of(&mut inside(&["sh", "-c", &add])).succeeds();
        let (socket, root, run) = (place("socket"), place("root"), place("run"));
        let (host, pid) = (format!("unix://{socket}"), place("pid"));
        let words = [
            program.as_str(),
            "--config-file",
            &settings,
            "--host",
            &host,
            "--data-root",
            &root,
            "--exec-root",
            &run,
            "--pidfile",
            &pid,
            "--exec-opt=native.cgroupdriver=cgroupfs",
            "--bridge",
            BRIDGE,
            // They are the sandbox's engine's.
            "--iptables=false",
            "--ip6tables=false",
            "--userland-proxy=false",
        ];
        let child = inside(&words)
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let engine = Self { child, folder };
        let answers = || engine.docker(&["version"]).code == Some(0);
        until(answers, || engine.log());
        engine.has_the_base_image();
        engine
    }

    fn has_the_base_image(&self) {
        let image = self.folder.path().join("base.tar").display().to_string();
        let mut save = Command::new("docker");
        save.args(["save", "--output", &image, BASE_IMAGE]);
        Said::of(&mut save).succeeds();
        self.docker(&["load", "--input", &image]).succeeds();
    }

    fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("socket").display())
    }

    fn docker(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new("docker");
        command.args(arguments).env("DOCKER_HOST", self.address());
        Said::of(&mut command)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for OfToday {
    fn drop(&mut self) {
        terminate(&mut self.child);
        drop(inside(&["ip", "link", "delete", BRIDGE]).status());
    }
}

#[test]
#[ignore = "needs the sandbox and an engine of today"]
fn a_deploy_is_as_with_any_engine_and_the_next_one_has_nothing_to_do() {
    let project = Project::deployed();
    let of_today = OfToday::started();
    let driver = of_today
        .docker(&["info", "--format", "{{json .DriverStatus}}"])
        .succeeds()
        .stdout;
    assert!(driver.contains("io.containerd.snapshotter"), "{driver}");
    let engine = Engine::OfToday(of_today);

    let page = project.change_web();
    engine.hybrid(&project, &["deploy"]).succeeds();
    assert_web_shows(&page);
    let digest = in_the_registry("web");
    assert!(image_of("web").ends_with(&digest));
    let report = engine
        .hybrid(&project, &["deploy", "--output=json"])
        .succeeds()
        .json();
    for service in report["services"].as_array().unwrap() {
        assert_eq!(
            (&service["built"], &service["rolled"]),
            (&false.into(), &false.into())
        );
    }

    // An image that is in this engine only, and that a deploy has not made.
    let other = project.change_web();
    let folder = project.path("web").display().to_string();
    let mut build = Command::new("docker");
    build
        .args(["build", "--quiet", "--tag", "made-by-hand:1", &folder])
        .envs(engine.is_chosen_by());
    Said::of(&mut build).succeeds();
    let deploy = ["deploy", "web", "--image", "web=made-by-hand:1"];
    let report = engine
        .hybrid(&project, &[&deploy[..], &["--output=json"]].concat())
        .succeeds()
        .json();
    assert_web_shows(&other);
    let pushed = text(&report["services"][0]["digest"]);
    assert!(image_of("web").ends_with(pushed) && pushed != digest);
}

#[test]
#[ignore = "needs the sandbox and an engine of today"]
fn a_registry_that_stumbles_is_outlasted_and_one_that_is_down_is_named() {
    let project = Project::deployed();
    let engine = Engine::OfToday(OfToday::started());
    let page = project.change_web();
    let mut faults = Some(front().faulty().failing("registry:push=503").unwrap());
    let (name, address) = engine.is_chosen_by().unwrap();
    let mut child = Command::new("kubectl-hybrid")
        .args(["deploy", "web"])
        .current_dir(project.path(""))
        .env(name, address)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = String::new();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        if line.contains("did not take `web`; the push begins again in 1 s") {
            faults = None;
        }
        stderr.push_str(&line);
    }
    assert_eq!(child.wait().unwrap().code(), Some(0), "{stderr}");
    assert!(faults.is_none(), "{stderr}");
    assert_web_shows(&page);

    let before = (image_of("web"), in_the_registry("web"));
    let page = project.change_web();
    let faults = front().faulty().failing("registry:push=500").unwrap();
    let said = engine.hybrid(&project, &["deploy", "web"]);
    drop(faults);
    let sentence = said.fails(6);
    assert!(
        sentence.contains("cannot push") && sentence.contains("500 Internal Server Error"),
        "{sentence}"
    );
    assert_eq!((image_of("web"), in_the_registry("web")), before);
    engine.hybrid(&project, &["deploy", "web"]).succeeds();
    assert_web_shows(&page);
}

#[track_caller]
fn assert_renewed(said: &Said, done: &str) {
    let sentence = format!("did not take the token while `web` was {done}; a new one is minted");
    assert!(said.stderr.contains(&sentence), "{}", said.stderr);
    assert!(said.stderr.contains("regcred updated"), "{}", said.stderr);
}

#[test]
#[ignore = "needs the sandbox and an engine of today"]
fn a_token_that_the_registry_refuses_is_renewed() {
    let project = Project::deployed();
    let engine = Engine::OfToday(OfToday::started());
    project.change_web();
    engine.hybrid(&project, &["deploy", "web"]).succeeds();
    let page = project.change_web();
    assert!(front().expire_tokens().unwrap() > 0);
    let said = engine.hybrid(&project, &["deploy", "web"]).succeeds();
    assert_renewed(&said, "pushed");
    assert_web_shows(&page);
    a_private_base(&engine);
}

#[test]
#[ignore = "needs the sandbox"]
fn a_token_that_is_refused_for_a_private_base_is_renewed() {
    a_private_base(&Engine::OfTheSandbox);
}

fn a_private_base(engine: &Engine) {
    let project = Project::deployed();
    let base = Base::pushed();
    build_on(&project, &base.image);
    let page = project.change_web();
    assert!(front().expire_tokens().unwrap() > 0);
    let said = engine.hybrid(&project, &["deploy", "web"]).succeeds();
    assert_renewed(&said, "built");
    assert_web_shows(&page);
}

#[test]
#[ignore = "needs the sandbox and an engine of today"]
fn a_login_that_ends_half_way_is_named_with_its_command() {
    sign_on::ends_half_way(&Engine::OfToday(OfToday::started()));
}
