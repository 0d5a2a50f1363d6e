//! The desktop's keyring: a real GNOME Keyring on a bus of its own, and buses that are no use.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use ecr_hybrid::environment::Environment;
use ecr_hybrid::key::Key;
use ecr_hybrid::store::{SecretServiceStore, Store as _};

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

/// A script on a bus of its own. `$BINARY` and `$HOST` are the helper and the registry.
fn on_a_bus_of_its_own(home: &Home, script: &str) -> Command {
    let mut command = Command::new("dbus-run-session");
    command
        .args(["--", "sh", "-c", script])
        .env_clear()
        .envs(home.variables())
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        // A keyring that the bus starts finds there one that is just starting, and leaves it the work.
        .env("XDG_RUNTIME_DIR", home.path())
        .env("BINARY", BINARY)
        .env("HOST", HOST)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn on_a_bus(home: &Home, script: &str) -> Outcome {
    outcome(on_a_bus_of_its_own(home, script).spawn().unwrap())
}

/// An unlocked keyring on a bus of its own. It ends with this value.
struct Keyring {
    process: Child,
    address: String,
}

impl Keyring {
    fn start(home: &Home) -> Self {
        let script = r#"
            echo pass | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
            echo "bus $DBUS_SESSION_BUS_ADDRESS"
            exec cat
        "#;
        let mut command = on_a_bus_of_its_own(home, script);
        command.stdin(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        // The services that the bus starts write here too.
        let address = BufReader::new(process.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("bus ").map(str::to_owned));
        let address = address.unwrap();
        Self { process, address }
    }

    /// A store of its own, as another process would have.
    fn store(&self) -> SecretServiceStore {
        let address = ("DBUS_SESSION_BUS_ADDRESS", self.address.as_str());
        SecretServiceStore::of(&Environment::given([address]))
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        self.process.stdin.take();
        let _ = self.process.wait();
    }
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
fn a_token_of_any_size_is_kept_replaced_listed_and_removed() {
    const LIFE: Duration = Duration::from_hours(12);
    if !has_keyring() {
        return;
    }
    let home = Home::of(&Api::giving());
    let keyring = Keyring::start(&home);
    let key = |digit: &str| Key::from_text(&digit.repeat(40)).unwrap();
    let store = keyring.store();
    assert!(store.load(&key("a")).unwrap().is_none());
    assert!(store.keys().unwrap().is_empty());
    for size in [1, 1400, 8 * 1024, 100 * 1024] {
        // Bytes that are neither text nor all the same.
        let token: Vec<u8> = (0..size)
            .map(|at: u32| at.to_le_bytes()[0] ^ 0xff)
            .collect();
        store.save(&key("a"), &token, LIFE).unwrap();
        // By the connection that wrote it, and by a new one.
        for store in [&store, &keyring.store()] {
            assert_eq!(&**store.load(&key("a")).unwrap().unwrap(), token, "{size}");
        }
        assert_eq!(keyring.store().keys().unwrap(), [key("a")]);
    }
    store.save(&key("b"), b"other", LIFE).unwrap();
    let mut keys = keyring.store().keys().unwrap();
    keys.sort();
    assert_eq!(keys, [key("a"), key("b")]);
    // What no message holds is refused, and the older one is gone.
    let error = store.save(&key("b"), &vec![1; 300 * 1024], LIFE);
    assert!(error.unwrap_err().to_string().contains("too large"));
    assert!(store.load(&key("b")).unwrap().is_none());
    for _ in 0..2 {
        keyring.store().delete(&key("a")).unwrap();
    }
    assert!(keyring.store().load(&key("a")).unwrap().is_none());
}

#[test]
fn a_keyring_that_is_not_running_is_started_and_one_without_a_collection_passed_over() {
    if !has_keyring() {
        return;
    }
    let api = Api::giving();
    let home = Home::of(&api).with("HYBRID_STORE", "secret-service");
    let log = home.path().join("log");
    let home = home.with("HYBRID_LOG", log.to_str().unwrap());
    let outcome = on_a_bus(&home, r#"printf %s "$HOST" | "$BINARY" get"#);
    assert!(answers(&outcome)[0].contains(&password(1)), "{outcome:?}");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("there is no default collection"), "{log}");
}

#[test]
fn a_token_that_nobody_renewed_is_removed_with_the_next_one() {
    if !has_keyring() {
        return;
    }
    let home = Home::of(&Api::giving()).with("HYBRID_STORE", "secret-service");
    let keyring = Keyring::start(&home);
    let home = home.with("DBUS_SESSION_BUS_ADDRESS", &keyring.address);
    let token = home.get(HOST).password();
    let minted = keyring.store().keys().unwrap();
    let dead = Key::from_text(&"d".repeat(40)).unwrap();
    let save = || {
        keyring
            .store()
            .save(&dead, b"of another day", Duration::from_hours(12))
    };
    let lock_of = |key: &Key| {
        let name = PathBuf::from(format!("{}.lock", key.as_str()));
        File::create(home.cache_folder().join(name)).unwrap()
    };
    let other_day = SystemTime::now() - Duration::from_hours(48);
    save().unwrap();
    lock_of(&dead).set_modified(other_day).unwrap();
    // This one is alive, whatever its lock says.
    lock_of(&minted[0]).set_modified(other_day).unwrap();
    let home = home.with("AWS_ACCESS_KEY_ID", "AKIDOTHER");
    assert_ne!(home.get(HOST).password(), token);
    let kept = keyring.store().keys().unwrap();
    assert!(!kept.contains(&dead), "{kept:?}");
    assert!(kept.contains(&minted[0]), "{kept:?}");
    assert_eq!(kept.len(), 2);
}

/// A bus that says some words to every client and holds the connection open.
fn bus(at: &Path, words: Vec<u8>) {
    let listener = UnixListener::bind(at).unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, words) = (client.unwrap(), words.clone());
            thread::spawn(move || {
                let _ = client.write_all(&words);
                let _ = client.read_to_end(&mut Vec::new());
            });
        }
    });
}

#[test]
fn a_bus_that_is_no_use_delays_the_token_in_bounds() {
    let let_in = b"OK 0123456789abcdef0123456789abcdef\r\n".as_slice();
    let large = [let_in, b"l\x02\x01\x01", &[0xff; 4], &[0; 8]].concat();
    let garbage = [let_in, &b"\x00\xffgarbage".repeat(999)].concat();
    let rows: [(&str, Option<Vec<u8>>, &str); 7] = [
        ("absent", None, "nobody serves it on the session bus"),
        ("silent", Some(Vec::new()), "it did not answer in time"),
        (
            "silent-later",
            Some(let_in.to_vec()),
            "it did not answer in time",
        ),
        (
            "rejecting",
            Some(b"REJECTED EXTERNAL\r\n".to_vec()),
            "does not let this user in",
        ),
        (
            "another",
            Some(b"HTTP/1.1 400 Bad Request\r\n".to_vec()),
            "makes no sense",
        ),
        ("garbage", Some(garbage), "makes no sense"),
        ("large", Some(large), "too large"),
    ];
    let api = Api::giving();
    let home = Home::of(&api).with("HYBRID_STORE", "secret-service");
    let addresses = rows.iter().map(|(name, words, _)| {
        let place = home.path().join(name);
        if let Some(words) = words {
            bus(&place, words.clone());
        }
        format!("unix:path={}", place.to_str().unwrap())
    });
    let nonsense = ("nonsense".to_owned(), "names no Unix socket");
    let whys = rows.iter().map(|(_, _, why)| *why);
    let turns: Vec<_> = addresses.zip(whys).chain([nonsense]).collect();
    let mut home = home;
    for (turn, (address, why)) in turns.iter().enumerate() {
        let log = home.path().join(format!("log-{turn}"));
        home = home
            .with("DBUS_SESSION_BUS_ADDRESS", address)
            .with("HYBRID_LOG", log.to_str().unwrap());
        let before = Instant::now();
        assert_eq!(home.get(HOST).password(), password(turn + 1));
        // Two seconds for the bus, once; the rest is a machine that has much to do.
        assert!(before.elapsed() < Duration::from_secs(6), "{address}");
        let log = std::fs::read_to_string(log).unwrap();
        assert!(log.contains(why), "{address}: {log}");
    }
}
