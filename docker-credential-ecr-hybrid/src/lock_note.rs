//! What the holder of a lock leaves for the processes that come after it: why AWS said no, so that
//! they need not ask to hear the same, or that no store took the token, so that there is nothing to
//! wait for.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::aws_error::{AwsError, Cause, Failure};
use crate::identity::Identity;

/// How long a note is believed by those who were not waiting when it was written.
const MEMORY: Duration = Duration::from_mins(1);

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LockNote {
    /// When it was written, in milliseconds since 1970.
    at: i64,
    outcome: Outcome,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    /// The parts of a failure, and not its sentence: that names the registry of the holder.
    Refused(Failure),
    NotKept,
}

impl LockNote {
    /// The note of a failure. There is none for what depends on the registry, because a lock is for
    /// all registries of an identity.
    pub(crate) fn refused(error: &AwsError, now: Timestamp) -> Option<String> {
        if error.cause() == Cause::WrongAccount {
            return None;
        }
        let outcome = Outcome::Refused(error.failure());
        Some(Self::written(outcome, now))
    }

    /// The note of a token that is kept nowhere.
    pub(crate) fn not_kept(now: Timestamp) -> String {
        Self::written(Outcome::NotKept, now)
    }

    fn written(outcome: Outcome, now: Timestamp) -> String {
        let at = now.as_millisecond();
        serde_json::to_string(&Self { at, outcome }).unwrap_or_default()
    }

    /// Reads a note. One from the future is none: the clock went back.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let note: Self = serde_json::from_str(text).ok()?;
        (note.at <= Timestamp::now().as_millisecond()).then_some(note)
    }

    /// The failure, if it happened after this process began to ask, or, to one that has a live
    /// token, within the last minute. An older one may be out of date.
    ///
    /// `doing` completes "Cannot …".
    pub(crate) fn refusal(
        &self,
        began: Timestamp,
        has_live_token: bool,
        doing: impl Into<String>,
        identity: &Identity,
    ) -> Option<AwsError> {
        let Outcome::Refused(failure) = &self.outcome else {
            return None;
        };
        let counts = if has_live_token {
            self.is_of_the_last_minute(began)
        } else {
            self.at >= began.as_millisecond()
        };
        counts.then(|| AwsError::retold(doing, failure).with_identity(identity))
    }

    /// Whether a token was kept nowhere within the last minute.
    pub(crate) fn says_not_kept(&self, now: Timestamp) -> bool {
        matches!(self.outcome, Outcome::NotKept) && self.is_of_the_last_minute(now)
    }

    fn is_of_the_last_minute(&self, now: Timestamp) -> bool {
        let age = now.as_millisecond().saturating_sub(self.at);
        u64::try_from(age).is_ok_and(|age| Duration::from_millis(age) < MEMORY)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::environment::Environment;

    fn identity() -> Identity {
        let keys = [
            ("AWS_ACCESS_KEY_ID", "AKID"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
        ];
        Identity::resolve(&Environment::given(keys)).unwrap()
    }

    fn throttled() -> AwsError {
        AwsError::new(Cause::Throttled, "get a token for one", "slow down")
    }

    fn read(error: &AwsError, at: Timestamp) -> LockNote {
        LockNote::read(&LockNote::refused(error, at).unwrap()).unwrap()
    }

    #[test]
    fn a_failure_is_passed_on_in_the_words_of_who_waited() {
        let now = Timestamp::now();
        let note = read(&throttled(), now);
        let refusal = |began| note.refusal(began, false, "get a token for two", &identity());
        let passed = refusal(now - SignedDuration::from_secs(1)).unwrap();
        assert_eq!(passed.cause(), Cause::Throttled);
        assert_eq!(
            passed.to_string(),
            "Cannot get a token for two: AWS asks to slow down (slow down)."
        );
        assert_eq!(passed.hint(), throttled().hint());
        assert!(refusal(now + SignedDuration::from_secs(1)).is_none());
    }

    #[test]
    fn whoever_has_a_live_token_believes_a_failure_for_a_minute() {
        let now = Timestamp::now();
        let refusal = |age: i64| {
            let note = read(&throttled(), now - SignedDuration::from_secs(age));
            note.refusal(now, true, "get a token", &identity())
        };
        assert!(refusal(59).is_some());
        assert!(refusal(61).is_none());
    }

    #[test]
    fn the_wrong_account_of_one_registry_says_nothing_of_another() {
        let error = AwsError::new(Cause::WrongAccount, "get a token", "no");
        assert!(LockNote::refused(&error, Timestamp::now()).is_none());
    }

    #[test]
    fn a_token_that_was_not_kept_is_known_for_a_minute() {
        let now = Timestamp::now();
        let note = LockNote::read(&LockNote::not_kept(now)).unwrap();
        assert!(note.says_not_kept(now));
        assert!(!note.says_not_kept(now + MEMORY));
        assert!(!read(&throttled(), now).says_not_kept(now));
        assert!(
            note.refusal(now, true, "get a token", &identity())
                .is_none()
        );
    }

    #[test]
    fn what_is_no_note_or_of_the_future_is_none() {
        let later = Timestamp::now() + SignedDuration::from_mins(5);
        for text in ["", "{", &LockNote::not_kept(later)] {
            assert!(LockNote::read(text).is_none(), "{text}");
        }
    }
}
