//! A credential process that takes its time: it may wait for a person.

use crate::HOST;
use crate::api::{Api, password};
use crate::home::Home;

/// A home whose profile `p` has a process that notes each start and answers after some seconds.
fn home(api: &Api, seconds: u32) -> Home {
    let home = Home::of(api)
        .without("AWS_ACCESS_KEY_ID")
        .with("AWS_PROFILE", "p");
    let starts = home.path().join("starts");
    let script = home.write(
        "process.sh",
        &format!(
            "echo start >> '{}'\n/bin/sleep {seconds}\n\
             echo '{{\"Version\":1,\"AccessKeyId\":\"AKIDPROCESS\",\"SecretAccessKey\":\"s\"}}'\n",
            starts.display()
        ),
    );
    let config = format!(
        "[profile p]\ncredential_process = /bin/sh {}\n",
        script.display()
    );
    home.write(".aws/config", &config);
    home
}

fn starts(home: &Home) -> usize {
    let text = std::fs::read_to_string(home.path().join("starts")).unwrap();
    text.lines().count()
}

#[test]
fn a_process_may_take_longer_than_a_call_and_is_started_once() {
    let api = Api::giving();
    // Longer than one attempt of a call, and than the SDK's own patience with credentials.
    let home = home(&api, 6);
    assert_eq!(home.get(HOST).password(), password(1));
    assert_eq!(api.signer(), "AKIDPROCESS");
    assert_eq!(starts(&home), 1);
}

#[test]
fn a_process_that_is_too_slow_is_named_and_started_once() {
    let api = Api::giving();
    let home = home(&api, 20).with("HYBRID_TIMEOUT", "2");
    let outcome = home.get(HOST);
    assert_eq!(outcome.code, Some(1));
    let sentence = "the credential process of profile p took longer than 2 s.";
    assert!(outcome.stdout.contains(sentence), "{outcome:?}");
    assert!(outcome.stderr.contains("hint: Set HYBRID_TIMEOUT"));
    assert_eq!((starts(&home), api.calls()), (1, 0));
}
