//! Durations as Go writes them, and so Kubernetes.

use std::time::Duration;

/// `5h59m59s`: whole seconds, with larger units where there are any.
pub(super) fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{}s", seconds % 60),
        _ => format!("{hours}h{minutes}m{}s", seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_does() {
        let rows = [
            (0, "0s"),
            (59, "59s"),
            (60, "1m0s"),
            (21_600, "6h0m0s"),
            (21_599, "5h59m59s"),
        ];
        for (seconds, text) in rows {
            assert_eq!(go_duration(Duration::from_secs(seconds)), text);
        }
    }
}
