//! The example, deployed in the sandbox, and what programs say about it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hybrid_tests::bucket::aws;
use hybrid_tests::front::Admin;
use hybrid_tests::said::{Said, text};
use hybrid_tests::source_tree;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const NAMESPACE: &str = "knowledge-repo-dev";
/// The tag that the workspace's deploys move.
pub(crate) const WORKSPACE: &str = "dev";
/// The page of `web`, as a `NodePort` serves it.
pub(crate) const WEB: &str = "127.0.0.1:30300";
/// How long a page may take to show up once its roll-out is complete.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A copy of the example, in a folder of its own.
pub(crate) struct Project {
    folder: TempDir,
}

impl Project {
    pub(crate) fn copied() -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(
            &source_tree().join("examples/knowledge-repo"),
            folder.path(),
        );
        Self { folder }
    }

    /// A copy that is deployed.
    pub(crate) fn deployed() -> Self {
        let project = Self::copied();
        project.hybrid(&["deploy"]).succeeds();
        project
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command
            .arg("hybrid")
            .args(arguments)
            .current_dir(self.folder.path());
        command
    }

    pub(crate) fn hybrid(&self, arguments: &[&str]) -> Said {
        Said::of(&mut self.command(arguments))
    }

    /// Gives `web` a page that no run has had before, and returns its text.
    pub(crate) fn change_web(&self) -> String {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let text = format!("Edition {} of {}", since.as_nanos(), std::process::id());
        fs::write(self.path("web/www/index.html"), format!("<p>{text}</p>\n")).unwrap();
        text
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub(crate) fn front() -> Admin {
    Admin::new(std::env::var("AWS_ENDPOINT_URL").expect("the sandbox's environment"))
}

#[track_caller]
pub(crate) fn kubectl(arguments: &[&str]) -> String {
    let mut command = Command::new("kubectl");
    command.args(["--namespace", NAMESPACE]).args(arguments);
    Said::of(&mut command).succeeds().stdout
}

#[track_caller]
pub(crate) fn kubectl_json(arguments: &[&str]) -> Value {
    serde_json::from_str(&kubectl(&[arguments, &["--output=json"]].concat())).unwrap()
}

/// The image that a service is asked to run.
pub(crate) fn image_of(service: &str) -> String {
    let deployment = kubectl_json(&["get", "deployment", service]);
    text(&deployment["spec"]["template"]["spec"]["containers"][0]["image"]).to_owned()
}

/// The digest that the registry gives for the workspace's tag.
pub(crate) fn in_the_registry(service: &str) -> String {
    let repository = format!("{NAMESPACE}/{service}");
    let answer = aws(&[
        "ecr",
        "describe-images",
        "--repository-name",
        &repository,
        "--image-ids",
        &format!("imageTag={WORKSPACE}"),
    ]);
    text(&answer["imageDetails"][0]["imageDigest"]).to_owned()
}

/// The page at `/` of that address, or why there is none.
pub(crate) fn page(address: &str) -> Result<String, std::io::Error> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET / HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Waits until the page of `web` carries the text.
#[track_caller]
pub(crate) fn assert_web_shows(text: &str) {
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = page(WEB);
        if answer.as_ref().is_ok_and(|page| page.contains(text)) {
            return;
        }
        assert!(
            Instant::now() < end,
            "http://{WEB}/ does not show {text:?}: {answer:?}"
        );
        thread::sleep(Duration::from_millis(100));
    }
}
