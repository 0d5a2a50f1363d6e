//! Waiting for an API server that is being restarted.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::ClusterError;

/// How long an API server may be away in the middle of something.
pub const PATIENCE: Duration = Duration::from_secs(45);
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(4);

/// Whether an error may be gone in a moment.
pub trait Passing {
    /// The server is away, or overloaded.
    fn is_passing(&self) -> bool;

    /// A server that has just come up answers like this until it has read its rules. Only after
    /// [`Self::is_passing`] is it more than a plain refusal.
    fn follows_a_restart(&self) -> bool;
}

impl Passing for ClusterError {
    fn is_passing(&self) -> bool {
        self.may_pass()
    }

    fn follows_a_restart(&self) -> bool {
        matches!(self, Self::Unauthorized { .. } | Self::Forbidden { .. })
    }
}

/// Tries until it is done or fails for good, for no longer than [`PATIENCE`]. What is tried must
/// be safe to be done twice.
///
/// # Errors
/// The first error that does not pass, or the last one when patience has ended.
pub async fn patiently<T, E: Passing, F: Future<Output = Result<T, E>>>(
    mut attempt: impl FnMut() -> F,
) -> Result<T, E> {
    let begun = Instant::now();
    let mut pause = FIRST;
    let mut was_away = false;
    loop {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        was_away |= error.is_passing();
        let passes = error.is_passing() || was_away && error.follows_a_restart();
        if !passes || begun.elapsed() + pause > PATIENCE {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away(why: &str) -> ClusterError {
        ClusterError::Unreachable {
            action: "ask".to_owned(),
            context: "kind".to_owned(),
            server: "https://127.0.0.1:1".to_owned(),
            why: why.to_owned(),
        }
    }

    fn forbidden() -> ClusterError {
        ClusterError::Forbidden {
            action: "ask".to_owned(),
            context: "kind".to_owned(),
            message: "no".to_owned(),
        }
    }

    async fn tries(mut errors: Vec<ClusterError>) -> (usize, bool) {
        let mut count = 0;
        errors.reverse();
        let result = patiently(|| {
            count += 1;
            let next = errors.pop();
            async move { next.map_or(Ok(()), Err) }
        })
        .await;
        (count, result.is_ok())
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_comes_back_is_waited_for() {
        let refused = || away("connection refused");
        assert_eq!(tries(vec![refused(), refused()]).await, (3, true));
        // It has just come up and does not know its roles yet.
        assert_eq!(tries(vec![refused(), forbidden()]).await, (3, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_plain_refusal_is_final_and_patience_ends() {
        assert_eq!(tries(vec![forbidden()]).await, (1, false));
        assert_eq!(
            tries(vec![away("invalid peer certificate")]).await,
            (1, false)
        );
        let begun = Instant::now();
        let for_ever = (0..99).map(|_| away("connection refused")).collect();
        assert!(!tries(for_ever).await.1);
        assert!(begun.elapsed() <= PATIENCE);
    }
}
