//! One runner for child processes: output, log file, time limit, and an end for the whole group.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use super::group::Group;

/// How many of the last lines of each stream are kept for a failure. They are counted apart: the two
/// are read side by side, and what one says last must not push out the reason that the other gave.
const TAIL_LINES: usize = 20;

/// The longest line that is kept, in bytes; the log file has it whole.
const TAIL_LINE_BYTES: usize = 4096;

/// The largest standard output that is kept, in bytes; the log file has it whole.
const STDOUT_BYTES: usize = 16 << 20;

/// How long output is awaited after the child itself has ended, when a grandchild holds the pipe.
const DRAIN: Duration = Duration::from_secs(2);

/// What is told each line that the child prints.
pub type OnLine = Arc<dyn Fn(&str) + Send + Sync>;

/// A child process to run.
#[derive(Clone)]
pub struct Command {
    program: PathBuf,
    args: Vec<Argument>,
    env: Vec<(OsString, Option<OsString>)>,
    cwd: Option<PathBuf>,
    log: Option<PathBuf>,
    stdin: Option<Vec<u8>>,
    timeout: Option<Duration>,
    on_line: Option<OnLine>,
}

#[derive(Clone)]
struct Argument {
    value: OsString,
    /// What messages show in its place.
    shown: Option<String>,
    /// Whether it is a piece of the command line, and already has the quotes that it needs.
    #[cfg(windows)]
    is_verbatim: bool,
}

impl Argument {
    fn new(value: OsString, shown: Option<String>) -> Self {
        Self {
            value,
            shown,
            #[cfg(windows)]
            is_verbatim: false,
        }
    }

    fn give_to(&self, process: &mut tokio::process::Command) {
        #[cfg(windows)]
        if self.is_verbatim {
            process.raw_arg(&self.value);
            return;
        }
        process.arg(&self.value);
    }
}

/// What a child that succeeded left.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Its standard output, bytes that are not UTF-8 replaced.
    pub stdout: String,
    /// The last lines of both streams.
    pub tail: Vec<String>,
    /// How long it ran.
    pub elapsed: Duration,
}

/// Why a child did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("cannot start `{command}`: {source}")]
    Start {
        /// The command line, without values that are nobody's business.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// It ended with another status than 0.
    #[error("{0}")]
    Failed(Box<Failure>),
    /// It was ended because it took too long.
    #[error("`{command}` did not end within {} s", after.as_secs())]
    TimedOut {
        /// The command line.
        command: String,
        /// The time it had.
        after: Duration,
    },
    /// Its output or its status could not be read.
    #[error("lost touch with `{command}`: {source}")]
    Lost {
        /// The command line.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// Its log file could not be written.
    #[error("cannot write the log file {}: {source}", path.display())]
    Log {
        /// The log file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl CommandError {
    /// The child's failure, when it ran and failed.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

/// A child that ended with another status than 0.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The command line, without values that are nobody's business.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// The last lines of both streams, up to 20 of each.
    pub tail: Vec<String>,
    /// Where the whole output is, when it was kept.
    pub log: Option<PathBuf>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` failed ({})", self.command, self.status)?;
        match self.tail.iter().rev().find(|line| !line.trim().is_empty()) {
            Some(last) => write!(f, ": {}", last.trim()),
            None => Ok(()),
        }
    }
}

impl Command {
    /// A child that runs this program, found already.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            log: None,
            stdin: None,
            timeout: None,
            on_line: None,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, value: impl Into<OsString>) -> Self {
        self.args.push(Argument::new(value.into(), None));
        self
    }

    /// Adds a piece of the command line as it is. A program of Windows splits its command line
    /// itself, and not every one does it by the rules that arguments are quoted by.
    #[cfg(windows)]
    #[must_use]
    pub fn arg_verbatim(mut self, piece: impl Into<OsString>) -> Self {
        self.args.push(Argument {
            is_verbatim: true,
            ..Argument::new(piece.into(), None)
        });
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(self, values: impl IntoIterator<Item = A>) -> Self {
        values.into_iter().fold(self, Self::arg)
    }

    /// Adds an argument that messages show in another form. Not for secrets: the argument itself
    /// is visible to everyone who can list processes.
    #[must_use]
    pub fn arg_shown_as(mut self, value: impl Into<OsString>, shown: impl Into<String>) -> Self {
        let shown = Some(shown.into());
        self.args.push(Argument::new(value.into(), shown));
        self
    }

    /// Sets a variable of the child's environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), Some(value.into())));
        self
    }

    /// Applies changes to the child's environment; `None` removes the variable.
    #[must_use]
    pub fn env_changes(mut self, changes: &[(OsString, Option<OsString>)]) -> Self {
        self.env.extend_from_slice(changes);
        self
    }

    /// Runs the child in this folder.
    #[must_use]
    pub fn cwd(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cwd = Some(folder.into());
        self
    }

    /// Writes both streams into this file, which starts empty; missing folders are made.
    #[must_use]
    pub fn log(mut self, file: impl Into<PathBuf>) -> Self {
        self.log = Some(file.into());
        self
    }

    /// Gives the child this on its standard input; without it the input is empty.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Ends the child when it takes longer.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Tells each line of both streams as it comes.
    #[must_use]
    pub fn on_line(mut self, tell: OnLine) -> Self {
        self.on_line = Some(tell);
        self
    }

    /// The command line for messages.
    pub fn display(&self) -> String {
        let name = self.program.file_stem().unwrap_or(self.program.as_os_str());
        let mut line = name.to_string_lossy().into_owned();
        for argument in &self.args {
            line.push(' ');
            match &argument.shown {
                Some(shown) => line.push_str(shown),
                None => line.push_str(&argument.value.to_string_lossy()),
            }
        }
        line
    }

    /// Runs the child to its end. Dropping the future ends the child and its children at once, and
    /// waits until the child is gone.
    pub async fn run(&self) -> Result<Finished, CommandError> {
        match self.timeout {
            None => self.run_to_end().await,
            Some(after) => tokio::time::timeout(after, self.run_to_end())
                .await
                .unwrap_or_else(|_| {
                    Err(CommandError::TimedOut {
                        command: self.display(),
                        after,
                    })
                }),
        }
    }

    fn process(&self) -> tokio::process::Command {
        let mut process = tokio::process::Command::new(&self.program);
        for argument in &self.args {
            argument.give_to(&mut process);
        }
        process
            .stdin(match self.stdin {
                Some(_) => Stdio::piped(),
                None => Stdio::null(),
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, value) in &self.env {
            match value {
                Some(value) => process.env(name, value),
                None => process.env_remove(name),
            };
        }
        if let Some(folder) = &self.cwd {
            process.current_dir(folder);
        }
        process
    }

    async fn run_to_end(&self) -> Result<Finished, CommandError> {
        let started = Instant::now();
        let transcript = Mutex::new(Transcript::new(self)?);
        let mut group = Group::start(self.process()).map_err(|source| CommandError::Start {
            command: self.display(),
            source,
        })?;
        let (stdin, stdout, stderr) = group.streams();
        let output = async {
            let feed = async {
                if let (Some(mut pipe), Some(bytes)) = (stdin, &self.stdin) {
                    // A child that does not read its input is judged by its status.
                    let _ = pipe.write_all(bytes).await;
                }
            };
            let ((), out, err) = tokio::join!(
                feed,
                copy_lines(stdout, &transcript, true),
                copy_lines(stderr, &transcript, false)
            );
            out.and(err)
        };
        tokio::pin!(output);
        let lost = |source| CommandError::Lost {
            command: self.display(),
            source,
        };
        let status = tokio::select! {
            done = &mut output => {
                done.map_err(lost)?;
                group.wait().await.map_err(lost)?
            }
            status = group.wait() => {
                if let Ok(done) = tokio::time::timeout(DRAIN, &mut output).await {
                    done.map_err(lost)?;
                }
                status.map_err(lost)?
            }
        };
        let transcript = std::mem::take(&mut *lock(&transcript));
        if let (Some(source), Some(path)) = (transcript.log_error, &self.log) {
            return Err(CommandError::Log {
                path: path.clone(),
                source,
            });
        }
        let stdout = String::from_utf8_lossy(&transcript.stdout).into_owned();
        let tail = (transcript.tail.into_iter())
            .map(|line| line.text)
            .collect();
        if status.success() {
            Ok(Finished {
                stdout,
                tail,
                elapsed: started.elapsed(),
            })
        } else {
            Err(CommandError::Failed(Box::new(Failure {
                command: self.display(),
                status,
                stdout,
                tail,
                log: self.log.clone(),
            })))
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The environment and the standard input may hold what nobody should read.
        f.debug_tuple("Command").field(&self.display()).finish()
    }
}

/// What both streams leave behind, line by line so that they do not mix within one.
#[derive(Default)]
struct Transcript {
    log: Option<File>,
    log_error: Option<io::Error>,
    stdout: Vec<u8>,
    tail: VecDeque<TailLine>,
    on_line: Option<OnLine>,
}

struct TailLine {
    is_stdout: bool,
    text: String,
}

impl Transcript {
    fn new(command: &Command) -> Result<Self, CommandError> {
        let log = match &command.log {
            None => None,
            Some(path) => Some(create(path).map_err(|source| CommandError::Log {
                path: path.clone(),
                source,
            })?),
        };
        Ok(Self {
            log,
            on_line: command.on_line.clone(),
            ..Self::default()
        })
    }

    fn add(&mut self, line: &[u8], is_stdout: bool) {
        if let Some(log) = &mut self.log
            && let Err(error) = log.write_all(line)
        {
            // The child goes on: what it does matters more than its log until it has ended.
            self.log_error = Some(error);
            self.log = None;
        }
        if is_stdout && self.stdout.len() + line.len() <= STDOUT_BYTES {
            self.stdout.extend_from_slice(line);
        }
        let kept = &line[..line.len().min(TAIL_LINE_BYTES)];
        let text = String::from_utf8_lossy(kept);
        let text = text.trim_end();
        if text.is_empty() {
            return;
        }
        let mut same =
            (self.tail.iter().enumerate()).filter(|(_, kept)| kept.is_stdout == is_stdout);
        if let Some((oldest, _)) = same.next()
            && same.count() + 1 == TAIL_LINES
        {
            self.tail.remove(oldest);
        }
        self.tail.push_back(TailLine {
            is_stdout,
            text: text.to_owned(),
        });
        if let Some(tell) = &self.on_line {
            tell(text);
        }
    }
}

fn create(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    File::create(path)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn copy_lines(
    stream: Option<impl AsyncRead + Unpin>,
    transcript: &Mutex<Transcript>,
    is_stdout: bool,
) -> io::Result<()> {
    let Some(mut stream) = stream else {
        return Ok(());
    };
    let mut pending = Vec::new();
    let mut chunk = vec![0; 16 << 10];
    loop {
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            break;
        }
        pending.extend_from_slice(&chunk[..read]);
        let mut lines = pending.as_slice();
        while let Some(end) = lines.iter().position(|&b| b == b'\n') {
            lock(transcript).add(&lines[..=end], is_stdout);
            lines = &lines[end + 1..];
        }
        let rest = pending.len() - lines.len();
        pending.drain(..rest);
    }
    if !pending.is_empty() {
        lock(transcript).add(&pending, is_stdout);
    }
    Ok(())
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
