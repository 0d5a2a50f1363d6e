//! `hybrid.toml`: what the contract cannot know, namely where the sources are.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The file's name. It is looked for from the working directory upwards.
pub const FILE_NAME: &str = "hybrid.toml";

/// A parsed `hybrid.toml` and where it was found.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file.
    pub path: PathBuf,
    /// The folder of the file: paths in it are relative to this one.
    pub root: PathBuf,
    /// What it says.
    pub file: ConfigFile,
}

/// The keys of `hybrid.toml`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ConfigFile {
    /// The project's name. It must be the contract's.
    pub project: Option<String>,
    /// The workspace when neither `-W` nor `HYBRID_WORKSPACE` says.
    pub workspace: Option<String>,
    /// Where the Terraform root is.
    #[serde(default)]
    pub terraform: TerraformConfig,
    /// How each service is built.
    #[serde(default)]
    pub services: BTreeMap<String, ServiceConfig>,
    /// What differs by workspace.
    #[serde(default)]
    pub workspaces: BTreeMap<String, WorkspaceConfig>,
}

/// The table `[terraform]`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct TerraformConfig {
    /// The root folder, relative to `hybrid.toml`. Default: `terraform`.
    pub dir: Option<PathBuf>,
    /// The program: `terraform`, `tofu` or a path.
    pub binary: Option<PathBuf>,
    /// Where the contract is read.
    pub source: Option<ContractSource>,
    /// The S3 backend, for a checkout where `terraform init` never ran.
    pub backend: Option<BackendConfig>,
}

/// Where the contract is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContractSource {
    /// The state object when it can be read safely, else the CLI.
    #[default]
    Auto,
    /// The state object or nothing.
    State,
    /// `terraform output -json`.
    Cli,
}

/// The table `[terraform.backend]`: the S3 backend's own words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct BackendConfig {
    /// The state bucket.
    pub bucket: String,
    /// The state's key.
    pub key: String,
    /// The bucket's region.
    pub region: Option<String>,
    /// The lock table.
    pub dynamodb_table: Option<String>,
    /// Whether a lock file is used.
    pub use_lockfile: Option<bool>,
    /// The prefix of workspaces. Default: `env:`.
    pub workspace_key_prefix: Option<String>,
    /// The AWS profile.
    pub profile: Option<String>,
}

/// A table `[services.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ServiceConfig {
    /// The build context, relative to `hybrid.toml`. Default: the service's name.
    pub context: Option<PathBuf>,
    /// The Dockerfile, relative to `hybrid.toml`. Default: `Dockerfile` in the context.
    pub dockerfile: Option<PathBuf>,
    /// The build stage.
    pub target: Option<String>,
    /// The platform, for example `linux/arm64`. Default: the engine's.
    pub platform: Option<String>,
    /// Build arguments.
    #[serde(default)]
    pub args: BTreeMap<String, String>,
}

/// A table `[workspaces.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct WorkspaceConfig {
    /// Contexts that this workspace may be deployed to beside the local ones.
    #[serde(default)]
    pub contexts: Vec<String>,
}

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
            Self::Missing(_) | Self::Read { .. } | Self::Parse { .. } => None,
        }
    }
}

fn suggest(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |key| format!("; did you mean `{key}`?"))
}

impl Config {
    /// Finds the file from `from` upwards and reads it.
    pub fn find(from: &Path) -> Result<Self, ConfigError> {
        from.ancestors()
            .map(|folder| folder.join(FILE_NAME))
            .find(|path| path.is_file())
            .map_or_else(
                || Err(ConfigError::NotFound(from.to_owned())),
                |path| Self::read(&path),
            )
    }

    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| {
            if source.kind() == io::ErrorKind::NotFound {
                ConfigError::Missing(path.to_owned())
            } else {
                ConfigError::Read {
                    path: path.to_owned(),
                    source,
                }
            }
        })?;
        let file = parse(path, &text)?;
        let root = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        Ok(Self {
            path: path.to_owned(),
            root,
            file,
        })
    }

    /// The contexts that `workspace` may use beside the local ones.
    pub fn contexts(&self, workspace: &str) -> &[String] {
        self.file
            .workspaces
            .get(workspace)
            .map_or(&[], |table| &table.contexts)
    }
}

fn parse(path: &Path, text: &str) -> Result<ConfigFile, ConfigError> {
    let parse_error = |error: &toml::de::Error| {
        let (line, column) = error
            .span()
            .map_or((1, 1), |span| position(text, span.start));
        ConfigError::Parse {
            path: path.to_owned(),
            line,
            column,
            message: error.message().trim().replace('\n', " "),
        }
    };
    let document = toml::Deserializer::parse(text).map_err(|error| parse_error(&error))?;
    let mut unknown = None;
    let file: ConfigFile = serde_ignored::deserialize(document, |key| {
        let key = key.to_string();
        if unknown.is_none()
            && !key
                .rsplit('.')
                .next()
                .is_some_and(|last| last.starts_with("x-"))
        {
            unknown = Some(key);
        }
    })
    .map_err(|error| parse_error(&error))?;
    match unknown {
        None => Ok(file),
        Some(key) => Err(ConfigError::UnknownKey {
            path: path.to_owned(),
            suggestion: nearest(&key),
            key,
        }),
    }
}

/// The line and column, both from 1, of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    (line, column)
}

/// The known keys by table; `*` stands for a name of the user's.
const KNOWN: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "project",
            "workspace",
            "terraform",
            "services",
            "workspaces",
        ],
    ),
    ("terraform", &["dir", "binary", "source", "backend"]),
    (
        "terraform.backend",
        &[
            "bucket",
            "key",
            "region",
            "dynamodb_table",
            "use_lockfile",
            "workspace_key_prefix",
            "profile",
        ],
    ),
    (
        "services.*",
        &["context", "dockerfile", "target", "platform", "args"],
    ),
    ("workspaces.*", &["contexts"]),
];

fn nearest(key: &str) -> Option<String> {
    let (table, last) = key.rsplit_once('.').unwrap_or(("", key));
    let pattern = match table.split_once('.') {
        Some((first @ ("services" | "workspaces"), _)) => format!("{first}.*"),
        _ => table.to_owned(),
    };
    let (_, names) = KNOWN.iter().find(|(known, _)| *known == pattern)?;
    names
        .iter()
        .map(|name| (strsim::damerau_levenshtein(name, last), *name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<ConfigFile, ConfigError> {
        parse(Path::new("hybrid.toml"), text)
    }

    #[test]
    fn the_example_is_understood() {
        let file = parse_text(
            "project = \"knowledge-repo\"\nworkspace = \"dev\"\n[terraform]\ndir = \"../terraform\"\n\
             [services.web]\ncontext = \"web\"\nargs = { GREETING = \"hello\" }\n\
             [workspaces.dev]\ncontexts = [\"team\"]\n",
        )
        .unwrap();
        assert_eq!(file.project.as_deref(), Some("knowledge-repo"));
        assert_eq!(file.services["web"].args["GREETING"], "hello");
        assert_eq!(file.workspaces["dev"].contexts, ["team"]);
    }

    #[test]
    fn broken_toml_names_line_and_column() {
        let error = parse_text("project = \"x\"\nworkspace = dev\n").unwrap_err();
        assert!(
            error.to_string().starts_with("hybrid.toml:2:13: "),
            "{error}"
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_names_line_and_column() {
        let error = parse_text("[services.web]\ncontext = 3\n").unwrap_err();
        assert!(
            error.to_string().starts_with("hybrid.toml:2:11: "),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_key_gets_a_suggestion() {
        let error = parse_text("[services.web]\ncontxt = \"web\"\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "hybrid.toml: unknown key `services.web.contxt`; did you mean `context`?"
        );
        let error = parse_text("colour = 1\n").unwrap_err();
        assert_eq!(error.to_string(), "hybrid.toml: unknown key `colour`");
    }

    #[test]
    fn a_key_of_the_users_own_is_left_alone() {
        assert!(parse_text("x-owner = \"team\"\n[services.web]\nx-note = 1\n").is_ok());
    }

    #[test]
    fn the_file_is_found_from_a_folder_below() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE_NAME), "project = \"p\"").unwrap();
        let below = folder.path().join("web/src");
        std::fs::create_dir_all(&below).unwrap();
        let config = Config::find(&below).unwrap();
        assert_eq!(config.root, folder.path());
    }

    #[test]
    fn no_file_is_one_sentence_with_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        let error = Config::find(folder.path()).unwrap_err();
        assert!(error.to_string().starts_with("no hybrid.toml in "));
        assert!(error.hint().is_some());
    }
}
