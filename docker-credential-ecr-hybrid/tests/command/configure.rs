//! `configure`: a person's files, changed as a person would.

use std::fs;
use std::path::PathBuf;

use crate::api::Api;
use crate::home::{Home, Outcome};
use crate::{HOST, NEIGHBOUR};

/// As Docker Desktop leaves it, with odd parts of a person's own.
const FILE: &str = "{\r\n  \"auths\": {\r\n    \"ghcr.io\": { \"auth\": \"Z2hjcjp4\" },\r\n    \"https://111122223333.dkr.ecr.eu-west-1.amazonaws.com\": {\"auth\": \"QVdTOnN0YWxl\"}\r\n  },\r\n  \"credsStore\" : \"desktop\",\r\n  \"currentContext\": \"desktop-linux\",\r\n  \"zz-own\": [ 1,2 ],\r\n  \"HttpHeaders\": {}\r\n}\r\n";

fn home() -> Home {
    Home::of(&Api::giving())
}

fn config(home: &Home) -> PathBuf {
    home.path().join(".docker/config.json")
}

fn configure(home: &Home, words: &[&str]) -> Outcome {
    home.run(&[&["configure"], words].concat(), "")
}

fn text(home: &Home) -> String {
    fs::read_to_string(config(home)).unwrap()
}

#[test]
fn a_file_is_made_where_there_is_none_and_only_its_owner_reads_it() {
    let home = home();
    let outcome = configure(&home, &[HOST]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let expected = format!("{{\n\t\"credHelpers\": {{\n\t\t\"{HOST}\": \"ecr-hybrid\"\n\t}}\n}}\n");
    assert_eq!(text(&home), expected);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(config(&home)), 0o600);
        assert_eq!(mode(home.path().join(".docker")), 0o700);
    }
    assert_eq!(configure(&home, &["--remove"]).code, Some(0));
    assert_eq!(text(&home), "{}\n");
}

#[test]
fn two_places_change_and_removing_changes_one_back() {
    let home = home();
    home.write(".docker/config.json", FILE);
    let outcome = configure(&home, &[&format!("https://{HOST}/team/app:1")]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("is answered by ecr-hybrid."));
    assert!(outcome.stdout.contains("The login kept for https://"));
    assert!(!outcome.stdout.contains("QVdT"));
    let without_login = FILE.replace(
        &format!(",\r\n    \"https://{HOST}\": {{\"auth\": \"QVdTOnN0YWxl\"}}"),
        "",
    );
    let routed = without_login.replace(
        "\"HttpHeaders\": {}",
        &format!("\"HttpHeaders\": {{}},\r\n  \"credHelpers\": {{\r\n    \"{HOST}\": \"ecr-hybrid\"\r\n  }}"),
    );
    assert_eq!(text(&home), routed);
    // Once more, in another form of the name: nothing changes, not even the file's time.
    let time = fs::metadata(config(&home)).unwrap().modified().unwrap();
    let again = configure(&home, &[&format!("http://{HOST}/")]);
    assert!(again.stdout.contains("already"), "{again:?}");
    let time_now = fs::metadata(config(&home)).unwrap().modified().unwrap();
    assert_eq!(time, time_now);
    // One more, then both out.
    configure(&home, &[NEIGHBOUR]);
    assert!(text(&home).contains(NEIGHBOUR));
    configure(&home, &["--remove", NEIGHBOUR]);
    assert_eq!(text(&home), routed);
    configure(&home, &["--remove"]);
    assert_eq!(text(&home), without_login);
}

#[test]
fn a_dry_run_shows_the_difference_without_secrets_and_writes_nothing() {
    let home = home();
    home.write(".docker/config.json", FILE);
    let before = home.files();
    let outcome = configure(&home, &["--dry-run", HOST]);
    assert_eq!(outcome.code, Some(0));
    assert!(outcome.stdout.starts_with("--- "), "{}", outcome.stdout);
    let added = format!("+    \"{HOST}\": \"ecr-hybrid\"");
    assert!(outcome.stdout.contains(&added), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains("QVdT") && !outcome.stdout.contains("Z2hjcjp4"));
    assert_eq!(home.files(), before);
}

#[test]
fn broken_json_is_named_by_line_and_column_and_never_overwritten() {
    let home = home();
    let broken = "{\n  \"auths\": {},\n  oops\n}\n";
    #[rustfmt::skip]
    let rows: [(&[u8], &str); 5] = [
        (broken.as_bytes(), "line 3, column 3"),
        (b"{\"auths\":{}", "line 1, column 11"),
        (b"{\n\xff}", "line 2, column 1: it is not UTF-8"),
        (b"[1]", "The whole in"),
        (b"{\"credHelpers\":[]}", "`credHelpers` in"),
    ];
    for (bytes, expected) in rows {
        home.write(".docker/config.json", "");
        fs::write(config(&home), bytes).unwrap();
        for words in [&[HOST][..], &["--dry-run", HOST]] {
            let outcome = configure(&home, words);
            assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""));
            assert!(outcome.stderr.contains(expected), "{outcome:?}");
            assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
        }
        assert_eq!(fs::read(config(&home)).unwrap(), bytes);
    }
}

#[test]
fn when_one_of_two_files_is_broken_neither_is_changed() {
    let home = home();
    home.write(".docker/config.json", FILE);
    home.write(".config/containers/auth.json", "{");
    let outcome = configure(&home, &["--podman", HOST]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("auth.json"), "{outcome:?}");
    assert_eq!(text(&home), FILE);
}

#[test]
fn podman_s_files_are_changed_as_well() {
    let home = home();
    let runtime = home.path().join("run");
    let login = format!("{{\"auths\":{{\"{HOST}\":{{\"auth\":\"QVdTOng=\"}},\"quay.io\":{{}}}}}}");
    home.write("run/containers/auth.json", &login);
    let home = home.with("XDG_RUNTIME_DIR", runtime.to_str().unwrap());
    let outcome = configure(&home, &["--podman", HOST]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let lasting = home.path().join(".config/containers/auth.json");
    assert!(fs::read_to_string(&lasting).unwrap().contains("ecr-hybrid"));
    assert!(text(&home).contains("ecr-hybrid"));
    // The login of the session would go before the helper.
    let session = fs::read_to_string(runtime.join("containers/auth.json")).unwrap();
    assert_eq!(session, "{\"auths\":{\"quay.io\":{}}}");
    configure(&home, &["--podman", "--remove", HOST]);
    assert_eq!(fs::read_to_string(lasting).unwrap(), "{}\n");
}

#[test]
fn many_at_once_lose_nothing() {
    let home = home();
    home.write(".docker/config.json", FILE);
    let hosts: Vec<String> = (0..12)
        .map(|at| format!("1111222233{at:02}.dkr.ecr.eu-west-1.amazonaws.com"))
        .collect();
    let running: Vec<_> = hosts
        .iter()
        .map(|host| home.spawn(&["configure", host], b""))
        .collect();
    for child in running {
        assert_eq!(crate::home::outcome(child).code, Some(0));
    }
    let config: serde_json::Value = serde_json::from_str(&text(&home)).unwrap();
    for host in hosts {
        assert_eq!(config["credHelpers"][host], "ecr-hybrid");
    }
    assert_eq!(config["currentContext"], "desktop-linux");
    let folder = home.path().join(".docker");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
}

#[test]
fn a_wrong_word_is_named() {
    let home = home();
    #[rustfmt::skip]
    let rows: [(&[&str], &str); 5] = [
        (&[], "Name a registry"),
        (&["docker.io"], "`docker.io` is not a host of ECR"),
        (&["--frob", HOST], "no option `--frob`"),
        (&["--from-contract", HOST], "not both"),
        (&["--from-contract"], "kubectl-hybrid, which is neither beside this program nor on PATH"),
    ];
    for (words, expected) in rows {
        let outcome = alone(&home, words);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.stderr.contains(expected), "{outcome:?}");
    }
    assert!(!config(&home).exists());
    let help = configure(&home, &["--help"]);
    assert_eq!(help.code, Some(0));
    assert!(help.stdout.contains("--dry-run"));
}

#[test]
fn a_helper_that_is_not_on_path_and_logins_in_the_environment_are_warned_of() {
    let home = home().with("DOCKER_AUTH_CONFIG", "{}");
    let outcome = configure(&home, &[HOST]);
    assert_eq!(outcome.code, Some(0));
    assert!(outcome.stderr.contains("on PATH"), "{outcome:?}");
    assert!(outcome.stderr.contains("DOCKER_AUTH_CONFIG"), "{outcome:?}");
}

/// The contract is read by a program beside this one, so here this one is alone in its folder.
fn alone(home: &Home, words: &[&str]) -> Outcome {
    let folder = home.path().join("alone");
    fs::create_dir_all(&folder).unwrap();
    let copy = folder.join(format!("helper{}", std::env::consts::EXE_SUFFIX));
    crate::home::copy_binary(&copy);
    let own = home.command(&[]);
    let mut command = std::process::Command::new(&copy);
    command.arg("configure").args(words).env_clear();
    for (name, value) in own.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let output = command.output().unwrap();
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[cfg(unix)]
#[test]
fn the_contract_is_handed_to_the_program_that_reads_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = home();
    let plugin = home.write(
        "bin/kubectl-hybrid",
        "#!/bin/sh\necho \"$@\"\necho said >&2\nexit 2\n",
    );
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    let bin = plugin.parent().unwrap().to_str().unwrap();
    let home = home.with("PATH", &format!("{bin}:/usr/bin:/bin"));
    let outcome = alone(&home, &["--from-contract", "--dry-run", "--podman"]);
    assert_eq!(outcome.stdout, "helper configure --dry-run --podman\n");
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(1), "said\n"));
}
