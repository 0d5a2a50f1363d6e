//! Places that are full, cannot be written, or belong to someone else: the token still comes out.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::{Command, Stdio};

use jiff::SignedDuration;

use crate::HOST;
use crate::api::{Api, password};
use crate::home::{BINARY, Home, Outcome, outcome};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Runs a script in which the cache folder of a home is a file system of its own, mounted with
/// these options. `get` is the helper asked for the registry. `None` where nobody may mount.
fn on_its_own_disk(home: &Home, options: &str, script: &str) -> Option<Outcome> {
    let cache = home.path().join(".cache/ecr-hybrid");
    let copy = home.path().join("copy");
    std::fs::create_dir_all(&cache).unwrap();
    // What is in the folder already comes along.
    let whole = format!(
        r#"set -e
        cp -a "$CACHE" "$COPY"
        mount -t tmpfs -o size=64k,mode=0700 tmpfs "$CACHE" 2>/dev/null || exit 77
        cp -a "$COPY/." "$CACHE/"
        mount -o "remount,$OPTIONS" "$CACHE"
        get() {{ printf %s "$HOST" | "$BINARY" get; }}
        {script}"#
    );
    let child = Command::new("unshare")
        .args(["--mount", "sh", "-c", &whole])
        .env_clear()
        .envs(home.variables())
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs([("BINARY", BINARY), ("HOST", HOST), ("OPTIONS", options)])
        .env("CACHE", &cache)
        .env("COPY", &copy)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let outcome = child.ok().map(outcome);
    let may = outcome.filter(|outcome| {
        let refused = outcome.stderr.contains("unshare failed");
        outcome.code != Some(77) && !refused
    });
    if may.is_none() {
        eprintln!("skipped: this user may not mount");
    }
    may
}

#[test]
fn on_a_full_disk_the_token_comes_and_the_older_one_is_gone() {
    let api = Api::giving();
    let home = Home::of(&api).with("HYBRID_LOG", "debug");
    home.keep(HOST, "old", -HOUR * 7, HOUR * 5);
    let script = r#"
        cat /dev/zero > "$CACHE/ballast" 2>/dev/null || true
        get
        ls "$CACHE"
    "#;
    let Some(outcome) = on_its_own_disk(&home, "rw", script) else {
        return;
    };
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert!(outcome.stdout.contains(&password(1)), "{outcome:?}");
    assert!(!outcome.stdout.contains(".json"), "{outcome:?}");
    assert!(!outcome.stdout.contains(".part"), "{outcome:?}");
}

#[test]
fn on_a_disk_that_cannot_be_written_the_token_comes_each_time() {
    let api = Api::giving();
    let home = Home::of(&api).with("HYBRID_LOG", "debug");
    let Some(outcome) = on_its_own_disk(&home, "ro", "get; get") else {
        return;
    };
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    for turn in [1, 2] {
        assert!(outcome.stdout.contains(&password(turn)), "{outcome:?}");
    }
}

#[test]
fn an_entry_of_another_user_is_ignored_and_replaced() {
    let api = Api::giving();
    let home = Home::of(&api);
    let path = home.keep(HOST, "foreign", -HOUR, HOUR * 11);
    if chown(&path, Some(61_234), None).is_err() {
        eprintln!("skipped: this user cannot give files away");
        return;
    }
    assert_eq!(home.get(HOST).password(), password(1));
    assert_eq!(home.get(HOST).password(), password(1));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(home.get(HOST).password(), password(2));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_the_kernel_has_no_room_for_is_kept_by_the_next_store() {
    // A user of nobody's: the kernel counts keys by user, and root's limit is out of reach.
    const USER: u32 = 61_234;
    let api = Api::giving();
    let home = Home::of(&api).without("HYBRID_STORE");
    let binary = home.path().join("helper");
    crate::home::copy_binary(&binary);
    if chown(home.path(), Some(USER), Some(USER)).is_err() {
        eprintln!("skipped: this user cannot act as another");
        return;
    }
    let run = |words: &[&str], principal: usize| {
        let user = USER.to_string();
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", &user, "--regid", &user, "--clear-groups"])
            .arg(&binary)
            .args(words)
            .env_clear()
            .envs(home.variables())
            .env("AWS_ACCESS_KEY_ID", format!("AKID{principal}"))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), HOST.as_bytes());
        outcome(child)
    };
    let shown = run(&["which", HOST], 0).stdout;
    if !shown.contains("keyutils") {
        eprintln!("skipped: the kernel lets that user have no keyring");
        return;
    }
    assert!(shown.contains("keyutils, secret-service, file"), "{shown}");
    // The kernel gives a user 20,000 bytes.
    let principals = 16;
    for _ in 0..2 {
        for principal in 0..principals {
            assert_eq!(run(&["get"], principal).password(), password(principal + 1));
        }
    }
    assert_eq!(api.calls(), principals);
    let in_files = home.files_with("password-").len();
    assert!(in_files > 0 && in_files < principals, "{in_files}");
    let cleared = run(&["cache", "clear"], 0).stdout;
    assert_eq!(cleared, format!("{principals} entries removed.\n"));
    assert!(home.files_with("password-").is_empty());
}
