//! Many processes at once: one call.

use std::time::{Duration, Instant};

use jiff::SignedDuration;

use crate::HOST;
use crate::api::{Api, Manner, password};
use crate::home::{Home, outcome};

#[test]
fn fifty_at_once_make_one_call_and_all_have_the_token() {
    let api = Api::start(Manner::Slowly(Duration::from_millis(300)));
    let home = Home::of(&api);
    let children: Vec<_> = (0..50)
        .map(|_| home.spawn(&["get"], HOST.as_bytes()))
        .collect();
    for child in children {
        assert_eq!(outcome(child).password(), password(1));
    }
    assert_eq!(api.calls(), 1);
}

#[test]
fn those_who_waited_for_a_failure_do_not_ask_again() {
    let api = Api::start(Manner::Silence);
    // The first one gives up after its second; the others were waiting by then.
    let first = Home::of(&api).with("HYBRID_TIMEOUT", "3");
    let holder = first.spawn(&["get"], HOST.as_bytes());
    api.wait_for_calls(1);
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let mut command = first.command(&["get"]);
            command.env("HYBRID_TIMEOUT", "60");
            let mut child = command.spawn().unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), HOST.as_bytes()).unwrap();
            child
        })
        .collect();
    assert!(outcome(holder).stdout.contains("did not answer in time"));
    for child in waiting {
        let outcome = outcome(child);
        assert_eq!(outcome.code, Some(1));
        assert!(
            outcome.stdout.contains("did not answer in time"),
            "{outcome:?}"
        );
    }
    assert_eq!(api.calls(), 1);
}

#[test]
fn a_killed_holder_delays_nobody() {
    let api = Api::start(Manner::Silence);
    let home = Home::of(&api);
    let mut holder = home.spawn(&["get"], HOST.as_bytes());
    api.wait_for_calls(1);
    api.becomes(Manner::Token(SignedDuration::from_hours(12)));
    let waiting = home.spawn(&["get"], HOST.as_bytes());
    let before = Instant::now();
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(outcome(waiting).password(), password(2));
    assert!(before.elapsed() < Duration::from_secs(5));
}

#[cfg(unix)]
#[test]
fn a_stopped_holder_is_waited_for_in_bounds() {
    let api = Api::start(Manner::Silence);
    let home = Home::of(&api).with("HYBRID_TIMEOUT", "4");
    let mut holder = home.spawn(&["get"], HOST.as_bytes());
    api.wait_for_calls(1);
    let stopped = std::process::Command::new("kill")
        .args(["-STOP", &holder.id().to_string()])
        .status();
    assert!(stopped.unwrap().success());
    api.becomes(Manner::Token(SignedDuration::from_hours(12)));
    assert_eq!(home.get(HOST).password(), password(2));
    holder.kill().unwrap();
    holder.wait().unwrap();
}

#[test]
fn a_live_token_is_given_out_while_another_process_renews_it() {
    let api = Api::start(Manner::Silence);
    let home = Home::of(&api);
    let hour = SignedDuration::from_hours(1);
    home.keep(HOST, "old", -hour * 7, hour * 5);
    let mut holder = home.spawn(&["get"], HOST.as_bytes());
    api.wait_for_calls(1);
    assert_eq!(home.get(HOST).password(), "old");
    assert_eq!(api.calls(), 1);
    holder.kill().unwrap();
    holder.wait().unwrap();
}
