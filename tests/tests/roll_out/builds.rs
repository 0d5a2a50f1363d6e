//! What a build gets beside its sources: secrets, an SSH agent, caches.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hybrid_tests::said::{Said, text};

use super::deployed::{PATIENCE, Project};

/// An SSH agent without keys. It ends with the test.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    /// Nothing when this machine has none.
    fn started(folder: &Path) -> Option<Self> {
        let socket = folder.join("agent.sock");
        let child = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        let agent = Self { child, socket };
        let end = Instant::now() + PATIENCE;
        while !agent.socket.exists() {
            assert!(Instant::now() < end, "the agent does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Some(agent)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Adds lines to the table of `web`.
pub(crate) fn configure(project: &Project, original: &str, lines: &str) {
    let table = "[services.web]\n";
    assert!(original.contains(table));
    let config = original.replace(table, &format!("{table}{lines}\n"));
    fs::write(project.path("hybrid.toml"), config).unwrap();
}

/// Writes the Dockerfile of `web`: these steps before its pages.
fn steps_before_the_pages(project: &Project, original: &str, steps: &str) {
    let from = "FROM busybox:1.36\n";
    let dockerfile = original.replace(from, &format!("{from}{steps}\n"));
    assert_ne!(dockerfile, original);
    fs::write(project.path("web/Dockerfile"), dockerfile).unwrap();
}

pub(crate) fn docker(arguments: &[&str]) -> String {
    let said = Said::of(Command::new("docker").args(arguments)).succeeds();
    said.stdout
}

/// The image that `web` is built as.
pub(crate) fn image(project: &Project) -> String {
    let plan = project
        .hybrid(&["build", "web", "--dry-run", "--output=json"])
        .succeeds()
        .json();
    text(&plan["plan"][0]["image"]).to_owned()
}

pub(crate) fn log() -> String {
    let home = std::env::var_os("HOME").expect("the sandbox's environment");
    let log = Path::new(&home).join(".cache/kubectl-hybrid/logs/knowledge-repo/web.log");
    fs::read_to_string(log).unwrap()
}

#[test]
#[ignore = "needs the sandbox"]
fn a_build_sees_secrets_and_an_agent_and_keeps_nothing_of_them() {
    let project = Project::copied();
    let Some(agent) = Agent::started(&project.path("")) else {
        eprintln!("skipped: there is no ssh-agent on this machine");
        return;
    };
    let page = project.change_web();
    let of_a_file = format!("{page} in a file");
    let of_a_variable = format!("{page} in a variable");
    fs::write(project.path("npmrc"), &of_a_file).unwrap();
    let config = fs::read_to_string(project.path("hybrid.toml")).unwrap();
    let lines =
        "secrets = [\"id=npmrc,src=npmrc\", \"id=token,env=BUILD_TOKEN\"]\nssh = [\"default\"]";
    configure(&project, &config, lines);
    let dockerfile = fs::read_to_string(project.path("web/Dockerfile")).unwrap();
    let steps = "RUN --mount=type=secret,id=npmrc --mount=type=secret,id=token \
                 wc -c /run/secrets/npmrc /run/secrets/token > /sizes\n\
                 RUN --mount=type=ssh test -S \"$SSH_AUTH_SOCK\"";
    steps_before_the_pages(&project, &dockerfile, steps);
    let image = image(&project);
    let mut command = project.command(&["build", "web"]);
    command
        .env("BUILD_TOKEN", &of_a_variable)
        .env("SSH_AUTH_SOCK", &agent.socket);
    let said = Said::of(&mut command).succeeds();

    let run = ["run", "--rm", "--network=none", &image];
    let sizes = docker(&[&run[..], &["cat", "/sizes"]].concat());
    for (secret, name) in [(&of_a_file, "npmrc"), (&of_a_variable, "token")] {
        let size = secret.len().to_string();
        let is_right = sizes.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some(&size) && words.next() == Some(&format!("/run/secrets/{name}"))
        });
        assert!(is_right, "{name}: {sizes}");
    }
    let left = docker(
        &[
            &run[..],
            &["find", "/run/secrets", "-type", "f", "-size", "+0"],
        ]
        .concat(),
    );
    assert_eq!(left, "");
    let history = docker(&["history", "--no-trunc", &image]);
    for text in [&said.stdout, &said.stderr, &history, &log()] {
        assert!(!text.contains(&of_a_file) && !text.contains(&of_a_variable));
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn a_build_takes_its_steps_from_a_cache_and_says_where_one_cannot_be_written() {
    let project = Project::copied();
    let config = fs::read_to_string(project.path("hybrid.toml")).unwrap();
    configure(&project, &config, "cache_to = [\"type=inline\"]");
    let dockerfile = fs::read_to_string(project.path("web/Dockerfile")).unwrap();
    steps_before_the_pages(
        &project,
        &dockerfile,
        "RUN head -c 16 /dev/urandom | sha256sum > /made",
    );
    let made = |image: &str| docker(&["run", "--rm", "--network=none", image, "cat", "/made"]);
    project.change_web();
    let first = image(&project);
    project.hybrid(&["build", "web", "--push"]).succeeds();
    let before = made(&first);
    // Nothing of it is left in the engine.
    docker(&["image", "rm", "--force", &first]);
    docker(&["builder", "prune", "--all", "--force"]);

    let lines = format!("cache_from = [\"type=registry,ref={first}\"]");
    configure(&project, &config, &lines);
    project.change_web();
    let second = image(&project);
    assert_ne!(first, second);
    project.hybrid(&["build", "web"]).succeeds();
    assert_eq!(made(&second), before, "{}", log());

    // The engine's own builder has no such cache; it says so itself, and the way out is told.
    configure(&project, &config, "cache_to = [\"type=local,dest=cache\"]");
    project.change_web();
    let said = project.hybrid(&["build", "web"]);
    let sentence = said.fails(6);
    assert!(
        sentence.contains("not supported for the docker driver"),
        "{sentence}"
    );
    assert!(
        said.stderr.contains("docker buildx create"),
        "{}",
        said.stderr
    );
}
