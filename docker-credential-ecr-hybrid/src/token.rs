//! An ECR token: what it is worth and until when.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::secret::Secret;

/// The user name of every ECR token.
pub const USERNAME: &str = "AWS";

/// How far in the future a token may have been issued before the clock is held to have jumped.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// A token is not handed out in its last seconds: the client still has to use it.
const LAST_MOMENT: SignedDuration = SignedDuration::from_secs(5);

/// A password for a registry, with its times.
#[derive(Debug, Clone)]
pub struct Token {
    password: Secret,
    issued_at: Timestamp,
    expires_at: Timestamp,
    account: Option<String>,
}

impl Token {
    /// Puts a token together.
    ///
    /// `account` is the account that the token was minted in, where AWS said so.
    pub fn new(
        password: Secret,
        issued_at: Timestamp,
        expires_at: Timestamp,
        account: Option<String>,
    ) -> Self {
        Self {
            password,
            issued_at,
            expires_at,
            account,
        }
    }

    /// The user name: always `AWS`.
    pub fn username(&self) -> &'static str {
        USERNAME
    }

    /// The password.
    pub fn password(&self) -> &Secret {
        &self.password
    }

    /// When AWS stops taking the token.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// When the token was minted, by this machine's clock.
    pub fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// The account that minted the token. The token also serves registries of other accounts whose
    /// policies let this principal in.
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// What is left of the token's life; zero when it is over.
    pub fn remaining_life(&self, now: Timestamp) -> Duration {
        Duration::try_from(self.expires_at.duration_since(now)).unwrap_or_default()
    }

    /// Whether AWS still takes the token.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        self.expires_at.duration_since(now) > LAST_MOMENT
    }

    /// Whether the token can be handed out without a thought of renewing it: it is in the first
    /// half of its life and has at least `minimum` left.
    ///
    /// A minimum that no token can meet is capped at nineteen twentieths of the whole life, so that it does
    /// not cause a call each time. A token from the future means that the clock went back: it is not
    /// fresh, but may still be alive.
    pub fn is_fresh(&self, now: Timestamp, minimum: Duration) -> bool {
        let whole = self.expires_at.duration_since(self.issued_at);
        let left = self.expires_at.duration_since(now);
        let minimum = SignedDuration::try_from(minimum).unwrap_or(SignedDuration::MAX);
        let needed = (whole / 2).max(minimum.min(whole / 20 * 19));
        let age = now.duration_since(self.issued_at);
        self.is_alive(now) && left > needed && age >= -CLOCK_TOLERANCE
    }
}

/// The expiry that an ECR password carries in itself, read offline.
///
/// The password is base64 of a JSON object with an `expiration` in Unix seconds. AWS does not
/// document this, so treat it as a hint: `None` means that the password does not say.
pub fn expiry_of_password(password: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Inside {
        expiration: i64,
    }
    let json = zeroize::Zeroizing::new(STANDARD.decode(password.trim()).ok()?);
    let inside: Inside = serde_json::from_slice(&json).ok()?;
    Timestamp::from_second(inside.expiration).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn token(issued: i64, expires: i64) -> Token {
        Token::new(Secret::new("x".into()), at(issued), at(expires), None)
    }

    const NONE: Duration = Duration::ZERO;

    #[test]
    fn a_token_is_fresh_for_half_of_its_life_and_alive_until_its_end() {
        let token = token(1000, 2000);
        assert!(token.is_fresh(at(1499), NONE));
        assert!(!token.is_fresh(at(1500), NONE));
        assert!(token.is_alive(at(1994)));
        assert!(!token.is_alive(at(1995)));
        assert!(!token.is_alive(at(5000)));
    }

    #[test]
    fn a_minimum_life_can_only_make_a_token_stale_sooner() {
        let token = token(0, 43_200);
        assert!(token.is_fresh(at(3_000), Duration::from_hours(11)));
        assert!(!token.is_fresh(at(3_700), Duration::from_hours(11)));
        assert!(!token.is_fresh(at(21_600), Duration::from_hours(1)));
    }

    #[test]
    fn a_minimum_beyond_any_token_does_not_mint_each_time() {
        let token = token(0, 100);
        assert!(token.is_fresh(at(4), Duration::from_hours(12)));
        assert!(token.is_fresh(at(4), Duration::MAX));
        assert!(!token.is_fresh(at(20), Duration::from_hours(12)));
    }

    #[test]
    fn a_token_from_the_future_is_alive_but_not_fresh() {
        let token = token(100_000, 143_200);
        assert!(!token.is_fresh(at(90_000), NONE));
        assert!(token.is_alive(at(90_000)));
        assert!(token.is_fresh(at(99_900), NONE));
    }

    #[test]
    fn a_token_whose_times_are_turned_round_is_dead() {
        let token = token(2000, 1000);
        assert!(!token.is_fresh(at(1500), NONE));
        assert!(!token.is_alive(at(1500)));
    }

    #[test]
    fn the_expiry_is_read_from_the_password_itself() {
        let json = r#"{"payload":"p","datakey":"k","version":"2","type":"DATA_KEY","expiration":1790000000}"#;
        assert_eq!(
            expiry_of_password(&STANDARD.encode(json)),
            Some(at(1_790_000_000))
        );
        for other in ["", "not base64!", "e30=", "bnVsbA=="] {
            assert_eq!(expiry_of_password(other), None, "{other}");
        }
    }
}
