//! Commands that fetch and build: a clean environment, the whole output in a log file.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use super::SupplyError;

/// How many lines of a failed command's output its error shows.
const TAIL_LINES: usize = 15;
/// How much of a command line an error shows, in characters.
const COMMAND_WIDTH: usize = 120;

/// Whether a child keeps a variable of this name: what says where packages come from and how to
/// reach them, and nothing that belongs to AWS, Docker, Kubernetes or a language's own set-up.
fn is_kept(name: &str) -> bool {
    const EXACT: [&str; 18] = [
        "HOME",
        "USER",
        "LOGNAME",
        "TMPDIR",
        "TZ",
        "NETRC",
        "XDG_CACHE_HOME",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "CURL_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
        "NIX_SSL_CERT_FILE",
        "GIT_SSL_CAINFO",
        "TF_CLI_CONFIG_FILE",
        "GOFLAGS",
        "GOROOT",
        "GOPATH",
        "GOCACHE",
    ];
    const GO_NETWORK: [&str; 12] = [
        "GOAUTH",
        "GOENV",
        "GOINSECURE",
        "GOMODCACHE",
        "GONOPROXY",
        "GONOSUMDB",
        "GOPRIVATE",
        "GOPROXY",
        "GOSUMDB",
        "GOTMPDIR",
        "GOTOOLCHAIN",
        "GOVCS",
    ];
    EXACT.contains(&name)
        || GO_NETWORK.contains(&name)
        || name.starts_with("PIP_")
        || name.to_ascii_lowercase().ends_with("_proxy")
}

/// A command with the cleaned environment and no stdin.
pub(super) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_kept)))
        .env("PATH", search_path())
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null());
    command
}

/// `PATH` with the folders behind it that Debian and Go use and a user's `PATH` often lacks.
fn search_path() -> OsString {
    env::join_paths(super::machine::folders())
        .unwrap_or_else(|_| "/usr/sbin:/usr/bin:/sbin:/bin".into())
}

/// Runs `command` to its end with its output in `log`, and fails with the last lines of it.
pub(super) fn run(what: &str, command: &mut Command, log: &Path) -> Result<(), SupplyError> {
    let file = create_log(log)?;
    let errors = file.try_clone().map_err(SupplyError::io("write", log))?;
    let status = command
        .stdout(file)
        .stderr(errors)
        .status()
        .map_err(|source| SupplyError::Start {
            program: command.get_program().to_string_lossy().into_owned(),
            source,
        })?;
    if status.success() {
        return Ok(());
    }
    let output = fs::read(log).unwrap_or_default();
    Err(SupplyError::Command {
        what: what.to_owned(),
        command: command_line(command),
        status: status.to_string(),
        tail: tail(&String::from_utf8_lossy(&output)),
        log: log.to_owned(),
    })
}

/// Runs `command` and gives what it wrote to stdout and stderr, whatever its exit status.
pub(super) fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Some(text)
}

fn create_log(log: &Path) -> Result<File, SupplyError> {
    let folder = log.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    fs::create_dir_all(&folder).map_err(SupplyError::io("make the folder", &folder))?;
    File::create(log).map_err(SupplyError::io("write", log))
}

fn command_line(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    let line = words.join(" ");
    if line.chars().count() <= COMMAND_WIDTH {
        return line;
    }
    line.chars()
        .take(COMMAND_WIDTH)
        .chain("...".chars())
        .collect()
}

fn tail(output: &str) -> String {
    let lines: Vec<&str> = output
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    lines[from..]
        .iter()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_keep_what_reaches_packages_and_lose_the_rest() {
        for name in [
            "GOPROXY",
            "GOFLAGS",
            "GOSUMDB",
            "https_proxy",
            "NO_PROXY",
            "PIP_FIND_LINKS",
            "SSL_CERT_FILE",
        ] {
            assert!(is_kept(name), "{name}");
        }
        for name in [
            "AWS_PROFILE",
            "DOCKER_CONFIG",
            "KUBECONFIG",
            "GOOS",
            "GOARCH",
            "PYTHONPATH",
            "GOWORK",
            "TF_LOG",
        ] {
            assert!(!is_kept(name), "{name}");
        }
    }

    #[test]
    fn a_failed_command_shows_its_last_lines_and_keeps_all_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("logs/build.log");
        let error = run(
            "The build of pause",
            command("sh").args(["-c", "seq 1 40; echo broken >&2; exit 3"]),
            &log,
        )
        .unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("The build of pause failed: `sh -c seq 1 40;"),
            "{text}"
        );
        assert!(text.contains("exit status: 3"), "{text}");
        assert!(text.contains("\n  40\n  broken\n"), "{text}");
        assert!(!text.contains("\n  20\n"), "{text}");
        assert!(fs::read_to_string(&log).unwrap().contains("\n20\n"));
    }

    #[test]
    fn a_command_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("nothing");
        let error = run(
            "The build",
            &mut command(&missing),
            &folder.path().join("log"),
        )
        .unwrap_err();
        assert!(matches!(error, SupplyError::Start { .. }), "{error}");
    }

    #[test]
    fn a_long_command_line_is_cut() {
        let mut command = command("go");
        command.arg("x".repeat(400));
        assert_eq!(command_line(&command).chars().count(), COMMAND_WIDTH + 3);
    }
}
