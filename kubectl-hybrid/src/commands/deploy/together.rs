//! All or none: the services of an atomic deploy roll when every image is in the registry, and stop
//! when one of them fails.

use std::future::Future;

use tokio::sync::watch;

use crate::error::CommandError;

/// Why a service did not come to its end.
pub(super) enum Stop {
    /// It failed.
    Failed(CommandError),
    /// Another one failed.
    WithOthers,
    /// The pull secret was not written.
    WithoutSecret,
}

impl From<CommandError> for Stop {
    fn from(error: CommandError) -> Self {
        Self::Failed(error)
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    pushed: usize,
    failed: bool,
}

/// How far the services are. Without `atomic` none waits for another.
pub(super) struct Together {
    atomic: bool,
    services: usize,
    progress: watch::Sender<Progress>,
}

impl Together {
    pub(super) fn new(atomic: bool, services: usize) -> Self {
        Self {
            atomic,
            services,
            progress: watch::Sender::new(Progress::default()),
        }
    }

    /// Says that a service has failed.
    pub(super) fn failed(&self) {
        self.progress.send_modify(|progress| progress.failed = true);
    }

    /// Says that the image of a service is in the registry, and waits for those of the others.
    pub(super) async fn pushed(&self) -> Result<(), Stop> {
        if !self.atomic {
            return Ok(());
        }
        self.progress.send_modify(|progress| progress.pushed += 1);
        let mut seen = self.progress.subscribe();
        // The sender is `self`, so that it does not go away.
        match seen
            .wait_for(|progress| progress.failed || progress.pushed == self.services)
            .await
        {
            Ok(progress) if !progress.failed => Ok(()),
            _ => Err(Stop::WithOthers),
        }
    }

    /// Does something until it is done or another service fails.
    pub(super) async fn unless_one_failed<T>(
        &self,
        what: impl Future<Output = T>,
    ) -> Result<T, Stop> {
        if !self.atomic {
            return Ok(what.await);
        }
        let mut seen = self.progress.subscribe();
        tokio::select! {
            biased;
            done = what => Ok(done),
            _ = seen.wait_for(|progress| progress.failed) => Err(Stop::WithOthers),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn none_rolls_before_all_are_pushed_and_all_stop_when_one_fails() {
        let together = Together::new(true, 2);
        let (one, two) = tokio::join!(together.pushed(), together.pushed());
        assert!(one.is_ok() && two.is_ok());
        let waits = together.unless_one_failed(pending::<()>());
        let fails = async { together.failed() };
        let (waited, ()) = tokio::join!(waits, fails);
        assert!(matches!(waited, Err(Stop::WithOthers)));

        let together = Together::new(true, 2);
        let fails = async { together.failed() };
        let (one, ()) = tokio::join!(together.pushed(), fails);
        assert!(matches!(one, Err(Stop::WithOthers)));
    }

    #[tokio::test]
    async fn without_atomic_none_waits_for_another() {
        let together = Together::new(false, 2);
        assert!(together.pushed().await.is_ok());
        together.failed();
        assert!(together.unless_one_failed(async {}).await.is_ok());
    }
}
