//! Many processes at once: one call.

use std::time::{Duration, Instant};

use jiff::SignedDuration;

use crate::api::{Api, Manner, password};
use crate::home::{Home, outcome};
use crate::{HOST, NEIGHBOUR};

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
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), NEIGHBOUR.as_bytes())
                .unwrap();
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
        // The same cause, but each of its own registry.
        assert!(outcome.stdout.contains(NEIGHBOUR), "{outcome:?}");
        assert!(!outcome.stdout.contains(HOST), "{outcome:?}");
    }
    assert_eq!(api.calls(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn where_nothing_can_be_kept_nobody_waits_for_another() {
    let api = Api::start(Manner::Slowly(Duration::from_secs(2)));
    let home = Home::of(&api)
        .with("HYBRID_STORE", "secret-service")
        .with("DBUS_SESSION_BUS_ADDRESS", "nonsense");
    let holder = home.spawn(&["get"], HOST.as_bytes());
    api.wait_for_calls(1);
    // From now on a call does not end: only calls at the same time come to this number.
    api.becomes(Manner::Silence);
    let spawn = || home.spawn(&["get"], HOST.as_bytes());
    let mut others: Vec<_> = (0..4).map(|_| spawn()).collect();
    assert_eq!(outcome(holder).password(), password(1));
    api.wait_for_calls(5);
    others.extend((0..4).map(|_| spawn()));
    api.wait_for_calls(9);
    for mut child in others {
        child.kill().unwrap();
        child.wait().unwrap();
    }
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
