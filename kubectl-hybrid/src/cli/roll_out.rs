//! What holds for each roll-out, whichever command begins it.

use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;

use crate::project::config::{Span, SpanError};

/// Flags of the commands that roll out.
#[derive(Debug, Clone, Copy, Args)]
pub struct RollOut {
    /// How long a roll-out may take
    #[arg(long, env = "HYBRID_TIMEOUT_ROLLOUT", default_value = "5m", value_parser = duration)]
    pub timeout: Duration,
    /// Leave pods alone that wait for credentials
    #[arg(long, env = "HYBRID_NO_UNSTICK", value_parser = BoolishValueParser::new())]
    pub no_unstick: bool,
}

/// `90s`, `5m`, `1h`, or a number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    text.parse()
        .map(Span::duration)
        .map_err(|error: SpanError| error.to_string())
}
