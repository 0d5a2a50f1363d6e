//! The newest state of a roll-out, and whether it has been told.

use std::time::Duration;

use tokio::time::Instant;

use super::wait::Update;

/// A state that is another one within this time is none of a reader's business: a controller makes
/// three of them in a row.
const PASSING: Duration = Duration::from_millis(300);

/// What the last look saw.
#[derive(Default)]
pub(super) struct Latest {
    update: Option<Update>,
    since: Option<Instant>,
    told: bool,
}

impl Latest {
    /// Takes what a look saw, and tells it once when it lasts.
    pub(super) fn saw(&mut self, update: Update, mut tell: impl FnMut(&Update)) {
        let now = Instant::now();
        if self.update.as_ref() != Some(&update) {
            self.since = Some(now);
            self.told = false;
        }
        let lasts = self.since.is_some_and(|since| now - since >= PASSING);
        if lasts && !self.told {
            tell(&update);
            self.told = true;
        }
        self.update = Some(update);
    }

    pub(super) fn get(&self) -> Option<&Update> {
        self.update.as_ref()
    }

    pub(super) fn into_update(self) -> Option<Update> {
        self.update
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::workload::{Counts, WorkloadRef};
    use crate::project::contract::WorkloadKind;

    fn update(waiting_for: &str) -> Update {
        Update {
            workload: WorkloadRef {
                kind: WorkloadKind::Deployment,
                namespace: "shop".to_owned(),
                name: "web".to_owned(),
            },
            counts: Counts::default(),
            waiting_for: waiting_for.to_owned(),
            troubles: Vec::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_lasts_is_told_once_and_what_passes_never() {
        let mut latest = Latest::default();
        let mut told = Vec::new();
        for (after, what) in [
            (0, "a"),
            (10, "b"),
            (10, "c"),
            (500, "c"),
            (500, "c"),
            (10, "d"),
        ] {
            tokio::time::advance(Duration::from_millis(after)).await;
            latest.saw(update(what), |update| told.push(update.waiting_for.clone()));
        }
        assert_eq!(told, ["c"]);
        assert_eq!(latest.into_update(), Some(update("d")));
    }
}
