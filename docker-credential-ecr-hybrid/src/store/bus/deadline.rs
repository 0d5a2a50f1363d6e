//! The moment until which a request may take.

use std::time::{Duration, Instant};

use super::error::BusError;

/// A moment that every wait of a request shares.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Deadline(Instant);

impl Deadline {
    /// The moment that is this long from now.
    pub(in crate::store) fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// The time that is left, which is never zero: to a socket that would mean without a limit.
    pub(super) fn left(self) -> Result<Duration, BusError> {
        let left = self.0.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(BusError::TimedOut);
        }
        Ok(left)
    }
}
