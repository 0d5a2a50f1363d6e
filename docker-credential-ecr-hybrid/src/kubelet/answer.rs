//! What the kubelet is told.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use zeroize::Zeroizing;

use super::duration::go_duration;
use super::request::API_VERSION;
use crate::token::Token;

/// How long the kubelet keeps a token that should have been renewed and could not be: soon the
/// renewal is tried again.
const SOON: Duration = Duration::from_mins(1);

/// An answer for the images of one registry.
#[derive(Debug)]
pub struct Answer<'a> {
    login: Option<(&'a str, &'a Token)>,
    keep: Duration,
}

impl<'a> Answer<'a> {
    /// A login for a registry, named as the image names it.
    ///
    /// The kubelet keeps it for as long as the helper would: until half of the token's life is over.
    /// So whatever a pod pulls with has as much time again to finish.
    pub fn login(key: &'a str, token: &'a Token, now: Timestamp) -> Self {
        let whole = token.expires_at().duration_since(token.issued_at());
        let half = token.issued_at() + whole / 2;
        let fresh = Duration::try_from(half.duration_since(now)).unwrap_or_default();
        let keep = if token.is_fresh(now, Duration::ZERO) {
            fresh
        } else {
            SOON.min(token.remaining_life(now) / 2)
        };
        Self {
            login: Some((key, token)),
            keep,
        }
    }

    /// No login: the kubelet pulls without, and asks again the next time.
    pub fn anonymous() -> Self {
        Self {
            login: None,
            keep: Duration::ZERO,
        }
    }

    /// Writes the answer as one line of JSON.
    pub fn write(&self, output: &mut dyn Write) -> io::Result<()> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Response<'a> {
            kind: &'static str,
            api_version: &'static str,
            cache_key_type: &'static str,
            cache_duration: String,
            auth: BTreeMap<&'a str, Login<'a>>,
        }
        #[derive(Serialize)]
        struct Login<'a> {
            username: &'a str,
            password: &'a str,
        }
        let auth: BTreeMap<_, _> = self
            .login
            .iter()
            .map(|(key, token)| {
                let login = Login {
                    username: token.username(),
                    password: token.password().expose(),
                };
                (*key, login)
            })
            .collect();
        let secret = auth
            .values()
            .map(|login| login.password.len())
            .sum::<usize>();
        let response = Response {
            kind: "CredentialProviderResponse",
            api_version: API_VERSION,
            // One token serves every image of the registry.
            cache_key_type: "Registry",
            cache_duration: go_duration(self.keep),
            auth,
        };
        // Room enough that no copy of the token is left behind in memory.
        let mut line = Zeroizing::new(Vec::with_capacity(1024 + 2 * secret));
        serde_json::to_writer(&mut *line, &response)?;
        line.push(b'\n');
        output.write_all(&line)?;
        output.flush()
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::secret::Secret;

    fn kept(age: i64, life: i64) -> String {
        let now = Timestamp::now();
        let issued = now - SignedDuration::from_secs(age);
        let expires = issued + SignedDuration::from_secs(life);
        let token = Token::new(Secret::new("p".into()), issued, expires, None);
        go_duration(Answer::login("h", &token, now).keep)
    }

    #[test]
    fn the_kubelet_keeps_a_token_until_half_of_its_life_is_over() {
        let twelve_hours = 43_200;
        #[rustfmt::skip]
        let rows = [
            (0, twelve_hours, "6h0m0s"),
            (21_000, twelve_hours, "10m0s"),
            // It could not be renewed: asked for again soon.
            (21_600, twelve_hours, "1m0s"),
            (43_140, twelve_hours, "30s"),
            // Never less than nothing, which the kubelet would take for its own default.
            (50_000, twelve_hours, "0s"),
        ];
        for (age, life, expected) in rows {
            assert_eq!(kept(age, life), expected, "{age}");
        }
    }

    #[test]
    fn the_answer_is_one_line_of_the_api_s_json() {
        let now = Timestamp::now();
        let expires = now + SignedDuration::from_hours(12);
        let token = Token::new(Secret::new("pw".into()), now, expires, None);
        let written = |answer: Answer<'_>| {
            let mut output = Vec::new();
            answer.write(&mut output).unwrap();
            String::from_utf8(output).unwrap()
        };
        let head = r#"{"kind":"CredentialProviderResponse","apiVersion":"credentialprovider.kubelet.k8s.io/v1","cacheKeyType":"Registry","cacheDuration":"#;
        assert_eq!(
            written(Answer::login("h:1", &token, now)),
            format!(
                "{head}\"6h0m0s\",\"auth\":{{\"h:1\":{{\"username\":\"AWS\",\"password\":\"pw\"}}}}}}\n"
            )
        );
        assert_eq!(
            written(Answer::anonymous()),
            format!("{head}\"0s\",\"auth\":{{}}}}\n")
        );
    }
}
