//! An API server that is away for a moment: it restarts, or its machine slept.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::ClusterError;

/// How long the API server may be away in the middle of something.
pub(super) const AWAY_PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(500);

/// Since when the API server has been away.
#[derive(Debug, Default)]
pub(super) struct Away {
    since: Option<Instant>,
}

impl Away {
    /// Pauses after an error that may pass.
    ///
    /// # Errors
    /// The error itself, when it does not pass by waiting or has lasted for too long.
    pub(super) async fn wait_out(&mut self, error: ClusterError) -> Result<(), ClusterError> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if !error.may_pass() || since.elapsed() >= AWAY_PATIENCE {
            return Err(error);
        }
        sleep(PAUSE).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16) -> ClusterError {
        ClusterError::Api {
            action: "read".to_owned(),
            code,
            message: String::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_away_is_waited_for_and_a_refusal_is_not() {
        let mut away = Away::default();
        assert!(away.wait_out(answer(422)).await.is_err());
        let started = Instant::now();
        while away.wait_out(answer(503)).await.is_ok() {}
        assert!(started.elapsed() >= AWAY_PATIENCE);
        assert!(started.elapsed() < AWAY_PATIENCE * 2);
    }
}
