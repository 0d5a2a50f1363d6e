//! Starts that are spread over the kubelet's second.

use std::cell::Cell;
use std::thread;
use std::time::Duration;

/// The kubelet looks at its containers once in so long.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// The golden section: however many starts there are, they lie about as far from each other.
const STEP: f64 = 0.618_033_988_749_895;

/// When a contender begins.
///
/// A roll-out ends right after a look of the kubelet. Whoever begins when the last one has ended would
/// always begin at the same point between two looks, as no person does, and take whole seconds.
#[derive(Default)]
pub(super) struct Phases {
    starts: Cell<u32>,
}

impl Phases {
    /// Waits for the next start.
    pub(super) fn next(&self) {
        thread::sleep(self.pause());
    }

    fn pause(&self) -> Duration {
        let start = self.starts.get();
        self.starts.set(start.wrapping_add(1));
        LOOKS_EVERY.mul_f64((f64::from(start) * STEP).fract())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_spread_evenly_however_many_there_are() {
        for starts in [3, 5, 8] {
            let phases = Phases::default();
            let mut pauses: Vec<Duration> = (0..starts).map(|_| phases.pause()).collect();
            pauses.sort_unstable();
            let widest = pauses
                .windows(2)
                .map(|pair| pair[1].abs_diff(pair[0]))
                .max();
            assert!(widest.unwrap() * starts <= LOOKS_EVERY * 2, "{pauses:?}");
            assert!(*pauses.last().unwrap() < LOOKS_EVERY);
        }
    }
}
