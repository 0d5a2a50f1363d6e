//! What people read when AWS says no, and what clients read.

use std::net::TcpListener;

use crate::api::{Api, Manner, password};
use crate::home::{BINARY, Home};
use crate::{HOST, NEIGHBOUR};

const NOT_FOUND: &str = "credentials not found in native keychain\n";

#[test]
fn a_refusal_is_one_sentence_on_both_streams() {
    let message = "User: arn:aws:iam::111122223333:user/ada is not authorized to perform: ecr:GetAuthorizationToken";
    let api = Api::start(Manner::Refuse("AccessDeniedException", message));
    let outcome = Home::of(&api).get(HOST);
    assert_eq!(outcome.code, Some(1));
    assert_eq!(outcome.stdout.lines().count(), 1);
    for stream in [&outcome.stdout, &outcome.stderr] {
        assert!(
            stream.contains(&format!(
                "Cannot get an ECR token for {HOST} from {}: access denied",
                api.url()
            )),
            "{stream}"
        );
        assert!(stream.contains("ecr:GetAuthorizationToken"));
    }
}

#[test]
fn each_cause_is_told_apart() {
    let rows = [
        (
            "ExpiredTokenException",
            "The security token included in the request is expired",
            "does not accept the credentials",
        ),
        (
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
            "does not accept the credentials",
        ),
        (
            "InvalidSignatureException",
            "Signature expired: 20260101T000000Z is now earlier than 20260101T010000Z",
            "clock",
        ),
        ("ThrottlingException", "Rate exceeded", "slow down"),
        (
            "OddException",
            "Something odd",
            "OddException: Something odd.",
        ),
    ];
    for (code, message, expected) in rows {
        let api = Api::start(Manner::Refuse(code, message));
        let stderr = Home::of(&api).get(HOST).stderr;
        assert!(stderr.contains(expected), "{code}: {stderr}");
    }
}

#[test]
fn a_token_of_another_account_than_the_profile_s_is_not_handed_out() {
    // The API always mints in the account of HOST.
    let api = Api::giving();
    let home = Home::of(&api).without("AWS_ACCESS_KEY_ID");
    home.write(
        ".aws/config",
        "[profile there]\nrole_arn = arn:aws:iam::444455556666:role/pull\nsource_profile = base\n\
         [profile base]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = s\n",
    );
    let outcome = home.get(NEIGHBOUR);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    for stream in [&outcome.stdout, &outcome.stderr] {
        assert!(
            stream.contains("acts in account 111122223333, not in 444455556666"),
            "{stream}"
        );
        assert!(stream.contains("Set AWS_PROFILE to a profile of that account"));
    }
    assert_eq!(outcome.stdout.lines().count(), 1);
    assert!(home.files_with("password-1").is_empty());
}

#[test]
fn an_expired_sso_session_names_the_command_to_run() {
    let api = Api::giving();
    let home = Home::of(&api).with_sso();
    let outcome = home.get(HOST);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome
            .stderr
            .contains("session of AWS profile `dev` has expired"),
        "{outcome:?}"
    );
    assert!(outcome.stderr.contains("aws sso login --profile dev"));
    assert!(outcome.stdout.contains("aws sso login --profile dev"));
    assert_eq!(api.calls(), 0);
}

#[test]
fn no_credentials_and_a_wrong_profile_are_named_without_a_call() {
    let api = Api::giving();
    let home = Home::of(&api).without("AWS_ACCESS_KEY_ID");
    assert!(
        home.get(HOST)
            .stderr
            .contains("There are no AWS credentials")
    );
    let home = home.with("AWS_PROFILE", "nobody");
    assert!(home.get(HOST).stderr.contains("`nobody` does not exist"));
    assert_eq!(api.calls(), 0);
}

#[test]
fn a_machine_without_a_role_is_a_lack_of_credentials() {
    let api = Api::giving();
    // A metadata service that is not there: the port was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let home = Home::of(&api)
        .without("AWS_ACCESS_KEY_ID")
        .without("AWS_EC2_METADATA_DISABLED")
        .with(
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            &format!("http://{port}"),
        );
    let stderr = home.get(HOST).stderr;
    assert!(stderr.contains("there are no AWS credentials"), "{stderr}");
    assert!(stderr.contains("hint: Set AWS_PROFILE"), "{stderr}");
}

#[test]
fn a_failing_credential_process_is_named() {
    let api = Api::giving();
    let home = Home::of(&api)
        .without("AWS_ACCESS_KEY_ID")
        .with("AWS_PROFILE", "p");
    // It fails because it knows no such words.
    let process = format!("[profile p]\ncredential_process = {BINARY} --token hunter2\n");
    home.write(".aws/config", &process);
    let outcome = home.get(HOST);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome
            .stderr
            .contains("no AWS credentials as profile p (credential process)"),
        "{outcome:?}"
    );
    assert!(!outcome.stderr.contains("hunter2"));
}

#[test]
fn an_api_that_cannot_be_reached_is_named() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let api = Api::giving();
    let home = Home::of(&api).with("AWS_ENDPOINT_URL", &format!("http://{port}"));
    let stderr = home.get(HOST).stderr;
    assert!(stderr.contains("AWS cannot be reached"), "{stderr}");
}

#[test]
fn a_proxy_of_the_environment_is_used() {
    let api = Api::giving();
    let proxy = Api::giving();
    let home = Home::of(&api)
        .with("AWS_ENDPOINT_URL", "http://ecr.example.invalid")
        .with("HTTP_PROXY", proxy.url())
        .with("http_proxy", proxy.url());
    assert_eq!(home.get(HOST).password(), password(1));
    assert_eq!(proxy.calls(), 1);
}

#[test]
fn a_broken_ca_bundle_is_named() {
    let api = Api::giving();
    let home = Home::of(&api);
    let bundle = home.write("ca.pem", "nothing");
    let home = home.with("AWS_CA_BUNDLE", bundle.to_str().unwrap());
    let stderr = home.get(HOST).stderr;
    assert!(stderr.contains("holds no certificate"), "{stderr}");
}

#[test]
fn a_silent_api_is_given_up_in_time() {
    let api = Api::start(Manner::Silence);
    let home = Home::of(&api).with("HYBRID_TIMEOUT", "1");
    let stderr = home.get(HOST).stderr;
    assert!(stderr.contains("did not answer in time"), "{stderr}");
}

#[test]
fn the_public_gallery_without_a_token_is_not_found() {
    let api = Api::start(Manner::Refuse("AccessDeniedException", "no"));
    let outcome = Home::of(&api).get("public.ecr.aws");
    assert_eq!(
        (
            outcome.code,
            outcome.stdout.as_str(),
            outcome.stderr.as_str()
        ),
        (Some(1), NOT_FOUND, "")
    );
}

#[test]
fn a_switch_turns_every_failure_into_not_found() {
    let api = Api::start(Manner::Refuse("AccessDeniedException", "no"));
    let outcome = Home::of(&api).with("HYBRID_NOT_FOUND_ONLY", "1").get(HOST);
    assert_eq!(
        (outcome.stdout.as_str(), outcome.stderr.as_str()),
        (NOT_FOUND, "")
    );
}

#[test]
fn wrong_settings_are_named_with_file_and_line() {
    let api = Api::giving();
    let home = Home::of(&api);
    let settings = home.write("settings.toml", "store = \"file\"\ncolour = 1\n");
    let home = home.with("HYBRID_HELPER_SETTINGS", settings.to_str().unwrap());
    let stderr = home.get(HOST).stderr;
    assert!(
        stderr.contains("settings.toml") && stderr.contains("line 2"),
        "{stderr}"
    );
    let home = home
        .with("HYBRID_HELPER_SETTINGS", "/does/not/exist")
        .with("HYBRID_STORE", "flie");
    let stderr = home.get(HOST).stderr;
    assert!(
        stderr.contains("`flie` is not a store; the choices are auto"),
        "{stderr}"
    );
}

#[test]
fn a_rule_with_a_profile_that_does_not_exist_is_named_with_its_file() {
    let api = Api::giving();
    let home = Home::of(&api);
    home.write(".aws/config", "[profile dev]\nregion = eu-west-1\n");
    home.write_settings("[[registry]]\nhost = \"1*.dkr.ecr.*.amazonaws.com\"\nprofile = \"dve\"\n");
    let stderr = home.get(HOST).stderr;
    for part in [
        "`dve`",
        "settings.toml`",
        "`1*.dkr.ecr.*.amazonaws.com`",
        "dev",
        "that rule",
    ] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    assert!(!stderr.contains("AWS_PROFILE"), "{stderr}");
}

#[test]
fn the_log_tells_what_happened_and_no_secret() {
    let api = Api::giving();
    let home = Home::of(&api).with("HYBRID_LOG", "debug");
    home.get(HOST);
    api.becomes(Manner::Refuse("AccessDeniedException", "no"));
    home.run(&["erase"], HOST);
    home.get(HOST);
    let files = home.files();
    let log = files.iter().find(|(path, _)| path.ends_with("helper.log"));
    let log = String::from_utf8(log.unwrap().1.clone()).unwrap();
    assert!(
        log.contains("minted for") && log.contains("access denied"),
        "{log}"
    );
    assert!(!log.contains("password-1"));
}
