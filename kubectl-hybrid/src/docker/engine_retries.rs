//! What the engine does by itself when a registry does not take a layer: it waits and tries again,
//! up to five times, each time longer. It says so in its output, counting down the seconds.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The retries of one push, read from its output.
#[derive(Debug, Default)]
pub(super) struct EngineRetries(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// Layers that are tried again and are not in the registry yet.
    open: BTreeSet<String>,
    /// The longest pause until now: the layers are sent side by side, and wait alike.
    longest: Duration,
}

impl EngineRetries {
    /// Reads a line of the output. Gives the pause when the engine begins one that is longer than
    /// those before.
    pub(super) fn note(&self, line: &str) -> Option<Duration> {
        let (layer, what) = line.trim().split_once(": ")?;
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(pause) = pause_of(what) else {
            if is_there(what) {
                seen.open.remove(layer);
            }
            return None;
        };
        seen.open.insert(layer.to_owned());
        let is_longer = pause > seen.longest;
        seen.longest = seen.longest.max(pause);
        is_longer.then_some(pause)
    }

    /// Whether the engine has tried a layer again and it is not in the registry: a push that failed
    /// then has been tried often enough.
    pub(super) fn has_open(&self) -> bool {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !seen.open.is_empty()
    }
}

/// `Retrying in 5 seconds`.
fn pause_of(what: &str) -> Option<Duration> {
    let rest = what.strip_prefix("Retrying in ")?;
    let (seconds, unit) = rest.split_once(' ')?;
    let seconds = seconds.parse().ok()?;
    unit.starts_with("second")
        .then(|| Duration::from_secs(seconds))
}

/// What is said of a layer in the end.
fn is_there(what: &str) -> bool {
    ["Pushed", "Layer already exists", "Mounted from"]
        .iter()
        .any(|words| what.starts_with(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(retries: &EngineRetries, lines: &[&str]) -> Vec<u64> {
        let pauses = lines.iter().filter_map(|line| retries.note(line));
        pauses.map(|pause| pause.as_secs()).collect()
    }

    #[test]
    fn a_pause_is_told_when_it_begins_and_once_for_all_layers() {
        let retries = EngineRetries::default();
        let lines = [
            "The push refers to repository [registry.example/web]",
            "5f70bf18a086: Preparing",
            "5f70bf18a086: Retrying in 5 seconds",
            "eb6b01329ebe: Retrying in 5 seconds",
            "5f70bf18a086: Retrying in 4 seconds",
            "5f70bf18a086: Retrying in 1 second",
            "5f70bf18a086: Retrying in 10 seconds",
            "eb6b01329ebe: Retrying in 10 seconds",
            "5f70bf18a086: Retrying in a while",
        ];
        assert_eq!(notes(&retries, &lines), [5, 10]);
    }

    #[test]
    fn a_layer_that_is_there_in_the_end_is_not_open() {
        let retries = EngineRetries::default();
        assert!(!retries.has_open());
        let lines = [
            "5f70bf18a086: Retrying in 5 seconds",
            "eb6b01329ebe: Retrying in 5 seconds",
            "eb6b01329ebe: Pushed",
        ];
        notes(&retries, &lines);
        assert!(retries.has_open());
        notes(&retries, &["5f70bf18a086: Layer already exists"]);
        assert!(!retries.has_open());
    }
}
