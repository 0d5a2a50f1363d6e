//! Spans of time as people write them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// `90s`, `5m`, `1h`, or a number of seconds. Never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(Duration);

/// Text that is no span of time.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("write a duration as 90s, 5m or 1h")]
pub struct SpanError;

impl Span {
    /// The span.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let seconds = text.strip_suffix(['s', 'm', 'h']).unwrap_or(text);
        let factor = match text.as_bytes().last() {
            Some(b'm') => 60,
            Some(b'h') => 3600,
            _ => 1,
        };
        seconds
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(factor))
            .filter(|seconds| *seconds > 0)
            .map(|seconds| Self(Duration::from_secs(seconds)))
            .ok_or(SpanError)
    }
}

impl TryFrom<String> for Span {
    type Error = SpanError;

    fn try_from(text: String) -> Result<Self, SpanError> {
        text.parse()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            hours if hours % 3600 == 0 => write!(f, "{}h", hours / 3600),
            minutes if minutes % 60 == 0 => write!(f, "{}m", minutes / 60),
            seconds => write!(f, "{seconds}s"),
        }
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "`90s`, `5m`, `1h`, or a number of seconds.",
            "type": "string",
            "pattern": "^[0-9]+[smh]?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_units() {
        for (text, seconds, shown) in [
            ("90", 90, "90s"),
            ("90s", 90, "90s"),
            ("5m", 300, "5m"),
            ("60m", 3600, "1h"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.duration(), Duration::from_secs(seconds));
            assert_eq!(span.to_string(), shown);
        }
        for wrong in ["", "m", "-1s", "1d", "0s", "99999999999999999999h"] {
            assert_eq!(wrong.parse::<Span>(), Err(SpanError), "{wrong}");
        }
    }
}
