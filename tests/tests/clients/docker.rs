//! Docker's own ways of asking: push, pull, login, and both builders.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use hybrid_tests::sandbox::endpoints::REGISTRY_PORT;

use crate::MAIN;
use crate::person::{HELPER, Person, Said, front};

#[test]
#[ignore = "needs the sandbox"]
fn push_pull_and_both_builders_share_one_token_and_write_none() {
    let front = front();
    let person = Person::new("docker", MAIN);
    let before = fs::read_to_string(person.docker_config()).unwrap();
    let image = person.push("1");
    person.docker(&["pull", &image]).succeeds();
    let context = person.dockerfile(&image);
    for (buildkit, mark) in [("1", "load metadata for"), ("0", "Step 1/2 : FROM")] {
        person.docker(&["rmi", &image]).succeeds();
        let build = ["build", "--pull", "--no-cache", "--quiet=false", &context];
        let said = Said::of(
            person
                .command("docker", &build)
                .env("DOCKER_BUILDKIT", buildkit)
                .env("BUILDKIT_PROGRESS", "plain"),
        )
        .succeeds();
        assert!(
            said.contains(mark),
            "another builder than {buildkit}: {said}"
        );
        // So that the next one has to pull.
        person.docker(&["pull", "--quiet", &image]).succeeds();
    }
    assert_eq!(front.count("ecr:GetAuthorizationToken").unwrap(), 1);
    let after = fs::read_to_string(person.docker_config()).unwrap();
    assert_eq!(after, before);
}

#[test]
#[ignore = "needs the sandbox"]
fn as_the_store_of_all_it_serves_the_classic_builder_and_refuses_others_aloud() {
    let _front = front();
    let person = Person::new("store", MAIN);
    let image = person.push("1");
    fs::write(person.docker_config(), "{\"credsStore\":\"ecr-hybrid\"}").unwrap();
    let context = person.dockerfile(&image);
    let build = ["build", "--pull", "--no-cache", &context];
    Said::of(person.command("docker", &build).env("DOCKER_BUILDKIT", "0")).succeeds();
    // The registry behind the front takes any login, and this one would be lost.
    let other = format!("127.0.0.1:{REGISTRY_PORT}");
    let login = login(&person, &other, "ada", "not-a-secret");
    login.fails_with("Error saving credentials");
    login.fails_with(&format!("ecr-hybrid keeps no login for {other}"));
}

#[test]
#[ignore = "needs the sandbox"]
fn login_and_logout_succeed_and_keep_nothing_in_the_file() {
    let _front = front();
    let person = Person::new("login", MAIN);
    let host = person.host();
    let password = person.run("aws", &["ecr", "get-login-password"]).succeeds();
    login(&person, &host, "AWS", password.trim()).succeeds();
    // Without a user name Docker asks the helper, and brings back what it got.
    person.docker(&["login", &host]).succeeds();
    let config = fs::read_to_string(person.docker_config()).unwrap();
    assert!(!config.contains(password.trim()), "{config}");
    person.docker(&["logout", &host]).succeeds();
    let kept = Said::of(person.command(HELPER, &["list"]).stdin(Stdio::null()));
    assert_eq!(kept.succeeds(), "{}\n");
}

fn login(person: &Person, host: &str, user: &str, password: &str) -> Said {
    let words = ["login", "--username", user, "--password-stdin", host];
    let mut child = person
        .command("docker", &words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(password.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    Said {
        ok: output.status.success(),
        text: String::from_utf8(text).unwrap(),
    }
}
