//! The two streams.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use owo_colors::OwoColorize as _;
use serde::Serialize;

use super::live::{Foot, Line};
use crate::cli::Output;
use crate::error::CommandError;

/// Where a command speaks. A closed stream ends nothing: what cannot be said is not said.
#[derive(Debug, Clone)]
pub struct Ui {
    output: Output,
    quiet: bool,
    started: Instant,
    foot: Foot,
}

impl Ui {
    /// A screen for this format. `quiet` leaves only errors on stderr.
    pub fn new(output: Output, quiet: bool) -> Self {
        Self {
            output,
            quiet,
            started: Instant::now(),
            foot: Foot::new(quiet),
        }
    }

    /// Whether stdout is for programs.
    pub fn is_json(&self) -> bool {
        self.output == Output::Json
    }

    /// Whether somebody can answer a question.
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Data as text or as JSON on stdout.
    ///
    /// # Errors
    /// When the data cannot be written as JSON.
    pub fn data<T: Serialize>(&self, data: &T, text: impl FnOnce() -> String) {
        let rendered = if self.is_json() {
            serde_json::to_string_pretty(data).unwrap_or_default() + "\n"
        } else {
            text()
        };
        self.foot.above(|| {
            let _ = anstream::stdout().write_all(rendered.as_bytes());
        });
    }

    /// One line for each change, with the time since the start.
    pub fn step(&self, what: &str, message: impl std::fmt::Display) {
        if self.quiet {
            return;
        }
        let elapsed = seconds(self.started.elapsed());
        self.foot.above(|| {
            let _ = writeln!(
                anstream::stderr(),
                "{} {:<10} {message}",
                format!("{elapsed:>6}").dimmed(),
                what.green()
            );
        });
    }

    /// Something that is under way, shown at the foot of a terminal until it is dropped.
    pub fn line(&self, subject: &str) -> Line {
        self.foot.line(subject)
    }

    /// Something that is not right and does not stop the command.
    pub fn warn(&self, message: impl std::fmt::Display) {
        if !self.quiet {
            self.foot.above(|| {
                let _ = writeln!(anstream::stderr(), "{} {message}", "warning:".yellow());
            });
        }
    }

    /// What to try next.
    pub fn hint(&self, message: impl std::fmt::Display) {
        if !self.quiet {
            self.foot.above(|| {
                let _ = writeln!(anstream::stderr(), "{} {message}", "hint:".cyan());
            });
        }
    }

    /// A question that is answered with yes or no. No answer is a no.
    pub fn ask(&self, question: &str) -> bool {
        let mut answer = String::new();
        self.foot.above(|| {
            let _ = write!(anstream::stderr(), "{question} [y/N] ");
            // A failed read leaves no answer.
            let _ = io::stdin().read_line(&mut answer);
        });
        matches!(answer.trim(), "y" | "Y" | "yes")
    }

    /// An error with its causes and hints. It is said even when quiet.
    pub fn error(&self, error: &CommandError) {
        self.foot.above(|| {
            let mut stderr = anstream::stderr();
            let _ = writeln!(stderr, "{} {error}", "error:".red());
            for cause in error.causes() {
                let _ = writeln!(stderr, "  caused by: {cause}");
            }
            for line in error.excerpts() {
                let _ = writeln!(stderr, "  {} {line}", "|".dimmed());
            }
            for hint in error.hints() {
                let _ = writeln!(stderr, "{} {hint}", "hint:".cyan());
            }
        });
    }
}

/// `0.4s`, `12.0s`, `3m05s`.
fn seconds(elapsed: Duration) -> String {
    let whole = elapsed.as_secs();
    if whole < 60 {
        format!("{:.1}s", elapsed.as_secs_f64())
    } else {
        format!("{}m{:02}s", whole / 60, whole % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elapsed_time_is_short() {
        assert_eq!(seconds(Duration::from_millis(420)), "0.4s");
        assert_eq!(seconds(Duration::from_secs(185)), "3m05s");
    }
}
