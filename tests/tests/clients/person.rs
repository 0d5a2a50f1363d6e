//! A person with a home folder, a Docker configuration and a repository of their own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hybrid_tests::front::Admin;
use hybrid_tests::sandbox::endpoints::{BASE_IMAGE, registry_host};
use tempfile::TempDir;

pub(crate) const HELPER: &str = "docker-credential-ecr-hybrid";

/// A person. Their repository goes with them.
pub(crate) struct Person {
    folder: TempDir,
    account: &'static str,
    region: &'static str,
    repository: String,
}

/// What a program said, on both streams, and whether all went well.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) ok: bool,
    pub(crate) text: String,
}

impl Said {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output: Output = command
            .output()
            .unwrap_or_else(|error| panic!("{command:?} could not be started: {error}"));
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text"));
        Self {
            ok: output.status.success(),
            text: stdout + &stderr,
        }
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> String {
        assert!(self.ok, "{}", self.text);
        self.text
    }

    #[track_caller]
    pub(crate) fn fails_with(&self, sentence: &str) {
        assert!(!self.ok, "{}", self.text);
        assert!(
            self.text.contains(sentence),
            "no {sentence:?} in {}",
            self.text
        );
    }
}

impl Person {
    /// A person whose Docker asks the helper for a registry, as `configure` sets it up.
    pub(crate) fn new(name: &str, (account, region): (&'static str, &'static str)) -> Self {
        let person = Self {
            folder: tempfile::tempdir().expect("a folder"),
            account,
            region,
            repository: format!("clients/{name}-{}", std::process::id()),
        };
        let sandbox = std::env::var_os("DOCKER_CONFIG").expect("the sandbox's environment");
        fs::create_dir(person.path("docker")).expect("a folder");
        symlink(
            Path::new(&sandbox).join("cli-plugins"),
            person.path("docker/cli-plugins"),
        )
        .expect("a link");
        person
            .run(HELPER, &["configure", &person.host()])
            .succeeds();
        let create = ["ecr", "create-repository", "--repository-name"];
        person
            .run("aws", &[&create[..], &[&person.repository]].concat())
            .succeeds();
        person
    }

    pub(crate) fn host(&self) -> String {
        registry_host(self.account, self.region)
    }

    pub(crate) fn image(&self, tag: &str) -> String {
        format!("{}/{}:{tag}", self.host(), self.repository)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn docker_config(&self) -> PathBuf {
        self.path("docker/config.json")
    }

    /// A variable with a path below the person's folder.
    fn variables(&self) -> Vec<(&'static str, String)> {
        let place = |name: &str| self.path(name).display().to_string();
        vec![
            ("HOME", place("home")),
            ("DOCKER_CONFIG", place("docker")),
            ("HYBRID_CACHE_DIR", place("tokens")),
            // The emulator takes a key that is an account's number for a key of that account.
            ("AWS_ACCESS_KEY_ID", self.account.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "testing".to_owned()),
            ("AWS_REGION", self.region.to_owned()),
            ("AWS_DEFAULT_REGION", self.region.to_owned()),
            ("AWS_CONFIG_FILE", place("aws-config")),
            ("AWS_SHARED_CREDENTIALS_FILE", place("aws-credentials")),
        ]
    }

    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).envs(self.variables());
        command
    }

    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Said {
        Said::of(&mut self.command(program, arguments))
    }

    pub(crate) fn docker(&self, arguments: &[&str]) -> Said {
        self.run("docker", arguments)
    }

    /// A program where the registry's name is known: inside the sandbox's machine.
    pub(crate) fn inside(&self, more: &[(&str, String)], program: &str, words: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hybrid-sandbox"));
        command.args(["exec", "env"]);
        for (name, value) in self.variables() {
            command.arg(format!("{name}={value}"));
        }
        for (name, value) in more {
            command.arg(format!("{name}={value}"));
        }
        Said::of(command.arg(program).args(words))
    }

    /// Pushes the base image of the sandbox under a tag, and takes its name off the engine again.
    pub(crate) fn push(&self, tag: &str) -> String {
        let image = self.image(tag);
        self.docker(&["tag", BASE_IMAGE, &image]).succeeds();
        self.docker(&["push", &image]).succeeds();
        self.docker(&["rmi", &image]).succeeds();
        image
    }

    /// Writes a Dockerfile that starts from an image, in a folder that is returned.
    pub(crate) fn dockerfile(&self, from: &str) -> String {
        let context = self.path("context");
        fs::create_dir_all(&context).expect("a folder");
        let text = format!("FROM {from}\nRUN echo built > /built\n");
        fs::write(context.join("Dockerfile"), text).expect("a file");
        context.display().to_string()
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let delete = ["ecr", "delete-repository", "--force", "--repository-name"];
        // A test that has failed says why itself.
        drop(
            self.command("aws", &[&delete[..], &[&self.repository]].concat())
                .output(),
        );
    }
}

/// The front, with no fault planned, whatever an earlier test has left.
pub(crate) fn front() -> Admin {
    let url = std::env::var("AWS_ENDPOINT_URL").expect("the sandbox's environment");
    let admin = Admin::new(url);
    admin.clear().expect("no faults");
    admin.reset_calls().expect("no calls");
    admin
}
