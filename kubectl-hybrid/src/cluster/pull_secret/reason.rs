//! Why a pull secret has to be written, and why it must not be.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use super::SECRET_TYPE;

/// Why a secret has to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "camelCase")]
pub enum Reason {
    /// There is no secret.
    NoSecret,
    /// No login for the registry.
    Missing {
        /// The registry.
        registry: String,
    },
    /// The login has ended.
    Expired {
        /// The registry.
        registry: String,
        /// When it ended.
        at: Timestamp,
    },
    /// The login ends too soon.
    ExpiresSoon {
        /// The registry.
        registry: String,
        /// When it ends.
        at: Timestamp,
    },
    /// Nothing says when the login ends.
    UnknownExpiry {
        /// The registry.
        registry: String,
    },
    /// The user name is another one.
    Username {
        /// The registry.
        registry: String,
        /// The user name that was found.
        found: String,
    },
    /// The host stands there in another spelling as well.
    OtherSpelling {
        /// The registry.
        registry: String,
        /// The key.
        key: String,
    },
    /// An entry that the kubelet fails on, which breaks every other entry too.
    BrokenEntry {
        /// The key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// The JSON as a whole cannot be read.
    Unreadable {
        /// What is wrong with it.
        why: String,
    },
    /// It stands for another AWS identity.
    Principal {
        /// The identity that was found.
        found: String,
    },
    /// The registry refused the login, though it looks alive.
    RefusedByRegistry,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSecret => f.write_str("there is no secret"),
            Self::Missing { registry } => write!(f, "no login for {registry}"),
            Self::Expired { registry, at } => {
                write!(f, "the login for {registry} expired at {at:.0}")
            }
            Self::ExpiresSoon { registry, at } => {
                write!(f, "the login for {registry} expires at {at:.0}")
            }
            Self::UnknownExpiry { registry } => {
                write!(f, "nothing says when the login for {registry} expires")
            }
            Self::Username { registry, found } => {
                write!(f, "the user name for {registry} is `{found}`")
            }
            Self::OtherSpelling { registry, key } => {
                write!(
                    f,
                    "{registry} is listed as `{}` as well",
                    key.escape_debug()
                )
            }
            Self::BrokenEntry { key, why } => {
                write!(
                    f,
                    "the entry `{}` cannot be read: {why}",
                    key.escape_debug()
                )
            }
            Self::Unreadable { why } => write!(f, "its content cannot be read: {why}"),
            Self::Principal { found } => write!(f, "it stands for another identity, {found}"),
            Self::RefusedByRegistry => f.write_str("the registry does not accept the login"),
        }
    }
}

/// Why a secret is not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The type of a Secret cannot be changed, and the kubelet ignores other types.
    #[error("its type is `{found}` instead of `{SECRET_TYPE}`, and a type cannot be changed")]
    WrongType {
        /// The type that was found.
        found: String,
    },
    /// Its data cannot be changed.
    #[error("it is immutable")]
    Immutable,
    /// It is being deleted.
    #[error("it is being deleted")]
    Terminating,
    /// Another tool keeps it and would write over us.
    #[error("{tool} keeps it ({evidence}) and would undo the change")]
    OwnedBy {
        /// The tool.
        tool: String,
        /// What shows it.
        evidence: String,
    },
}

impl Refusal {
    /// What to do next. `secret` and `namespace` name the object.
    pub fn hint(&self, secret: &str, namespace: &str) -> String {
        match self {
            Self::WrongType { .. } | Self::Immutable => format!(
                "delete it, and it is made anew: `kubectl -n {namespace} delete secret {secret}`"
            ),
            Self::Terminating => "wait until it is gone, and run the command again".to_owned(),
            Self::OwnedBy { tool, .. } => {
                format!("let {tool} refresh it, or name another pull secret for this workspace")
            }
        }
    }
}
