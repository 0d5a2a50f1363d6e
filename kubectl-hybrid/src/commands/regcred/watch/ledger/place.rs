//! What is known of one namespace, and how long it rests after something was done there.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{Did, Due, Source};

/// The first pause after something went wrong, or after a secret was broken again.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(2);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(5);
/// Who breaks a secret sooner than this after it was mended is answered more and more slowly.
const PEACE: SignedDuration = SignedDuration::from_mins(10);
/// When what was written should have been seen.
const ECHO: SignedDuration = SignedDuration::from_secs(30);

/// What is known of a secret.
#[derive(Debug, Default)]
pub(super) enum SecretState {
    #[default]
    Missing,
    There(Due),
}

/// What is known of a namespace.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The sources that say that this namespace is meant.
    pub(super) meant: BTreeSet<Source>,
    pub(super) secret: SecretState,
    /// Accounts that do not name the secret.
    pub(super) unlinked: BTreeSet<String>,
    /// A pod that was made before its account was linked may not have failed by then.
    look_again: Option<Timestamp>,
    /// Why it is not kept, as it was said last.
    pub(super) said: Option<String>,
    not_before: Option<Timestamp>,
    pauses: u32,
    written: Option<Timestamp>,
}

impl Place {
    pub(super) fn has(&self, source: Source) -> bool {
        match source {
            Source::Named | Source::Labelled => self.meant.contains(&source),
            Source::Secrets => !self.lacks_secret(),
            Source::Accounts => false,
        }
    }

    pub(super) fn lacks_secret(&self) -> bool {
        matches!(self.secret, SecretState::Missing)
    }

    /// When something has to be done, long ago for at once; `None` is never.
    pub(super) fn due_at(&self) -> Option<Timestamp> {
        if self.meant.is_empty() {
            return None;
        }
        let due = match &self.secret {
            SecretState::There(_) if !self.unlinked.is_empty() => Some(Timestamp::MIN),
            SecretState::Missing | SecretState::There(Due::Now) => Some(Timestamp::MIN),
            SecretState::There(Due::At(due)) => Some(*due),
            SecretState::There(Due::Never(_)) => None,
        };
        let due = due.into_iter().chain(self.look_again).min()?;
        Some(
            self.not_before
                .map_or(due, |not_before| due.max(not_before)),
        )
    }

    /// Why the secret is left alone, when it must not be written.
    pub(super) fn left_alone(&self) -> Option<&str> {
        match &self.secret {
            SecretState::There(Due::Never(why)) => Some(why),
            _ => None,
        }
    }

    /// It was seen to.
    pub(super) fn done(&mut self, did: Did, now: Timestamp) {
        let at_peace = self
            .written
            .is_none_or(|written| now.duration_since(written) > PEACE);
        // A token that has grown old was broken by nobody, however short its life is.
        let grew_old =
            matches!(self.secret, SecretState::There(Due::At(_))) && self.unlinked.is_empty();
        if at_peace || grew_old {
            self.pauses = 0;
        }
        self.written = Some(now);
        self.unlinked.clear();
        let soon = now.checked_add(ECHO).unwrap_or(now);
        let is_settled = match &self.secret {
            SecretState::There(Due::Never(_)) => true,
            SecretState::There(Due::At(at)) => *at > now,
            SecretState::There(Due::Now) | SecretState::Missing => false,
        };
        // The watch tells what it looks like now; should it not, it is looked at again. What was
        // not touched is as it was.
        if did.wrote || !is_settled {
            self.secret = SecretState::There(Due::At(soon));
        }
        if did.linked {
            self.look_again = Some(soon);
        } else if self.look_again.is_some_and(|at| at <= now) {
            self.look_again = None;
        }
        self.pause(now);
    }

    pub(super) fn pause(&mut self, now: Timestamp) {
        let pause = (FIRST_PAUSE * 2_i32.pow(self.pauses.min(8))).min(LONGEST_PAUSE);
        self.pauses += 1;
        self.not_before = now.checked_add(pause).ok();
    }
}
