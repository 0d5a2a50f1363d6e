//! What can go wrong between this tool and an API server, one sentence each.

use std::error::Error as StdError;
use std::path::PathBuf;

use kube::config::KubeconfigError;

/// An error of the cluster room.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// None of the places where kubectl looks has a kubeconfig.
    #[error("no kubeconfig found: {} does not exist", list_paths(.looked_at))]
    NoKubeconfig {
        /// Every place that was looked at.
        looked_at: Vec<PathBuf>,
    },

    /// A kubeconfig exists and cannot be used.
    #[error("the kubeconfig cannot be used: {source}")]
    Kubeconfig {
        /// What kube says about it.
        #[source]
        source: Box<KubeconfigError>,
    },

    /// The kubeconfig sets no current context and none was given.
    #[error("the kubeconfig has no current context and none was given")]
    NoCurrentContext {
        /// The contexts that exist.
        available: Vec<String>,
    },

    /// The context is not in the kubeconfig.
    #[error("there is no context `{context}` in the kubeconfig")]
    UnknownContext {
        /// What was asked for.
        context: String,
        /// The name that is nearest to it, when one is near.
        nearest: Option<String>,
        /// The contexts that exist.
        available: Vec<String>,
    },

    /// No client can be made from a context: a broken certificate, an unknown proxy scheme.
    #[error("cannot make a client for context `{context}`: {why}")]
    Client {
        /// The context.
        context: String,
        /// The reason, innermost last.
        why: String,
    },

    /// The API server did not answer.
    #[error(
        "cannot {action}: the API server {server} of context `{context}` does not answer: {why}"
    )]
    Unreachable {
        /// What was tried, as a verb phrase.
        action: String,
        /// The context.
        context: String,
        /// The server's URL.
        server: String,
        /// The reason, innermost last.
        why: String,
    },

    /// The credentials of the context could not be made: an exec plugin failed, for example.
    #[error("cannot {action}: the credentials of context `{context}` cannot be had: {why}")]
    Credentials {
        /// What was tried.
        action: String,
        /// The context.
        context: String,
        /// The reason, innermost last.
        why: String,
    },

    /// 401.
    #[error(
        "cannot {action}: the API server {server} does not accept the credentials of context `{context}`"
    )]
    Unauthorized {
        /// What was tried.
        action: String,
        /// The context.
        context: String,
        /// The server's URL.
        server: String,
    },

    /// 403.
    #[error("cannot {action}: the user of context `{context}` may not: {message}")]
    Forbidden {
        /// What was tried.
        action: String,
        /// The context.
        context: String,
        /// What the API server says.
        message: String,
    },

    /// An admission rule refused it: a webhook, a policy, a quota.
    #[error("cannot {action}: an admission rule refuses it: {message}")]
    Admission {
        /// What was tried.
        action: String,
        /// What the API server says.
        message: String,
    },

    /// 404.
    #[error("cannot {action}: {message}")]
    NotFound {
        /// What was tried.
        action: String,
        /// What the API server says.
        message: String,
    },

    /// Somebody else kept writing at the same time.
    #[error("cannot {action}: it was changed by somebody else {attempts} times in a row")]
    Conflict {
        /// What was tried.
        action: String,
        /// How often it was tried.
        attempts: u32,
    },

    /// The API server refused the request for another reason.
    #[error("cannot {action}: the API server answers {code}: {message}")]
    Api {
        /// What was tried.
        action: String,
        /// The HTTP status.
        code: u16,
        /// What the API server says.
        message: String,
    },

    /// The answer could not be understood, or the request could not be built.
    #[error("cannot {action}: {why}")]
    Protocol {
        /// What was tried.
        action: String,
        /// The reason, innermost last.
        why: String,
    },
}

impl ClusterError {
    /// Sorts an error of kube by what a person can do about it.
    pub(crate) fn from_kube(
        action: impl Into<String>,
        context: &str,
        server: &str,
        error: &kube::Error,
    ) -> Self {
        let action = action.into();
        let context = context.to_owned();
        match error {
            kube::Error::Api(status) if is_admission(&status.message) => Self::Admission {
                action,
                message: status.message.clone(),
            },
            kube::Error::Api(status) => match status.code {
                401 => Self::Unauthorized {
                    action,
                    context,
                    server: server.to_owned(),
                },
                403 => Self::Forbidden {
                    action,
                    context,
                    message: status.message.clone(),
                },
                404 => Self::NotFound {
                    action,
                    message: status.message.clone(),
                },
                code => Self::Api {
                    action,
                    code,
                    message: if status.message.is_empty() {
                        status.reason.clone()
                    } else {
                        status.message.clone()
                    },
                },
            },
            kube::Error::Auth(_) => Self::Credentials {
                action,
                context,
                why: chain(error),
            },
            kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_) => {
                Self::Unreachable {
                    action,
                    context,
                    server: server.to_owned(),
                    why: chain(error),
                }
            }
            _ => Self::Protocol {
                action,
                why: chain(error),
            },
        }
    }

    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoKubeconfig { .. } => Some(
                "start a local cluster, or name a kubeconfig with `--kubeconfig` or `KUBECONFIG`"
                    .to_owned(),
            ),
            Self::NoCurrentContext { available } => Some(format!(
                "give one with `--context`{}",
                listed(" (there is: ", available, ")")
            )),
            Self::UnknownContext {
                nearest: Some(nearest),
                available,
                ..
            } => Some(format!(
                "did you mean `{nearest}`?{}",
                listed(" There is: ", available, ".")
            )),
            Self::UnknownContext {
                nearest: None,
                available,
                ..
            } if available.is_empty() => {
                Some("the kubeconfig has no contexts: start a local cluster".to_owned())
            }
            Self::UnknownContext { available, .. } => Some(listed("there is: ", available, "")),
            Self::Unreachable { why, .. } if why.contains("certificate") => Some(
                "the server's certificate is not the one in the kubeconfig: was the cluster made \
                 anew, or is the clock of this machine wrong?"
                    .to_owned(),
            ),
            Self::Unreachable { context, .. } => Some(format!(
                "is the cluster of context `{context}` running? Another one can be chosen with \
                 `--context`"
            )),
            Self::Unauthorized { context, .. } | Self::Credentials { context, .. } => Some(
                format!("log in again, or write the kubeconfig entry of context `{context}` anew"),
            ),
            _ => None,
        }
    }

    /// Whether the same request may well succeed a little later: the server restarts or is busy.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { why, .. } => !why.contains("certificate"),
            Self::Api { code, .. } => matches!(code, 429 | 500..=599),
            _ => false,
        }
    }
}

/// Whether the words are those of an admission rule. The status alone does not tell: a webhook
/// answers 403 as a missing permission does, a policy 422 as a wrong object does.
fn is_admission(message: &str) -> bool {
    message.contains("denied the request")
        || message.contains("denied request")
        || message.contains("failed calling webhook")
        || message.contains("exceeded quota")
        || message.contains("violates PodSecurity")
}

/// The texts of an error and of what caused it, each said once.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        next = error.source();
        let text = own_text(error);
        if text.is_empty() || said.iter().any(|before| before.contains(&text)) {
            continue;
        }
        // A parent that ends with its cause's text adds only what stands before it.
        said.retain(|before| !text.contains(before.as_str()));
        said.push(text);
    }
    said.join(": ")
}

fn own_text(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    // kube and hyper name the layer, which tells a person nothing.
    for layer in [
        "ServiceError: ",
        "HyperError: ",
        "client error (Connect)",
        "error trying to connect: ",
    ] {
        text = text.replace(layer, "");
    }
    text.trim().trim_end_matches(':').to_owned()
}

fn list_paths(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(", ")
}

fn listed(before: &str, names: &[String], after: &str) -> String {
    if names.is_empty() {
        return String::new();
    }
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("{before}{}{after}", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(code: u16, message: &str) -> kube::Error {
        let status = kube::core::Status::failure(message, "").with_code(code);
        kube::Error::Api(status.boxed())
    }

    fn sentence(error: &kube::Error) -> String {
        ClusterError::from_kube(
            "read the pull secret",
            "kind-dev",
            "https://127.0.0.1:6443",
            error,
        )
        .to_string()
    }

    #[test]
    fn an_answer_is_sorted_by_its_status() {
        let table = [
            (
                401,
                "the API server https://127.0.0.1:6443 does not accept the credentials of context `kind-dev`",
            ),
            (
                403,
                "the user of context `kind-dev` may not: secrets is forbidden",
            ),
            (404, "cannot read the pull secret: secrets is forbidden"),
            (422, "the API server answers 422: secrets is forbidden"),
        ];
        for (code, expected) in table {
            let text = sentence(&api(code, "secrets is forbidden"));
            assert!(text.contains(expected), "{code}: {text}");
        }
    }

    #[test]
    fn an_admission_rule_is_no_lack_of_permission() {
        let text = sentence(&api(
            403,
            "admission webhook \"x.example\" denied the request: no",
        ));
        assert_eq!(
            text,
            "cannot read the pull secret: an admission rule refuses it: admission webhook \
             \"x.example\" denied the request: no"
        );
    }

    #[test]
    fn a_busy_server_may_pass_and_a_refusal_may_not() {
        let passes = |code| ClusterError::from_kube("x", "c", "s", &api(code, "m")).may_pass();
        assert!(passes(429) && passes(500) && passes(503));
        assert!(!passes(401) && !passes(403) && !passes(404) && !passes(422));
    }

    #[test]
    fn an_unknown_context_names_what_there_is() {
        let error = ClusterError::UnknownContext {
            context: "kind-dve".to_owned(),
            nearest: Some("kind-dev".to_owned()),
            available: vec!["kind-dev".to_owned(), "prod".to_owned()],
        };
        let hint = error.hint().unwrap();
        assert_eq!(
            hint,
            "did you mean `kind-dev`? There is: `kind-dev`, `prod`."
        );
    }

    #[derive(Debug, thiserror::Error)]
    #[error("ServiceError: client error (Connect): {0}")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("tcp connect error: Connection refused (os error 111)")]
    struct Inner;

    #[test]
    fn a_chain_says_each_text_once() {
        let text = chain(&Outer(Inner));
        assert_eq!(text.matches("Connection refused").count(), 1, "{text}");
        assert!(!text.contains("ServiceError"), "{text}");
    }
}
