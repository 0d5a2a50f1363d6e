//! How long a token lives, in words.

use jiff::Timestamp;

/// `11h59m`, `4m`, `ended 3h02m ago`, or `unknown`.
pub(crate) fn time_left(expires_at: Option<Timestamp>) -> String {
    expires_at.map_or_else(
        || "unknown".to_owned(),
        |at| words(at.as_second() - Timestamp::now().as_second()),
    )
}

fn words(seconds: i64) -> String {
    let minutes = seconds.unsigned_abs() / 60;
    let span = match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes}m"),
        (hours, minutes) => format!("{hours}h{minutes:02}m"),
    };
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
}
