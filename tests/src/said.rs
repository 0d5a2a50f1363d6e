//! What a program said and how it ended, for tests that run programs as people do.

#![expect(
    clippy::return_self_not_must_use,
    reason = "most tests want no more than the assertion"
)]
#![expect(
    clippy::panic,
    reason = "a test says with a panic what it did not find"
)]

use std::process::{Command, Stdio};

use serde_json::Value;

/// What a program said, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The exit code; none after a signal.
    pub code: Option<i32>,
    /// Its data.
    pub stdout: String,
    /// What it told people.
    pub stderr: String,
}

impl Said {
    /// Runs a program to its end, with nothing to read.
    ///
    /// # Panics
    /// When it cannot be started, or says what is no text.
    #[track_caller]
    pub fn of(command: &mut Command) -> Self {
        let output = command
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{command:?} could not be started: {error}"));
        let text = |bytes| {
            String::from_utf8(bytes)
                .unwrap_or_else(|error| panic!("{command:?} said what is no text: {error}"))
        };
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// It ended with `code`.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        self
    }

    /// It did what was asked.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        self.ends(0)
    }

    /// It ended with `code` and one sentence, which is returned.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn fails(&self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        let errors: Vec<&str> = self
            .stderr
            .lines()
            .filter_map(|line| line.strip_prefix("error: "))
            .collect();
        assert_eq!(errors.len(), 1, "not one sentence: {}", self.stderr);
        errors[0].to_owned()
    }

    /// Its data as JSON.
    ///
    /// # Panics
    /// When they are none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON: {error}: {}{}", self.stdout, self.stderr))
    }
}

/// A text in JSON.
///
/// # Panics
/// When it is none.
#[track_caller]
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// A list in JSON.
///
/// # Panics
/// When it is none.
#[track_caller]
pub fn list(value: &Value) -> &Vec<Value> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("no list: {value}"))
}
