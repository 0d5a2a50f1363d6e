//! Where a setting comes from.

use std::fmt;

use serde::{Serialize, Serializer};

/// Where a setting comes from, the strongest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag of the command line, as it is written.
    Flag(String),
    /// An environment variable.
    Variable(String),
    /// A table of `hybrid.toml`; empty for the keys at its top.
    File(String),
    /// The Terraform contract.
    Contract,
    /// Terraform's own files: the workspace that is selected there.
    Terraform,
    /// The current context of the kubeconfig.
    Kubeconfig,
    /// What holds when nobody says.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::File(table) if table.is_empty() => f.write_str("hybrid.toml"),
            Self::File(table) => write!(f, "hybrid.toml [{table}]"),
            Self::Contract => f.write_str("contract"),
            Self::Terraform => f.write_str("terraform"),
            Self::Kubeconfig => f.write_str("kubeconfig"),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
