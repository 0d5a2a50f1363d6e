//! How long a token lives, in words.

use jiff::Timestamp;

/// `11h59m`, `4m`, `ended 3h02m ago`, or `unknown`.
pub(crate) fn time_left(expires_at: Option<Timestamp>) -> String {
    expires_at.map_or_else(
        || "unknown".to_owned(),
        |at| words(at.as_second() - Timestamp::now().as_second()),
    )
}

/// `4m ago`, `11h59m ago`, `3d ago`, `12s ago`, or `unknown`.
pub(crate) fn age(since: Option<Timestamp>) -> String {
    since.map_or_else(
        || "unknown".to_owned(),
        |at| ago(Timestamp::now().as_second() - at.as_second()),
    )
}

fn ago(seconds: i64) -> String {
    const DAY: u64 = 24 * 60 * 60;
    // The other clock may be a little ahead.
    match u64::try_from(seconds).unwrap_or(0) {
        seconds @ 0..60 => format!("{seconds}s ago"),
        seconds if seconds < 2 * DAY => format!("{} ago", span(seconds)),
        seconds => format!("{}d ago", seconds / DAY),
    }
}

fn span(seconds: u64) -> String {
    let minutes = seconds / 60;
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes}m"),
        (hours, minutes) => format!("{hours}h{minutes:02}m"),
    }
}

fn words(seconds: i64) -> String {
    let span = span(seconds.unsigned_abs());
    if seconds < 0 {
        format!("ended {span} ago")
    } else {
        span
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_reads_as_hours_and_minutes() {
        assert_eq!(words(43_199), "11h59m");
        assert_eq!(words(240), "4m");
        assert_eq!(words(-10_920), "ended 3h02m ago");
        assert_eq!(time_left(None), "unknown");
    }

    #[test]
    fn an_age_is_as_exact_as_it_needs_to_be() {
        let table = [
            (-3, "0s ago"),
            (12, "12s ago"),
            (240, "4m ago"),
            (43_199, "11h59m ago"),
            (259_300, "3d ago"),
        ];
        for (seconds, expected) in table {
            assert_eq!(ago(seconds), expected);
        }
        assert_eq!(age(None), "unknown");
    }
}
