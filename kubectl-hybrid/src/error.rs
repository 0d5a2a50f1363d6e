//! The funnel: every error of every room becomes a [`CommandError`] with an exit code and hints.
//!
//! Libraries have precise enums; only this file and its neighbours in [`crate::commands`] know
//! which exit code they mean.

use std::error::Error;
use std::fmt;

use crate::exit::Exit;

/// An error as a person meets it: one sentence, what caused it, and what to run next.
#[derive(Debug)]
pub struct CommandError {
    exit: Exit,
    message: String,
    causes: Vec<String>,
    excerpt: Vec<String>,
    hints: Vec<String>,
}

impl CommandError {
    /// An error with a sentence of its own.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            causes: Vec::new(),
            excerpt: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// Wraps the error of a room, with what caused it.
    ///
    /// A cause whose text its parent already says is left out.
    pub fn from_error(exit: Exit, error: &dyn Error) -> Self {
        let message = error.to_string();
        let mut causes = Vec::new();
        let mut said = message.clone();
        let mut next = error.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !said.contains(&text) {
                said.clone_from(&text);
                causes.push(text);
            }
            next = cause.source();
        }
        Self {
            exit,
            message,
            causes,
            excerpt: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// Adds what to do next. An empty hint adds nothing.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        if !hint.is_empty() {
            self.hints.push(hint);
        }
        self
    }

    /// Adds a hint when there is one.
    #[must_use]
    pub fn maybe_hint(self, hint: Option<impl Into<String>>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// The same error once it is known what was behind it: with the exit code of that, and with what
    /// helps there in place of what would have to be tried.
    #[must_use]
    pub fn really(mut self, exit: Exit, hint: Option<String>) -> Self {
        self.exit = exit;
        if let Some(hint) = hint {
            self.hints = vec![hint];
        }
        self
    }

    /// Shows lines that a program wrote.
    #[must_use]
    pub fn excerpt(mut self, lines: &[String]) -> Self {
        self.excerpt.extend(lines.iter().map(|line| clean(line)));
        self
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// What caused it, outermost first.
    pub fn causes(&self) -> &[String] {
        &self.causes
    }

    /// Lines that a program wrote.
    pub fn excerpts(&self) -> &[String] {
        &self.excerpt
    }

    /// What to do next.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

/// A program's output must not move the cursor or colour the screen.
fn clean(line: &str) -> String {
    let mut shown = String::new();
    let mut in_escape = false;
    for letter in line.trim_end().chars() {
        match letter {
            '\u{1b}' => in_escape = true,
            _ if in_escape => in_escape = !letter.is_ascii_alphabetic(),
            '\t' => shown.push(' '),
            _ if letter.is_control() => {}
            _ => shown.push(letter),
        }
    }
    shown
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for CommandError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not read the state")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("connection refused")]
    struct Inner;

    #[derive(Debug, thiserror::Error)]
    #[error("could not connect: connection refused")]
    struct Repeats(#[source] Inner);

    #[test]
    fn causes_follow_the_sentence() {
        let error = CommandError::from_error(Exit::Unexpected, &Outer(Inner));
        assert_eq!(error.to_string(), "could not read the state");
        assert_eq!(error.causes(), ["connection refused"]);
    }

    #[test]
    fn what_a_program_wrote_cannot_move_the_cursor() {
        let error = CommandError::new(Exit::RollOut, "x")
            .excerpt(&["\u{1b}[31mno\tdatabase\u{1b}[0m\r".to_owned()]);
        assert_eq!(error.excerpts(), ["no database"]);
    }

    #[test]
    fn a_cause_that_is_said_already_is_not_said_twice() {
        let error = CommandError::from_error(Exit::Unexpected, &Repeats(Inner));
        assert!(error.causes().is_empty());
    }
}
