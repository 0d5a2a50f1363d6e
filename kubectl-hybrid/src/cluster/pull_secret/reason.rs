//! Why a pull secret has to be written, and why it must not be.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::{LEGACY_TYPE, SECRET_TYPE};

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
    /// The host stands there in another spelling.
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
    /// The login stands for another AWS identity.
    Principal {
        /// The registry.
        registry: String,
        /// The identity that was found.
        found: String,
    },
    /// The login was not minted through the contract's pull-only role.
    TooMuchPower {
        /// The registry.
        registry: String,
        /// The identity that was found.
        found: String,
        /// The role.
        role: String,
    },
    /// The registry refused the login, though it looks alive.
    RefusedByRegistry,
}

impl Reason {
    /// Whether pulls work all the same: nothing is wrong with the login itself.
    pub fn lets_pull(&self) -> bool {
        matches!(
            self,
            Self::ExpiresSoon { .. }
                | Self::Principal { .. }
                | Self::TooMuchPower { .. }
                | Self::OtherSpelling { .. }
        )
    }
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
                    "`{}` is another spelling of {registry}",
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
            Self::Principal { registry, found } => {
                write!(
                    f,
                    "the login for {registry} is of another identity, {found}"
                )
            }
            Self::TooMuchPower {
                registry,
                found,
                role,
            } => write!(
                f,
                "the login for {registry} is of {found}, not of the pull-only role {role}"
            ),
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
        /// The keys of logins that a new secret would lack.
        foreign: Vec<String>,
    },
    /// Its data cannot be changed.
    #[error("it is immutable")]
    Immutable {
        /// The keys of logins that a new secret would lack.
        foreign: Vec<String>,
    },
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

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a [`Refusal`] means for what a secret holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Obstacle {
    /// It has to be written and must not be.
    #[serde(rename = "refusal")]
    Refused(Refusal),
    /// It should be written some time and must not be: it stays, and pulls work.
    Stays(Refusal),
}

impl Refusal {
    /// What it means for a secret with these faults. `None` when nothing has to be written.
    pub fn weigh(self, reasons: &[Reason]) -> Option<Obstacle> {
        // What the kubelet does not read, or not for long, helps nobody however good it is.
        let is_useless = match &self {
            Self::Terminating => true,
            Self::WrongType { found, .. } => found != LEGACY_TYPE,
            Self::Immutable { .. } | Self::OwnedBy { .. } => false,
        };
        if is_useless || !reasons.iter().all(Reason::lets_pull) {
            Some(Obstacle::Refused(self))
        } else if reasons.is_empty() {
            None
        } else {
            Some(Obstacle::Stays(self))
        }
    }

    /// What to do next. `secret` and `namespace` name the object.
    pub fn hint(&self, secret: &str, namespace: &str) -> String {
        match self {
            Self::WrongType { foreign, .. } | Self::Immutable { foreign } => {
                let delete = format!("`kubectl -n {namespace} delete secret {secret}`");
                if foreign.is_empty() {
                    return format!("delete it, and it is made anew: {delete}");
                }
                let lost: Vec<String> = foreign
                    .iter()
                    .map(|key| key.escape_debug().to_string())
                    .collect();
                format!(
                    "it holds logins that nobody makes anew, for {}: put them into another pull secret, or name another one for this workspace; then {delete}, and it is made anew without them",
                    lost.join(", ")
                )
            }
            Self::Terminating => "wait until it is gone, and run the command again".to_owned(),
            Self::OwnedBy { tool, .. } => {
                format!("let {tool} refresh it, or name another pull secret for this workspace")
            }
        }
    }
}
