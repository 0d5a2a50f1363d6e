//! Odd input, closed streams, and machines where nothing can be written.

use std::io::Write as _;
use std::process::Stdio;

use crate::HOST;
use crate::api::{Api, password};
use crate::home::{Home, outcome};

#[cfg(unix)]
const NOT_FOUND: &str = "credentials not found in native keychain\n";

#[cfg(unix)]
#[test]
fn a_host_that_is_not_ours_is_answered_before_any_file_is_read() {
    let api = Api::giving();
    let home = Home::of(&api);
    // Whoever opens this waits for a writer that never comes.
    let pipe = home.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let pipe = pipe.to_str().unwrap();
    let home = home
        .with("AWS_CONFIG_FILE", pipe)
        .with("HYBRID_HELPER_SETTINGS", pipe);
    let strangers = [
        "docker.io",
        "https://index.docker.io/v1/",
        "111122223333.dkr.ecr.eu-west-1.amazonaws.com.fake.example.com",
        "https://user@111122223333.dkr.ecr.eu-west-1.amazonaws.com",
    ];
    for stranger in strangers {
        let outcome = home.get(stranger);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(1), ""));
        assert_eq!(outcome.stdout, NOT_FOUND);
    }
}

#[test]
fn any_input_up_to_a_hundred_kibibytes_is_answered() {
    let api = Api::giving();
    let home = Home::of(&api);
    // A small generator: the same odd bytes in every run.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    for length in [0, 1, 255, 4096, 65_536, 65_537, 102_400] {
        let noise: Vec<u8> = (0..length).map(|_| byte()).collect();
        for word in ["get", "erase", "store", "list", "version"] {
            let outcome = home.run_bytes(&[word], &noise);
            assert!(
                matches!(outcome.code, Some(0 | 1)),
                "{word} {length}: {outcome:?}"
            );
            assert_eq!(outcome.stderr, "", "{word} {length}");
        }
        let long = format!("{HOST}/{}", "a".repeat(length));
        assert_eq!(home.get(&long).password(), password(1));
    }
}

#[test]
fn a_closed_output_and_no_input_are_no_reason_for_a_panic() {
    let api = Api::giving();
    let home = Home::of(&api);
    home.get(HOST);
    for word in ["get", "list", "version"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child = home.command(&[word]).stdout(writer).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(HOST.as_bytes());
        let outcome = outcome(child);
        assert_eq!(
            (outcome.code, outcome.stderr.as_str()),
            (Some(1), ""),
            "{word}"
        );
    }
    let child = home.command(&["get"]).stdin(Stdio::null()).spawn().unwrap();
    let outcome = outcome(child);
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (Some(1), "no credentials server URL\n")
    );
}

#[cfg(target_os = "linux")]
#[test]
fn streams_that_are_not_there_or_take_nothing_are_no_reason_for_a_panic() {
    let api = Api::giving();
    let home = Home::of(&api);
    home.get(HOST);
    let words = [
        "get",
        "store",
        "erase",
        "list",
        "version",
        "configure",
        "kubelet",
    ];
    for word in words {
        for streams in ["<&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full"] {
            let script = format!("exec {} {word} {streams}", crate::home::BINARY);
            let mut command = std::process::Command::new("/bin/sh");
            command.args(["-c", &script]).env_clear();
            command.envs(home.variables()).stdin(Stdio::null());
            let output = command.output().unwrap();
            assert!(
                matches!(output.status.code(), Some(0 | 1)),
                "{word} {streams}: {output:?}"
            );
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert!(!stderr.contains("panicked"), "{word} {streams}: {stderr}");
        }
    }
}

#[test]
fn list_and_version_do_not_wait_for_their_input() {
    let api = Api::giving();
    let home = Home::of(&api);
    for word in ["list", "version"] {
        let mut child = home.command(&[word]).spawn().unwrap();
        let open = child.stdin.take();
        assert_eq!(outcome(child).code, Some(0));
        drop(open);
    }
}

#[test]
fn without_a_home_the_token_still_comes() {
    let api = Api::giving();
    let home = Home::of(&api).without_folders();
    assert_eq!(home.get(HOST).password(), password(1));
    assert_eq!(home.run(&["list"], "").stdout, "{}\n");
    assert_eq!(home.run(&["erase"], HOST).code, Some(0));
}

#[test]
fn where_nothing_can_be_written_the_token_still_comes() {
    let api = Api::giving();
    let home = Home::of(&api);
    // A folder cannot be made below a file, whoever tries.
    let file = home.write("file", "x");
    let below = file.join("cache");
    let home = home
        .with("HYBRID_CACHE_DIR", below.to_str().unwrap())
        .with("HYBRID_LOG", "debug");
    assert_eq!(home.get(HOST).password(), password(1));
    assert_eq!(home.get(HOST).password(), password(2));
}

#[test]
fn store_accepts_and_keeps_nothing() {
    let api = Api::giving();
    let home = Home::of(&api);
    let login = format!(r#"{{"ServerURL":"{HOST}","Username":"AWS","Secret":"hunter2"}}"#);
    let outcome = home.run(&["store"], &login);
    assert_eq!(
        (
            outcome.code,
            outcome.stdout.as_str(),
            outcome.stderr.as_str()
        ),
        (Some(0), "", "")
    );
    assert!(home.files_with("hunter2").is_empty());
}
