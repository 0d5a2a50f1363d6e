//! A log for finding out why, off unless asked for. It goes to a file, never to the streams of
//! `get`, and holds no secret.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::environment::Environment;
use crate::private_files::{private, private_folder};

/// Where lines go, if anywhere.
#[derive(Debug, Clone)]
pub struct Log {
    file: Option<PathBuf>,
}

impl Log {
    /// No log.
    pub fn off() -> Self {
        Self { file: None }
    }

    /// The log that `HYBRID_LOG` asks for, else the one that the settings ask for.
    ///
    /// `1`, `on`, and `debug` mean `helper.log` in the cache folder; `0` and `off` mean none;
    /// anything else is the path of a file.
    pub fn of(environment: &Environment, settings: Option<&str>) -> Self {
        let chosen = environment.var("HYBRID_LOG");
        let file = match chosen.as_deref().or(settings) {
            None | Some("0" | "off" | "false" | "none") => None,
            Some("1" | "on" | "true" | "debug" | "info" | "trace") => environment
                .cache_folder()
                .map(|folder| folder.join("helper.log")),
            Some(path) => Some(PathBuf::from(path)),
        };
        Self { file }
    }

    /// Adds a line. A log that cannot be written is no reason to fail.
    pub fn line(&self, text: impl FnOnce() -> String) {
        let Some(path) = &self.file else { return };
        if let Some(folder) = path.parent() {
            let _ = private_folder(folder);
        }
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        private(&mut options);
        if let Ok(mut file) = options.open(path) {
            let line = format!("{} {} {}\n", Timestamp::now(), std::process::id(), text());
            // One write for one line, so that the lines of several processes do not mix.
            let _ = file.write_all(line.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_off_unless_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_str().unwrap();
        let log = |value: &str, settings| {
            let environment =
                Environment::given([("HYBRID_LOG", value), ("HYBRID_CACHE_DIR", place)]);
            Log::of(&environment, settings).file
        };
        assert_eq!(log("", None), None);
        assert_eq!(log("off", Some("/x")), None);
        assert_eq!(log("", Some("/x")), Some(PathBuf::from("/x")));
        assert_eq!(log("debug", None), Some(folder.path().join("helper.log")));
    }

    #[test]
    fn lines_are_added_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("a.log");
        let log = Log {
            file: Some(path.clone()),
        };
        log.line(|| "one".into());
        log.line(|| "two".into());
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| line.len() > 20));
    }
}
