//! Half of a token's life, its end, and what happens when renewing fails.

use std::time::{Duration, Instant};

use jiff::SignedDuration;

use crate::api::{Api, Dates, Manner, password};
use crate::home::Home;
use crate::{HOST, NEIGHBOUR};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const THROTTLE: Manner = Manner::Refuse("ThrottlingException", "Rate exceeded");

#[test]
fn a_token_in_the_second_half_of_its_life_is_renewed() {
    let api = Api::giving();
    let home = Home::of(&api);
    home.keep(HOST, "old", -HOUR * 7, HOUR * 5);
    assert_eq!(home.get(HOST).password(), password(1));
    assert_eq!(home.get(HOST).password(), password(1));
    assert_eq!(api.calls(), 1);
}

#[test]
fn when_renewing_fails_the_kept_token_serves_on() {
    let api = Api::start(THROTTLE);
    let home = Home::of(&api);
    home.keep(HOST, "old", -HOUR * 7, HOUR * 5);
    assert_eq!(home.get(HOST).password(), "old");
    assert!(api.calls() > 0);
}

#[test]
fn an_api_that_does_not_answer_is_asked_once_in_a_while() {
    for manner in [Manner::Silence, THROTTLE] {
        let api = Api::start(manner.clone());
        let home = Home::of(&api);
        home.keep(HOST, "old", -HOUR * 7, HOUR * 5);
        let before = Instant::now();
        assert_eq!(home.get(HOST).password(), "old");
        // An attempt alone may take five seconds where nothing is kept.
        assert!(before.elapsed() < Duration::from_secs(5), "{manner:?}");
        let calls = api.calls();
        assert!(calls > 0);
        assert_eq!(home.get(HOST).password(), "old");
        assert_eq!(home.get(NEIGHBOUR).password(), "old");
        assert_eq!(api.calls(), calls, "{manner:?}");
        // What went wrong a moment ago does not stand in the way of who has nothing.
        home.keep(HOST, "dead", -HOUR * 13, -HOUR);
        api.becomes(Manner::Token(HOUR * 12));
        assert_eq!(home.get(HOST).password(), password(calls + 1));
    }
}

#[test]
fn an_expired_token_is_never_given_out() {
    let api = Api::start(THROTTLE);
    let home = Home::of(&api);
    home.keep(HOST, "dead", -HOUR * 13, -HOUR);
    let outcome = home.get(HOST);
    assert_eq!(outcome.code, Some(1));
    assert!(!outcome.stdout.contains("dead"));
    assert!(
        outcome.stdout.contains("AWS asks to slow down"),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stderr.contains("AWS asks to slow down"));
}

#[test]
fn a_token_from_the_future_is_renewed() {
    let api = Api::giving();
    let home = Home::of(&api);
    home.keep(HOST, "future", HOUR * 2, HOUR * 14);
    assert_eq!(home.get(HOST).password(), password(1));
}

#[test]
fn a_token_that_is_born_dead_is_an_error_and_not_kept() {
    let api = Api::start(Manner::Token(-HOUR));
    let home = Home::of(&api);
    let outcome = home.get(HOST);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stdout.contains("expired at"), "{}", outcome.stdout);
    assert!(home.files_with("password-").is_empty());
}

#[test]
fn a_token_is_trusted_for_as_long_as_all_that_it_says_of_itself_allows() {
    let hours = |count| Some(HOUR * count);
    // What the answer says, what the password says, and what is believed.
    let rows = [
        (hours(12), None, 12),
        (None, hours(7), 7),
        (None, None, 1),
        (hours(100_000), hours(12), 12),
        (hours(6), hours(12), 6),
        // Over before it began: not the expiry it seems to be.
        (hours(12), hours(-3), 12),
    ];
    for (answer, password, expected) in rows {
        let api = Api::start(Manner::Dated(Dates { answer, password }));
        let home = Home::of(&api);
        assert!(!home.get(HOST).password().is_empty());
        let files = home.files();
        let kept = files
            .iter()
            .find_map(|(_, bytes)| serde_json::from_slice::<serde_json::Value>(bytes).ok())
            .unwrap();
        let life = kept["expires_at"].as_i64().unwrap() - kept["issued_at"].as_i64().unwrap();
        let off = life - HOUR.as_secs() * expected;
        assert!(off.abs() < 60, "{answer:?} {password:?}: {life} s");
    }
}

#[test]
fn a_damaged_or_foreign_entry_is_replaced() {
    let api = Api::giving();
    let home = Home::of(&api);
    let path = home.keep(HOST, "old", -HOUR, HOUR * 11);
    let text = std::fs::read_to_string(&path).unwrap();
    let key = path.file_stem().unwrap().to_str().unwrap().to_owned();
    let damaged = [
        String::new(),
        text[..text.len() / 2].to_owned(),
        text.replace("\"version\":1", "\"version\":9"),
        text.replace(&key, &"0".repeat(40)),
    ];
    for (index, damage) in damaged.iter().enumerate() {
        std::fs::write(&path, damage).unwrap();
        assert_eq!(home.get(HOST).password(), password(index + 1));
    }
    assert_eq!(home.get(HOST).password(), password(damaged.len()));
}
