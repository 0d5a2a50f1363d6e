//! Why there is no configuration.

use std::io;
use std::path::PathBuf;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No file from the working directory upwards.
    #[error("no hybrid.toml in {} or any folder above it", .0.display())]
    NotFound(PathBuf),
    /// The file that was named is not there.
    #[error("there is no configuration file {}", .0.display())]
    Missing(PathBuf),
    /// The file cannot be read.
    #[error("could not read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not TOML or a value has the wrong type.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// A key that means nothing.
    #[error("{}: unknown key `{key}`{}", path.display(), suggest(.suggestion.as_deref()))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The whole key, with dots.
        key: String,
        /// The nearest known key.
        suggestion: Option<String>,
    },
    /// A repository of several projects, and none was chosen.
    #[error("{} lists several projects and is none itself: {}", path.display(), known.join(", "))]
    ManyProjects {
        /// The file.
        path: PathBuf,
        /// The names.
        known: Vec<String>,
    },
    /// A project that no file lists.
    #[error("there is no project `{name}` in {} or any folder above it; {}", from.display(), listed(known))]
    UnknownProject {
        /// The name that was asked for.
        name: String,
        /// Where the search began.
        from: PathBuf,
        /// The names that there are.
        known: Vec<String>,
    },
}

impl ConfigError {
    /// What to do next.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotFound(_) => Some(
                "write one: `project = \"NAME\"`, `[terraform] dir = \"terraform\"`; or name it with --config FILE",
            ),
            Self::UnknownKey { .. } => {
                Some("a key of your own may be kept under a name that begins with `x-`")
            }
            Self::ManyProjects { .. } => Some("choose with --project NAME, or work in its folder"),
            Self::UnknownProject { .. } => Some(
                "list its folder in `projects` of the hybrid.toml at the top of the repository",
            ),
            Self::Missing(_) | Self::Read { .. } | Self::Parse { .. } => None,
        }
    }
}

fn suggest(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |key| format!("; did you mean `{key}`?"))
}

fn listed(known: &[String]) -> String {
    if known.is_empty() {
        "no file lists projects".to_owned()
    } else {
        format!("there are {}", known.join(", "))
    }
}
