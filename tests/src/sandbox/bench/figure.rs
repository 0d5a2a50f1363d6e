//! What is not a time: sizes and counts.

use std::fmt::Write as _;

/// A line of figures: ours first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Figure {
    pub(super) what: String,
    pub(super) unit: Unit,
    pub(super) values: Vec<(&'static str, u64)>,
}

/// How a figure is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Shown in millions of bytes.
    Bytes,
    /// Shown as it is.
    Count,
}

impl Unit {
    fn show(self, value: u64) -> String {
        match self {
            // Hundredths of a million are exact enough, and integers have no rounding to explain.
            Self::Bytes => format!("{}.{:02} MB", value / 1_000_000, value % 1_000_000 / 10_000),
            Self::Count => value.to_string(),
        }
    }
}

/// One line per figure. The last column says what part of theirs ours is.
pub(super) fn render(figures: &[Figure]) -> String {
    let longest = figures.iter().map(|figure| figure.what.chars().count());
    let width = longest.max().unwrap_or(0);
    let mut text = String::new();
    for figure in figures {
        let _ = write!(text, "{:<width$}", figure.what);
        for (who, value) in &figure.values {
            let _ = write!(text, "  {who} {}", figure.unit.show(*value));
        }
        if let [(_, ours), (_, theirs), ..] = *figure.values.as_slice()
            && let Some(percent) = (ours * 100).checked_div(theirs)
        {
            let _ = write!(text, "  {}.{:02}", percent / 100, percent % 100);
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_shows_both_and_the_part_that_ours_is() {
        let figures = [
            Figure {
                what: "size of the program".to_owned(),
                unit: Unit::Bytes,
                values: vec![("ours", 5_250_000), ("theirs", 10_500_000)],
            },
            Figure {
                what: "calls".to_owned(),
                unit: Unit::Count,
                values: vec![("ours", 1), ("theirs", 0)],
            },
        ];
        let text = render(&figures);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].ends_with("  ours 5.25 MB  theirs 10.50 MB  0.50"),
            "{text}"
        );
        assert!(lines[1].ends_with("  ours 1  theirs 0"), "{text}");
    }
}
