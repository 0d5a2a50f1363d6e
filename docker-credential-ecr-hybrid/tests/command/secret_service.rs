//! The desktop's keyring: a real GNOME Keyring on a bus of its own, and buses that are no use.

use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::HOST;
use crate::api::{Api, password};
use crate::home::{BINARY, Home, Outcome, outcome};

/// Whether a real keyring can be had. A test that cannot have it says so.
fn has_keyring() -> bool {
    let missing = ["dbus-run-session", "dbus-send", "gnome-keyring-daemon"]
        .into_iter()
        .find(|program| {
            let found = Command::new(program)
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            found.is_err()
        });
    if let Some(program) = missing {
        eprintln!("skipped: there is no {program}");
    }
    missing.is_none()
}

/// The answers of the helper. The bus adds what the services that it starts have to say.
fn answers(outcome: &Outcome) -> Vec<&str> {
    let lines = outcome.stdout.lines();
    lines.filter(|line| line.starts_with('{')).collect()
}

/// Runs a script on a bus of its own. `$BINARY` and `$HOST` are the helper and the registry.
fn on_a_bus(home: &Home, script: &str) -> Outcome {
    let mut command = Command::new("dbus-run-session");
    command
        .args(["--", "sh", "-c", script])
        .env_clear()
        .envs(home.variables())
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("BINARY", BINARY)
        .env("HOST", HOST)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    outcome(command.spawn().unwrap())
}

#[test]
fn the_keyring_keeps_a_token_off_the_disk_in_the_clear() {
    if !has_keyring() {
        return;
    }
    let api = Api::giving();
    let home = Home::of(&api).with("HYBRID_STORE", "secret-service");
    let script = r#"
        echo pass | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
        for turn in 1 2 3; do printf %s "$HOST" | "$BINARY" get; done
        "$BINARY" list
        printf %s "$HOST" | "$BINARY" erase
        "$BINARY" list
    "#;
    let outcome = on_a_bus(&home, script);
    let lines = answers(&outcome);
    assert_eq!(lines.len(), 5, "{outcome:?}");
    for line in &lines[..3] {
        assert!(line.contains(&password(1)), "{line}");
    }
    assert_eq!(lines[3], format!("{{\"{HOST}\":\"AWS\"}}"));
    assert_eq!(lines[4], "{}");
    assert_eq!(api.calls(), 1);
    assert!(home.files_with("password-1").is_empty());
}

#[test]
fn a_keyring_that_nobody_unlocked_is_passed_over_without_a_prompt() {
    if !has_keyring() {
        return;
    }
    let api = Api::giving();
    let home = Home::of(&api).with("HYBRID_STORE", "secret-service");
    // Unlocked once to make the collection, then locked as a desktop locks it.
    let script = r#"
        echo pass | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
        printf %s "$HOST" | "$BINARY" get
        dbus-send --session --print-reply --dest=org.freedesktop.secrets \
            /org/freedesktop/secrets org.freedesktop.Secret.Service.Lock \
            array:objpath:/org/freedesktop/secrets/collection/login >/dev/null
        printf %s "$HOST" | HYBRID_LOG="$HOME/log" "$BINARY" get
    "#;
    let before = Instant::now();
    let outcome = on_a_bus(&home, script);
    let lines = answers(&outcome);
    assert!(lines[0].contains(&password(1)), "{outcome:?}");
    assert!(lines[1].contains(&password(2)), "{outcome:?}");
    assert!(before.elapsed() < Duration::from_secs(30));
    let log = std::fs::read_to_string(home.path().join("log")).unwrap();
    assert!(log.contains("`secret-service` is not available"), "{log}");
}

#[test]
fn a_bus_that_is_not_there_or_says_nothing_delays_the_token_in_bounds() {
    let api = Api::giving();
    let home = Home::of(&api).with("HYBRID_STORE", "secret-service");
    let silent = home.path().join("silent");
    let listener = UnixListener::bind(&silent).unwrap();
    // Holds every connection open without a word.
    thread::spawn(move || listener.incoming().collect::<Vec<_>>());
    let mut home = home;
    for (turn, place) in ["absent", "silent"].into_iter().enumerate() {
        let path = home.path().join(place);
        let address = format!("unix:path={}", path.to_str().unwrap());
        home = home.with("DBUS_SESSION_BUS_ADDRESS", &address);
        let before = Instant::now();
        assert_eq!(home.get(HOST).password(), password(turn + 1));
        assert!(before.elapsed() < Duration::from_secs(10), "{place}");
    }
}
