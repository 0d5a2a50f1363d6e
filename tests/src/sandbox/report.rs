//! Steps with elapsed time, for people: one line when a step ends, a sign of life while it lasts.
//!
//! Everything goes to stderr. On a terminal the steps under way share one line at the bottom; in a
//! log a line every ten seconds says what is still going on. A step that takes no time worth
//! mentioning leaves no line, but is remembered in [`Report::timings`].

use std::env;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// Steps that go well within this time are not printed.
const INSTANT: Duration = Duration::from_millis(100);
/// How often a log is told that a step is alive.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How often the line on a terminal is drawn anew.
const FRAME: Duration = Duration::from_millis(120);
const SPINNER: [&str; 4] = ["-", "\\", "|", "/"];
/// Live lines are cut here, so that they do not wrap on a usual terminal.
const LIVE_WIDTH: usize = 78;

/// What a finished step took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The line that was printed for it, or would have been.
    pub label: String,
    /// From its begin to its end.
    pub elapsed: Duration,
    /// Whether it went well.
    pub ok: bool,
}

/// Prints steps to stderr. Cloning is cheap and gives the same report.
#[derive(Clone)]
pub struct Report {
    board: Arc<Board>,
}

struct Board {
    look: Look,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    terminal: bool,
    colour: bool,
}

struct State {
    out: Box<dyn Write + Send>,
    live: Vec<Live>,
    timings: Vec<Timing>,
    next_id: u64,
    frame: usize,
    drawn: bool,
    ticking: bool,
}

struct Live {
    id: u64,
    label: String,
    since: Instant,
    beat: Instant,
}

impl Report {
    /// A report on stderr: with colours and a moving line on a terminal unless `NO_COLOR` is set
    /// or the terminal is a dumb one.
    pub fn stderr() -> Self {
        let terminal =
            io::stderr().is_terminal() && env::var_os("TERM").is_none_or(|t| t != "dumb");
        let colour = terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self::with(Box::new(io::stderr()), Look { terminal, colour })
    }

    /// A report that prints nothing, for callers that want the result alone.
    pub fn silent() -> Self {
        Self::with(
            Box::new(io::sink()),
            Look {
                terminal: false,
                colour: false,
            },
        )
    }

    fn with(out: Box<dyn Write + Send>, look: Look) -> Self {
        let state = State {
            out,
            live: Vec::new(),
            timings: Vec::new(),
            next_id: 0,
            frame: 0,
            drawn: false,
            ticking: false,
        };
        Self {
            board: Arc::new(Board {
                look,
                state: Mutex::new(state),
                changed: Condvar::new(),
            }),
        }
    }

    /// Does `work` as one step and prints how it went and how long it took.
    pub fn step<T, E>(
        &self,
        label: impl Into<String>,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let step = self.begin(label);
        let result = work();
        step.end(result.is_ok());
        result
    }

    /// Begins a step that ends with [`Step::done`]; one that is dropped before counts as failed.
    pub fn begin(&self, label: impl Into<String>) -> Step {
        let label = label.into();
        let now = Instant::now();
        let mut state = self.board.lock();
        let id = state.next_id;
        state.next_id += 1;
        state.live.push(Live {
            id,
            label,
            since: now,
            beat: now,
        });
        if !state.ticking {
            state.ticking = true;
            let board = Arc::downgrade(&self.board);
            // Without the thread there is no sign of life, and nothing else is lost.
            let _ = thread::Builder::new()
                .name("report".to_owned())
                .spawn(move || tick(&board));
        }
        drop(state);
        self.board.changed.notify_all();
        Step {
            report: self.clone(),
            id,
            open: true,
        }
    }

    /// Prints a line that is not a step, for example a heading.
    pub fn say(&self, text: impl Display) {
        print(&mut self.board.lock(), &text.to_string());
    }

    /// Prints something that people should know although work goes on.
    pub fn warn(&self, text: impl Display) {
        let mark = self.board.look.paint("33", "note");
        print(&mut self.board.lock(), &format!("{mark}  {text}"));
    }

    /// All steps that have ended so far, those without a line included.
    pub fn timings(&self) -> Vec<Timing> {
        self.board.lock().timings.clone()
    }
}

/// A step under way.
pub struct Step {
    report: Report,
    id: u64,
    open: bool,
}

impl Step {
    /// Says anew what is being done; this is also the line that the step ends with.
    pub fn relabel(&self, label: impl Into<String>) {
        let mut state = self.report.board.lock();
        if let Some(live) = state.live.iter_mut().find(|live| live.id == self.id) {
            live.label = label.into();
        }
    }

    /// Ends the step well.
    pub fn done(self) {
        self.end(true);
    }

    /// Ends the step well, with a line that says what came of it.
    pub fn done_as(self, label: impl Into<String>) {
        self.relabel(label);
        self.end(true);
    }

    /// Ends the step as failed. The reason is told by whoever gets the error.
    pub fn failed(self) {
        self.end(false);
    }

    fn end(mut self, ok: bool) {
        self.open = false;
        self.report.board.finish(self.id, ok);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if self.open {
            self.report.board.finish(self.id, false);
        }
    }
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in another thread must not take the report away from this one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, id: u64, ok: bool) {
        let mut state = self.lock();
        let Some(at) = state.live.iter().position(|live| live.id == id) else {
            return;
        };
        let ended = state.live.remove(at);
        let elapsed = ended.since.elapsed();
        if !ok || elapsed >= INSTANT {
            let mark = if ok {
                self.look.paint("32", "ok  ")
            } else {
                self.look.paint("31", "FAIL")
            };
            let line = format!("{mark}  {}  {}", ended.label, duration(elapsed));
            print(&mut state, &line);
        }
        state.timings.push(Timing {
            label: ended.label,
            elapsed,
            ok,
        });
        if state.live.is_empty() {
            erase(&mut state);
        }
    }

    /// Draws the live line, or writes the heartbeat lines that are due.
    fn beat(&self, state: &mut State) {
        let now = Instant::now();
        if self.look.terminal {
            let Some(line) = live_line(&state.live, state.frame, now) else {
                return;
            };
            state.frame = state.frame.wrapping_add(1);
            state.drawn = true;
            let _ = write!(state.out, "\r\x1b[K{line}");
            let _ = state.out.flush();
            return;
        }
        let due = heartbeats(&mut state.live, now);
        for line in due {
            print(state, &line);
        }
    }
}

impl Look {
    fn paint(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

fn print(state: &mut State, line: &str) {
    erase(state);
    // Nobody can be told when stderr itself is gone.
    let _ = writeln!(state.out, "{line}");
    let _ = state.out.flush();
}

fn erase(state: &mut State) {
    if state.drawn {
        state.drawn = false;
        let _ = write!(state.out, "\r\x1b[K");
        let _ = state.out.flush();
    }
}

fn live_line(live: &[Live], frame: usize, now: Instant) -> Option<String> {
    let shown: Vec<String> = live
        .iter()
        .filter(|step| now.duration_since(step.since) >= INSTANT)
        .map(|step| {
            format!(
                "{} {}",
                step.label,
                duration(now.duration_since(step.since))
            )
        })
        .collect();
    if shown.is_empty() {
        return None;
    }
    let text = format!(
        "{}     {}",
        SPINNER[frame % SPINNER.len()],
        shown.join(", ")
    );
    Some(text.chars().take(LIVE_WIDTH).collect())
}

fn heartbeats(live: &mut [Live], now: Instant) -> Vec<String> {
    live.iter_mut()
        .filter(|step| now.duration_since(step.beat) >= HEARTBEAT)
        .map(|step| {
            step.beat = now;
            format!(
                "...   {}  {}",
                step.label,
                duration(now.duration_since(step.since))
            )
        })
        .collect()
}

/// Lives as long as the report: waits while nothing is under way, else draws at each frame.
fn tick(board: &Weak<Board>) {
    while let Some(board) = board.upgrade() {
        let pace = if board.look.terminal {
            FRAME
        } else {
            Duration::from_secs(1)
        };
        let state = board.lock();
        // The board is let go every few seconds, so that a dropped report ends this thread.
        let pace = if state.live.is_empty() {
            Duration::from_secs(5)
        } else {
            pace
        };
        let (mut state, waited) = match board.changed.wait_timeout(state, pace) {
            Ok(woken) => woken,
            Err(poisoned) => poisoned.into_inner(),
        };
        if waited.timed_out() {
            board.beat(&mut state);
        }
    }
}

/// A duration as people write it: `0.4s`, `12s`, `4m12s`, `1h02m`.
pub fn duration(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", elapsed.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn on_paper(terminal: bool, colour: bool) -> (Report, Paper) {
        let paper = Paper::default();
        (
            Report::with(Box::new(paper.clone()), Look { terminal, colour }),
            paper,
        )
    }

    fn live(label: &str, now: Instant, age: u64) -> Live {
        let since = now.checked_sub(Duration::from_secs(age)).unwrap();
        Live {
            id: 0,
            label: label.to_owned(),
            since,
            beat: since,
        }
    }

    #[test]
    fn an_instant_step_leaves_no_line_and_is_remembered() {
        let (report, paper) = on_paper(false, false);
        let result: Result<u8, String> = report.step("nothing to do", || Ok(3));
        assert_eq!(result, Ok(3));
        assert_eq!(paper.text(), "");
        assert_eq!(report.timings()[0].label, "nothing to do");
        assert!(report.timings()[0].ok);
    }

    #[test]
    fn a_failed_step_is_printed_however_short_it_was() {
        let (report, paper) = on_paper(false, false);
        let result: Result<u8, String> = report.step("etcd", || Err("no".to_owned()));
        assert!(result.is_err());
        assert!(
            paper.text().starts_with("FAIL  etcd  0."),
            "{}",
            paper.text()
        );
    }

    #[test]
    fn a_step_that_takes_time_ends_with_its_last_label() {
        let (report, paper) = on_paper(false, false);
        let step = report.begin("kubelet");
        // The line depends on time that has really passed.
        thread::sleep(INSTANT);
        step.done_as("kubelet 1.34.2 built from its Go module");
        assert!(
            paper
                .text()
                .starts_with("ok    kubelet 1.34.2 built from its Go module  0.")
        );
    }

    #[test]
    fn a_step_that_is_dropped_counts_as_failed() {
        let (report, paper) = on_paper(false, false);
        drop(report.begin("dockerd"));
        assert!(
            paper.text().starts_with("FAIL  dockerd"),
            "{}",
            paper.text()
        );
    }

    #[test]
    fn colours_appear_only_where_they_are_wanted() {
        let (plain, paper) = on_paper(true, false);
        plain.warn("no colours");
        assert_eq!(paper.text(), "note  no colours\n");
        let (coloured, paper) = on_paper(true, true);
        coloured.warn("colours");
        assert_eq!(paper.text(), "\u{1b}[33mnote\u{1b}[0m  colours\n");
    }

    #[test]
    fn a_long_step_shows_that_it_lives_every_ten_seconds() {
        let now = Instant::now();
        let mut steps = [live("kubelet", now, 12), live("moto", now, 3)];
        assert_eq!(heartbeats(&mut steps, now), ["...   kubelet  12s"]);
        assert!(heartbeats(&mut steps, now).is_empty());
    }

    #[test]
    fn the_live_line_names_every_step_under_way_and_does_not_wrap() {
        let now = Instant::now();
        let steps = [live("kubelet", now, 72), live("moto", now, 3)];
        let line = live_line(&steps, 2, now).unwrap();
        assert_eq!(line, "|     kubelet 1m12s, moto 3.0s");
        let long = [live(&"long ".repeat(40), now, 1)];
        assert_eq!(
            live_line(&long, 0, now).unwrap().chars().count(),
            LIVE_WIDTH
        );
        assert_eq!(live_line(&[live("young", now, 0)], 0, now), None);
    }

    #[test]
    fn durations_read_as_people_write_them() {
        let cases = [
            (0, "0.0s"),
            (9, "9.0s"),
            (10, "10s"),
            (252, "4m12s"),
            (3720, "1h02m"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
        assert_eq!(duration(Duration::from_millis(432)), "0.4s");
    }
}
