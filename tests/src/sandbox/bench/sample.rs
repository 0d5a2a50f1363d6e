//! Measured times of one contender.

use std::time::Duration;

/// Times of single runs, the shortest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    sorted: Vec<Duration>,
}

impl Sample {
    pub(super) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self { sorted: times }
    }

    pub(super) fn runs(&self) -> usize {
        self.sorted.len()
    }

    pub(super) fn min(&self) -> Duration {
        self.sorted.first().copied().unwrap_or_default()
    }

    pub(super) fn max(&self) -> Duration {
        self.sorted.last().copied().unwrap_or_default()
    }

    /// The middle run, or the mean of the two in the middle.
    pub(super) fn median(&self) -> Duration {
        let middle = self.sorted.len() / 2;
        let at = |index: usize| self.sorted.get(index).copied().unwrap_or_default();
        if self.sorted.len() % 2 == 1 {
            at(middle)
        } else {
            (at(middle.saturating_sub(1)) + at(middle)) / 2
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(millis: &[u64]) -> Sample {
        Sample::new(millis.iter().copied().map(Duration::from_millis).collect())
    }

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        assert_eq!(sample(&[9, 1, 5]).median(), Duration::from_millis(5));
        assert_eq!(sample(&[8, 1, 5, 4]).median(), Duration::from_micros(4500));
        assert_eq!(sample(&[7]).median(), Duration::from_millis(7));
        assert_eq!(sample(&[]).median(), Duration::ZERO);
    }

    #[test]
    fn one_slow_run_moves_the_maximum_and_not_the_median() {
        let sample = sample(&[5, 5, 900, 4, 5]);
        assert_eq!(sample.median(), Duration::from_millis(5));
        assert_eq!(sample.min(), Duration::from_millis(4));
        assert_eq!(sample.max(), Duration::from_millis(900));
        assert_eq!(sample.runs(), 5);
    }
}
