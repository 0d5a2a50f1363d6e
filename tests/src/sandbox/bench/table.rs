//! The table that people read.

use std::fmt::Write as _;
use std::time::Duration;

use super::contest::Row;

/// One line per contender. A ratio says how often ours fits into the other one's median.
pub(super) fn render(rows: &[Row]) -> String {
    let mut lines =
        vec![["what", "who", "runs", "median", "min", "max", "ratio"].map(str::to_owned)];
    for row in rows {
        let ours = row.samples.first().map(|(_, sample)| sample.median());
        for (index, (who, sample)) in row.samples.iter().enumerate() {
            lines.push([
                if index == 0 {
                    row.what.clone()
                } else {
                    String::new()
                },
                (*who).to_owned(),
                sample.runs().to_string(),
                time(sample.median()),
                time(sample.min()),
                time(sample.max()),
                ours.map_or_else(String::new, |ours| ratio(sample.median(), ours)),
            ]);
        }
    }
    let mut widths = [0; 7];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in &lines {
        let mut rendered = String::new();
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            // Words to the left, figures to the right.
            let _ = if column < 2 {
                write!(rendered, "{cell:<width$}  ")
            } else {
                write!(rendered, "{cell:>width$}  ")
            };
        }
        let _ = writeln!(text, "{}", rendered.trim_end());
    }
    text
}

fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1000.0)
    } else {
        format!("{seconds:.2} s")
    }
}

fn ratio(theirs: Duration, ours: Duration) -> String {
    if ours.is_zero() {
        return String::new();
    }
    format!("{:.2}", theirs.as_secs_f64() / ours.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;

    #[test]
    fn ratios_are_relative_to_the_first_contender() {
        let sample = |millis: &[u64]| {
            Sample::new(millis.iter().copied().map(Duration::from_millis).collect())
        };
        let rows = [Row {
            what: "get, cached".to_owned(),
            samples: vec![
                ("ours", sample(&[2, 2, 3])),
                ("ecr-login", sample(&[20, 1500, 21])),
            ],
        }];
        assert_eq!(
            render(&rows),
            "what         who        runs   median      min     max  ratio\n\
             get, cached  ours          3   2.0 ms   2.0 ms  3.0 ms   1.00\n\
             \u{20}            ecr-login     3  21.0 ms  20.0 ms  1.50 s  10.50\n"
        );
    }

    #[test]
    fn a_run_that_took_no_time_has_no_ratio() {
        assert_eq!(ratio(Duration::from_millis(1), Duration::ZERO), "");
    }
}
