//! A terminal, for programs that behave otherwise on one.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Runs it on a terminal of its own, where somebody types `answers`. Gives the exit code and what
/// the terminal shows.
#[track_caller]
pub(crate) fn on_a_terminal(command: &Command, answers: &str) -> (Option<i32>, String) {
    let mut line = String::from("exec");
    for word in std::iter::once(command.get_program()).chain(command.get_args()) {
        write!(line, " '{}'", word.to_str().unwrap()).unwrap();
    }
    let mut script = Command::new("script");
    script
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .current_dir(command.get_current_dir().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    let mut child = script.spawn().unwrap();
    let mut typed = child.stdin.take().unwrap();
    typed.write_all(answers.as_bytes()).unwrap();
    // The terminal stays open until the command has ended.
    let output = child.wait_with_output().unwrap();
    drop(typed);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), shown)
}
