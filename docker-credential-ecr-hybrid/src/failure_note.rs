//! What a failed mint leaves for the processes that waited for it: they need not ask AWS again to
//! hear the same no.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::aws_error::Cause;
use crate::error::TokenError;

#[derive(Serialize, Deserialize)]
struct Note {
    /// When it failed, in milliseconds since 1970.
    at: i64,
    cause: String,
    sentence: String,
    hint: Option<String>,
}

const CAUSES: [(&str, Cause); 14] = [
    ("sso-expired", Cause::SsoExpired),
    ("no-credentials", Cause::NoCredentials),
    ("bad-credentials", Cause::BadCredentials),
    ("access-denied", Cause::AccessDenied),
    ("wrong-account", Cause::WrongAccount),
    ("unknown-region", Cause::UnknownRegion),
    ("throttled", Cause::Throttled),
    ("clock-skew", Cause::ClockSkew),
    ("network", Cause::Network),
    ("tls", Cause::Tls),
    ("proxy", Cause::Proxy),
    ("timed-out", Cause::TimedOut),
    ("not-found", Cause::NotFound),
    ("other", Cause::Other),
];

pub(crate) fn write(error: &TokenError, now: Timestamp) -> String {
    let cause = CAUSES.iter().find(|(_, cause)| *cause == error.cause());
    let note = Note {
        at: now.as_millisecond(),
        cause: cause.map_or("other", |(name, _)| name).to_owned(),
        sentence: error.to_string(),
        hint: error.hint(),
    };
    serde_json::to_string(&note).unwrap_or_default()
}

/// The failure of a note, if it happened after this process began to ask. An older one may be out of
/// date.
pub(crate) fn read(text: &str, began: Timestamp) -> Option<TokenError> {
    let note: Note = serde_json::from_str(text).ok()?;
    if note.at < began.as_millisecond() || note.at > Timestamp::now().as_millisecond() {
        return None;
    }
    let (_, cause) = CAUSES.iter().find(|(name, _)| *name == note.cause)?;
    Some(TokenError::Shared {
        cause: *cause,
        sentence: note.sentence,
        hint: note.hint,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws_error::AwsError;

    #[test]
    fn a_failure_is_passed_on_to_those_who_were_waiting_only() {
        let error = TokenError::from(AwsError::new(Cause::Throttled, "get a token", "slow down"));
        let now = Timestamp::now();
        let before = now - jiff::SignedDuration::from_secs(1);
        let after = now + jiff::SignedDuration::from_secs(1);
        let note = write(&error, now);
        let passed = read(&note, before).unwrap();
        assert_eq!(passed.cause(), Cause::Throttled);
        assert_eq!(passed.to_string(), error.to_string());
        assert_eq!(passed.hint(), error.hint());
        assert!(read(&note, after).is_none());
        assert!(read("", before).is_none());
    }
}
