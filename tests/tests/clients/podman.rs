//! Podman, which asks by the entries of its own file.

use std::fs;
use std::path::Path;

use hybrid_tests::sandbox::endpoints::BASE_IMAGE;

use crate::MAIN;
use crate::person::{HELPER, Person, Said, front};

#[test]
#[ignore = "needs the sandbox and podman"]
fn podman_pushes_and_pulls_with_the_entry_of_its_own_file() {
    let front = front();
    let person = Person::new("podman", MAIN);
    // Docker's file is read last by Podman: here it must not be what helps.
    fs::remove_file(person.docker_config()).unwrap();
    let podman = Podman::of(&person);
    let configure = ["configure", "--podman", &person.host()];
    person
        .inside(&podman.variables, HELPER, &configure)
        .succeeds();
    fs::remove_file(person.docker_config()).unwrap();
    let auth = fs::read_to_string(person.path("home/.config/containers/auth.json")).unwrap();

    let image = person.image("podman");
    let tar = person.path("base.tar").display().to_string();
    person
        .docker(&["save", "--output", &tar, BASE_IMAGE])
        .succeeds();
    podman.run(&["load", "--quiet", "--input", &tar]).succeeds();
    let base = format!("localhost/{BASE_IMAGE}");
    podman
        .run(&["push", &podman.certificates, &base, &image])
        .succeeds();
    podman.run(&["rmi", "--all", "--force"]).succeeds();
    podman
        .run(&["pull", &podman.certificates, &image])
        .succeeds();
    assert_eq!(front.count("ecr:GetAuthorizationToken").unwrap(), 1);
    let kept = fs::read_to_string(person.path("home/.config/containers/auth.json")).unwrap();
    assert_eq!(kept, auth);

    person.run(HELPER, &["cache", "clear"]).succeeds();
    front
        .fail_spec("GetAuthorizationToken=AccessDeniedException")
        .unwrap();
    let refused = podman.run(&["pull", &podman.certificates, &image]);
    front.clear().unwrap();
    refused.fails_with("getting username and password");
    refused.fails_with("access denied");
}

/// Podman with storage and settings below the person's folder.
struct Podman<'a> {
    person: &'a Person,
    variables: Vec<(&'static str, String)>,
    /// The flag that names the certificates of registries.
    certificates: String,
}

impl<'a> Podman<'a> {
    fn of(person: &'a Person) -> Self {
        let place = |name: &str| person.path(name).display().to_string();
        let certificates = person.path("certificates");
        fs::create_dir(&certificates).unwrap();
        let state = std::env::var_os("HYBRID_SANDBOX_DIR").expect("the sandbox's environment");
        let ca = Path::new(&state).join("pki/ca.crt");
        fs::copy(ca, certificates.join("ca.crt")).unwrap();
        for folder in ["run", "home"] {
            fs::create_dir_all(person.path(folder)).unwrap();
        }
        let storage = format!(
            "[storage]\ndriver = \"vfs\"\nrunroot = \"{}\"\ngraphroot = \"{}\"\n",
            place("podman-run"),
            place("podman-storage")
        );
        fs::write(person.path("storage.conf"), storage).unwrap();
        fs::write(
            person.path("registries.conf"),
            "unqualified-search-registries = []\n",
        )
        .unwrap();
        let variables = vec![
            ("XDG_RUNTIME_DIR", place("run")),
            ("CONTAINERS_STORAGE_CONF", place("storage.conf")),
            ("CONTAINERS_REGISTRIES_CONF", place("registries.conf")),
        ];
        Self {
            person,
            variables,
            certificates: format!("--cert-dir={}", certificates.display()),
        }
    }

    fn run(&self, words: &[&str]) -> Said {
        // With DOCKER_CONFIG set Podman reads the file there and no other.
        let podman = ["--unset=DOCKER_CONFIG", "podman"];
        self.person
            .inside(&self.variables, "env", &[&podman, words].concat())
    }
}
