//! Each way in which AWS or the way to it says no, as a person reads it in `docker pull`.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use hybrid_tests::front::Admin;
use hybrid_tests::sandbox::endpoints::{ACCOUNT, OTHER_ACCOUNT, registry_host};

use crate::MAIN;
use crate::person::{HELPER, Person, Said, front};
use crate::tls::interceptor;

/// A fault, and what is read of it.
struct Case {
    name: &'static str,
    /// For the front to fail with.
    fault: Option<&'static str>,
    /// Variables to set, or to remove.
    variables: Vec<(&'static str, Option<String>)>,
    sentence: &'static str,
    hint: &'static str,
}

impl Case {
    fn of_front(
        name: &'static str,
        fault: &'static str,
        sentence: &'static str,
        hint: &'static str,
    ) -> Self {
        Self {
            name,
            fault: Some(fault),
            variables: Vec::new(),
            sentence,
            hint,
        }
    }

    fn of_way(
        name: &'static str,
        variables: &[(&'static str, &str)],
        sentence: &'static str,
        hint: &'static str,
    ) -> Self {
        let owned = |(name, value): &(&'static str, &str)| {
            (*name, (!value.is_empty()).then(|| (*value).to_owned()))
        };
        Self {
            name,
            fault: None,
            variables: variables.iter().map(owned).collect(),
            sentence,
            hint,
        }
    }

    fn set(&self, command: &mut Command) {
        for (name, value) in &self.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
    }

    fn plan(&self, front: &Admin) {
        front.clear().unwrap();
        if let Some(fault) = self.fault {
            front
                .fail_spec(&format!("GetAuthorizationToken={fault}"))
                .unwrap();
        }
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn docker_pull_shows_each_cause_in_one_sentence_with_what_to_do() {
    let front = front();
    let person = Person::new("failures", MAIN);
    fs::write(person.path("aws-config"), SSO_PROFILE).unwrap();
    let moved = person.path("aws-moved");
    fs::write(&moved, moved_profile()).unwrap();
    let moved = moved.display().to_string();
    let bundle = person.path("ca.pem");
    let interceptor = interceptor(&bundle);
    let nobody = nobody();
    let dead = format!("http://{nobody}");
    #[rustfmt::skip]
    let cases = [
        Case::of_way("SSO", &[("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", ""), ("AWS_PROFILE", "dev")],
            "the login session of AWS profile `dev` has expired.", "Run: aws sso login --profile dev"),
        Case::of_way("no credentials", &[("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", ""), ("AWS_CONFIG_FILE", "/dev/null")],
            "There are no AWS credentials", "Set AWS_PROFILE, or run: aws configure sso"),
        Case::of_way("wrong account", &[("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", ""), ("AWS_CONFIG_FILE", &moved)],
            "profile moved (access key 210987654321) acts in account 210987654321, not in 123456789012", "Set AWS_PROFILE to a profile of that account"),
        Case::of_front("denied", "AccessDeniedException",
            "is not authorized to perform: ecr:GetAuthorizationToken", "Ask for a policy that allows this action"),
        Case::of_front("expired keys", "ExpiredTokenException",
            "AWS does not accept the credentials", "Renew AWS_ACCESS_KEY_ID"),
        Case::of_front("clock", "RequestExpired",
            "this machine's clock differs from that of AWS", "Set this machine's clock"),
        Case::of_front("throttled", "ThrottlingException",
            "AWS asks to slow down", "Try again in a minute"),
        Case::of_way("nobody listens", &[("AWS_ENDPOINT_URL", &dead)],
            "AWS cannot be reached", "Check the network or VPN"),
        Case::of_way("no name", &[("AWS_ENDPOINT_URL", "")],
            "AWS cannot be reached (failed to lookup address information", "Check the network or VPN"),
        Case::of_way("proxy", &[("AWS_ENDPOINT_URL", ""), ("HTTPS_PROXY", &dead)],
            "the proxy did not let the call through", "Check HTTPS_PROXY and NO_PROXY"),
        Case::of_way("TLS", &[("AWS_ENDPOINT_URL", &interceptor)],
            "the TLS certificate is not trusted", "set AWS_CA_BUNDLE to its certificate"),
    ];
    for case in cases {
        case.plan(&front);
        let mut pull = person.command("docker", &["pull", &person.image("1")]);
        case.set(&mut pull);
        let said = Said::of(&mut pull);
        front.clear().unwrap();
        println!("{}: {}", case.name, said.text);
        said.fails_with(case.sentence);
        said.fails_with(case.hint);
        let ours = said
            .text
            .lines()
            .filter(|line| line.starts_with("ecr-hybrid: "));
        assert_eq!(ours.count(), 1, "{}: {}", case.name, said.text);
    }
    // The hint about TLS is a true one: the server is trusted, and then it is no API.
    let mut pull = person.command("docker", &["pull", &person.image("1")]);
    pull.env("AWS_ENDPOINT_URL", &interceptor)
        .env("AWS_CA_BUNDLE", &bundle);
    let said = Said::of(&mut pull);
    said.fails_with("ecr-hybrid: ");
    assert!(!said.text.contains("not trusted"), "{}", said.text);
}

#[test]
#[ignore = "needs the sandbox"]
fn a_region_that_does_not_exist_is_told_from_a_network_that_does_not_work() {
    let _front = front();
    let person = Person::new("region", MAIN);
    let host = registry_host(ACCOUNT, "eu-nowhere-9");
    person.run(HELPER, &["configure", &host]).succeeds();
    // A machine on which the names of AWS resolve, and the region's does not.
    let hosts = person.path("hosts");
    fs::write(&hosts, "127.0.0.1 localhost sts.amazonaws.com\n").unwrap();
    let script = "mount --bind \"$0\" /etc/hosts && exec docker pull \"$1\"";
    let image = format!("{host}/app:1");
    let hosts = hosts.display().to_string();
    let words = ["--mount", "sh", "-c", script, &hosts, &image];
    let mut pull = person.command("unshare", &words);
    let said = Said::of(pull.env_remove("AWS_ENDPOINT_URL"));
    said.fails_with(
        "the region is unknown or not enabled (there is no api.ecr.eu-nowhere-9.amazonaws.com)",
    );
    said.fails_with("Check the region in the host name");
}

#[test]
#[ignore = "needs the sandbox"]
fn both_builders_show_the_sentence_too() {
    let front = front();
    let person = Person::new("failing-build", MAIN);
    let context = person.dockerfile(&person.image("none"));
    for buildkit in ["1", "0"] {
        front
            .fail_spec("GetAuthorizationToken=AccessDeniedException")
            .unwrap();
        let mut build = person.command("docker", &["build", "--pull", &context]);
        let said = Said::of(build.env("DOCKER_BUILDKIT", buildkit));
        front.clear().unwrap();
        said.fails_with("access denied");
        said.fails_with("Ask for a policy that allows this action");
    }
}

const SSO_PROFILE: &str = "[profile dev]\nsso_session = corp\nsso_account_id = 123456789012\n\
    sso_role_name = Admin\nregion = eu-central-1\n\
    [sso-session corp]\nsso_start_url = https://corp.invalid/start\nsso_region = eu-central-1\n";

/// A profile that is said to be of the registry's account, with keys of the other one. The emulator
/// takes a key that is an account's number for a key of that account.
fn moved_profile() -> String {
    format!(
        "[profile moved]\naws_account_id = {ACCOUNT}\naws_access_key_id = {OTHER_ACCOUNT}\n\
         aws_secret_access_key = testing\n"
    )
}

/// An address at which nobody listens: the port was free a moment ago.
fn nobody() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}
