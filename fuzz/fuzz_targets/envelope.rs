//! Any bytes as a kept token, and a kept token with some of its bytes changed.

#![no_main]

use std::time::Duration;

use ecr_hybrid::envelope::Envelope;
use ecr_hybrid::key::Key;
use ecr_hybrid::kubelet::Answer;
use ecr_hybrid::secret::Secret;
use ecr_hybrid::token::{Token, expiry_of_password};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

const PASSWORD: &str = "a password";

fn good(key: &Key) -> Vec<u8> {
    let at = |second| Timestamp::from_second(second).unwrap();
    let account = Some("111122223333".to_owned());
    let token = Token::new(
        Secret::new(PASSWORD.to_owned()),
        at(1_790_000_000),
        at(1_790_043_200),
        account,
    );
    let envelope = Envelope {
        token,
        hosts: vec!["h".to_owned()],
        identity: "profile dev".to_owned(),
    };
    envelope.to_bytes(key).to_vec()
}

fn judge(key: &Key, bytes: &[u8], now: Timestamp) {
    let Some(envelope) = Envelope::from_bytes(key, bytes) else {
        return;
    };
    let token = &envelope.token;
    assert!(!token.password().expose().is_empty());
    // Fresh is alive, and alive is a life that is left.
    assert!(token.is_alive(now) || !token.is_fresh(now, Duration::ZERO));
    assert!(!token.is_alive(now) || token.remaining_life(now) > Duration::ZERO);
    Answer::login("h", token, now)
        .write(&mut Vec::new())
        .unwrap();
    let again = envelope.to_bytes(key);
    let back = Envelope::from_bytes(key, &again).expect("what was written is read");
    assert_eq!(*back.to_bytes(key), *again);
}

fuzz_target!(|data: &[u8]| {
    let key = Key::from_text(&"0a".repeat(20)).unwrap();
    let other = Key::from_text(&"0b".repeat(20)).unwrap();
    let (head, rest) = data.split_at(data.len().min(8));
    let mut second = [0; 8];
    second[..head.len()].copy_from_slice(head);
    let second = i64::from_le_bytes(second) % 250_000_000_000;
    let now = Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
    judge(&key, rest, now);
    let _ = expiry_of_password(&String::from_utf8_lossy(rest));

    let mut bytes = good(&key);
    assert!(Envelope::from_bytes(&other, &bytes).is_none());
    for change in rest.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
        bytes[at] = change[2];
    }
    judge(&key, &bytes, now);
});
