//! What a check says.

use std::fmt;

use serde::{Serialize, Serializer};

use super::catalogue;

/// The id of a check, for example `HYB-PS003`. Ids are never used again for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckId(pub(super) &'static str);

impl CheckId {
    /// The id as text.
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// The two letters of its area: `PS` of `HYB-PS003`.
    pub fn area(self) -> &'static str {
        self.0.get(4..6).unwrap_or_default()
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Serialize for CheckId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// All is well.
    Ok,
    /// Worth knowing.
    Info,
    /// It will hurt, or hurts somebody else.
    Warn,
    /// It hurts now.
    Error,
    /// It could not be judged.
    Skipped,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Which check.
    pub id: CheckId,
    /// The area in words, for headings.
    pub category: &'static str,
    /// What the check is about.
    pub title: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What was found, as one sentence.
    pub message: String,
    /// What shows it.
    pub evidence: Vec<Evidence>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
    /// The check whose failure keeps this one from being judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped_because: Option<CheckId>,
}

/// An object or field and its value. Never secret material.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// What was looked at.
    pub key: String,
    /// What stands there.
    pub value: String,
}

/// What to do about a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fix {
    /// In words.
    pub description: String,
    /// The command, when one command does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Whether it takes something away.
    pub destructive: bool,
}

impl Fix {
    /// A fix that one command does.
    pub fn command(description: impl Into<String>, command: impl Into<String>) -> Self {
        Self {
            description: description.into(),
            command: Some(command.into()),
            destructive: false,
        }
    }

    /// A fix that a person has to do.
    pub fn words(description: impl Into<String>) -> Self {
        Self {
            description: description.into(),
            command: None,
            destructive: false,
        }
    }

    /// Marks it as one that takes something away.
    #[must_use]
    pub fn destructive(self) -> Self {
        Self {
            destructive: true,
            ..self
        }
    }
}

impl Finding {
    /// A finding without evidence and fix.
    pub fn new(id: CheckId, severity: Severity, message: impl Into<String>) -> Self {
        let entry = catalogue::entry(id);
        Self {
            id,
            category: entry.category,
            title: entry.title,
            severity,
            message: message.into(),
            evidence: Vec::new(),
            fix: None,
            skipped_because: None,
        }
    }

    /// All is well.
    pub fn ok(id: CheckId, message: impl Into<String>) -> Self {
        Self::new(id, Severity::Ok, message)
    }

    /// It hurts now.
    pub fn error(id: CheckId, message: impl Into<String>) -> Self {
        Self::new(id, Severity::Error, message)
    }

    /// It will hurt.
    pub fn warn(id: CheckId, message: impl Into<String>) -> Self {
        Self::new(id, Severity::Warn, message)
    }

    /// It cannot be judged before `because` is well.
    pub fn skipped(id: CheckId, because: CheckId) -> Self {
        let mut finding = Self::new(
            id,
            Severity::Skipped,
            format!("not judged: {because} failed"),
        );
        finding.skipped_because = Some(because);
        finding
    }

    /// Adds a line of evidence. An empty value adds nothing.
    #[must_use]
    pub fn evidence(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.evidence.push(Evidence {
                key: key.into(),
                value,
            });
        }
        self
    }

    /// Adds the fix.
    #[must_use]
    pub fn fix(mut self, fix: Fix) -> Self {
        self.fix = Some(fix);
        self
    }

    /// Adds a fix in words when there is one.
    #[must_use]
    pub fn maybe_fix(self, hint: Option<&str>) -> Self {
        match hint {
            Some(hint) => self.fix(Fix::words(hint)),
            None => self,
        }
    }
}

/// How many findings there are of each severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// All is well.
    pub ok: usize,
    /// Worth knowing.
    pub info: usize,
    /// It will hurt.
    pub warn: usize,
    /// It hurts.
    pub error: usize,
    /// Not judged.
    pub skipped: usize,
}
