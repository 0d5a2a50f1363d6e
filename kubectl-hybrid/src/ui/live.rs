//! What is being done at this moment, at the foot of a terminal. Elsewhere nothing of it shows.

use std::fmt::Display;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

const FRAME: Duration = Duration::from_millis(100);

/// The foot of the screen: one line for each thing that is under way.
#[derive(Debug, Clone)]
pub(super) struct Foot(MultiProgress);

impl Foot {
    /// A foot that shows when stderr is a terminal that can move its cursor, and nobody asked for
    /// quiet.
    pub(super) fn new(quiet: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let target = if quiet || dumb || !io::stderr().is_terminal() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        Self(MultiProgress::with_draw_target(target))
    }

    /// Writes above the foot.
    pub(super) fn above(&self, write: impl FnOnce()) {
        self.0.suspend(write);
    }

    /// A new line at the foot.
    pub(super) fn line(&self, subject: &str) -> Line {
        let bar = self.0.add(ProgressBar::new_spinner());
        // The template is ours: it always parses.
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} {prefix:<12} {wide_msg} {elapsed}")
        {
            bar.set_style(style.tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "));
        }
        bar.set_prefix(subject.to_owned());
        // A hidden line needs no thread that redraws it.
        if !bar.is_hidden() {
            bar.enable_steady_tick(FRAME);
        }
        Line(bar)
    }
}

/// One thing that is under way. It leaves the screen when it is dropped.
#[derive(Debug)]
pub struct Line(ProgressBar);

impl Line {
    /// Shows what is being done now.
    pub fn now(&self, what: impl Display) {
        if !self.0.is_hidden() {
            self.0.set_message(one_line(&what.to_string()));
        }
    }

    /// Shows each line of output that a child process writes.
    pub fn follow(&self, what: &'static str) -> impl Fn(&str) + Send + Sync + use<> {
        let bar = self.0.clone();
        move |output: &str| {
            if !bar.is_hidden() {
                bar.set_message(one_line(&format!("{what}: {output}")));
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Control characters of a child's output would move the cursor; a line stays a line.
fn one_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut in_escape = false;
    for letter in text.trim_end().chars() {
        match letter {
            '\u{1b}' => in_escape = true,
            _ if in_escape => in_escape = !(letter.is_ascii_alphabetic() || letter == '~'),
            '\t' => shown.push(' '),
            _ if letter.is_control() => {}
            _ => shown.push(letter),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_childs_output_cannot_move_the_cursor() {
        assert_eq!(
            one_line("\u{1b}[2K\u{1b}[1A#5 RUN\tmake\r\n"),
            "#5 RUN make"
        );
        assert_eq!(one_line("plain"), "plain");
    }

    #[test]
    fn nothing_shows_when_quiet_is_asked_for() {
        let foot = Foot::new(true);
        let line = foot.line("web");
        line.now("builds");
        assert!(line.0.is_hidden());
        assert_eq!(line.0.message(), "");
    }
}
