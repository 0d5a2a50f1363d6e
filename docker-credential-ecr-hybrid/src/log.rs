//! A log for finding out why, off unless asked for. It goes to a file, never to the streams of
//! `get`, and holds no secret.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use jiff::Timestamp;

use crate::environment::Environment;
use crate::private_files::{private, private_folder};

/// Past this size, in bytes, the log begins anew, and the one before is kept beside it.
const LONGEST: u64 = 1 << 20;

/// Where the log is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Nowhere.
    Off,
    /// `helper.log` in the cache folder.
    CacheFolder,
    /// A file, by its whole path or from the home folder.
    File(PathBuf),
}

/// A word that is neither a switch nor a whole path. A file of that name in the caller's folder, which
/// may be a build context, would be a surprise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no place for the log; it is `on`, `off`, or the whole path of a file.")]
pub struct UnknownDestination(String);

impl FromStr for Destination {
    type Err = UnknownDestination;

    fn from_str(text: &str) -> Result<Self, UnknownDestination> {
        match text.trim().to_ascii_lowercase().as_str() {
            "" | "0" | "off" | "false" | "no" | "none" => return Ok(Self::Off),
            "1" | "on" | "true" | "yes" | "debug" | "error" | "info" | "trace" | "warn" => {
                return Ok(Self::CacheFolder);
            }
            _ => {}
        }
        let path = Path::new(text);
        if path.is_absolute() || path.starts_with("~") {
            Ok(Self::File(path.to_owned()))
        } else {
            Err(UnknownDestination(text.to_owned()))
        }
    }
}

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

    /// The log that `HYBRID_LOG` asks for, else the one that the settings ask for. A variable that
    /// names no place asks for the log all the same: it is in the cache folder then.
    pub fn of(environment: &Environment, settings: Option<&Destination>) -> Self {
        let chosen = environment
            .var("HYBRID_LOG")
            .map(|text| text.parse().unwrap_or(Destination::CacheFolder));
        let file = match chosen.as_ref().or(settings) {
            None | Some(Destination::Off) => None,
            Some(Destination::CacheFolder) => environment
                .cache_folder()
                .map(|folder| folder.join("helper.log")),
            Some(Destination::File(path)) => match path.strip_prefix("~") {
                Ok(rest) => environment.home().map(|home| home.join(rest)),
                Err(_) => Some(path.clone()),
            },
        };
        Self { file }
    }

    /// Adds a line. A log that cannot be written is no reason to fail.
    pub fn line(&self, text: impl FnOnce() -> String) {
        let Some(path) = &self.file else { return };
        match fs::metadata(path) {
            // A terminal or a pipe may be what a caller reads the answer from.
            Ok(found) if !found.is_file() => return,
            Ok(found) if found.len() > LONGEST => {
                let _ = fs::rename(path, path.with_extension("log.1"));
            }
            _ => {}
        }
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
        let wanted = folder.path().join("x.log");
        let file = Destination::File(wanted.clone());
        let log = |value: &str, settings| {
            let environment = Environment::given([
                ("HYBRID_LOG", value),
                ("HYBRID_CACHE_DIR", place),
                ("HOME", place),
                ("USERPROFILE", place),
            ]);
            Log::of(&environment, settings).file
        };
        let in_cache = Some(folder.path().join("helper.log"));
        assert_eq!(log("", None), None);
        for off in ["off", "OFF", "no", "0"] {
            assert_eq!(log(off, Some(&file)), None, "{off}");
        }
        assert_eq!(log("", Some(&file)), Some(wanted.clone()));
        // A word is never a file in the folder of the caller.
        for on in ["debug", "DEBUG", "yes", "On", "2", "helper.log", "./x"] {
            assert_eq!(log(on, None), in_cache, "{on}");
        }
        assert_eq!(log("~/x.log", None), Some(wanted.clone()));
        assert_eq!(log(wanted.to_str().unwrap(), None), Some(wanted));
    }

    #[cfg(unix)]
    #[test]
    fn nothing_goes_to_what_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stream");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let log = Log {
            file: Some(path.clone()),
        };
        let asked = std::cell::Cell::new(false);
        log.line(|| {
            asked.set(true);
            "one".into()
        });
        assert!(!asked.get());
    }

    #[test]
    fn a_long_log_begins_anew_and_the_last_one_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        fs::write(&path, vec![b'x'; 1 + (1 << 20)]).unwrap();
        let log = Log {
            file: Some(path.clone()),
        };
        log.line(|| "new".into());
        assert!(fs::read_to_string(&path).unwrap().ends_with(" new\n"));
        let before = fs::metadata(folder.path().join("a.log.1")).unwrap();
        assert!(before.len() > LONGEST);
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
        let text = fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| line.len() > 20));
    }
}
