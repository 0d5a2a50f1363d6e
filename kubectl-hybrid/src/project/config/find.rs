//! Where the file is, in a repository of one project or of several.

use std::io;
use std::path::{Path, PathBuf};

use super::file::ConfigFile;
use super::parse::parse;
use super::{ConfigError, WorkspaceConfig};

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

impl Config {
    /// Finds the file from `from` upwards and reads it: the nearest, or the one of `project`.
    ///
    /// # Errors
    /// [`ConfigError`] when there is none, when it is wrong, and when it only lists projects and
    /// none is chosen.
    pub fn find(from: &Path, project: Option<&str>) -> Result<Self, ConfigError> {
        if let Some(name) = project {
            return Self::find_project(from, name);
        }
        let path = files_above(from)
            .next()
            .ok_or_else(|| ConfigError::NotFound(from.to_owned()))?;
        let config = Self::read(&path)?;
        if config.only_lists() {
            return Err(ConfigError::ManyProjects {
                known: config.members()?.iter().map(Self::name).collect(),
                path,
            });
        }
        Ok(config)
    }

    /// The project of this name, or in a folder of this name, that a file from `from` upwards is or
    /// lists.
    fn find_project(from: &Path, name: &str) -> Result<Self, ConfigError> {
        let mut known = Vec::new();
        let mut any = false;
        for path in files_above(from) {
            any = true;
            let config = Self::read(&path)?;
            let members = config.members()?;
            let own = (!config.only_lists()).then_some(config);
            for candidate in own.into_iter().chain(members) {
                if candidate.is_called(name) {
                    return Ok(candidate);
                }
                known.push(candidate.name());
            }
        }
        if any {
            Err(ConfigError::UnknownProject {
                name: name.to_owned(),
                from: from.to_owned(),
                known,
            })
        } else {
            Err(ConfigError::NotFound(from.to_owned()))
        }
    }

    /// Whether the file lists projects and is none itself.
    fn only_lists(&self) -> bool {
        self.file.project.is_none() && !self.file.projects.is_empty()
    }

    /// The projects that this file lists.
    fn members(&self) -> Result<Vec<Self>, ConfigError> {
        let read = |folder: &PathBuf| Self::read(&self.root.join(folder).join(FILE_NAME));
        self.file.projects.iter().map(read).collect()
    }

    /// What `--project` calls it: its name, else its folder's.
    fn name(&self) -> String {
        self.file.project.clone().unwrap_or_else(|| {
            let folder = self.root.file_name();
            folder.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
        })
    }

    fn is_called(&self, name: &str) -> bool {
        self.file.project.as_deref() == Some(name)
            || self.root.file_name().is_some_and(|folder| folder == name)
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`ConfigError`] when it is missing, cannot be read or is wrong.
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
        // Builds run in this folder: what is relative to it must stay so wherever they are started.
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let root = absolute.parent().unwrap_or(Path::new(".")).to_owned();
        Ok(Self {
            path: path.to_owned(),
            root,
            file,
        })
    }

    /// The contexts that `workspace` may use beside the local ones.
    pub fn contexts(&self, workspace: &str) -> &[String] {
        self.of_workspace(workspace)
            .map_or(&[], |table| &table.contexts)
    }

    /// The table of `workspace`.
    pub fn of_workspace(&self, workspace: &str) -> Option<&WorkspaceConfig> {
        self.file.workspaces.get(workspace)
    }
}

fn files_above(from: &Path) -> impl Iterator<Item = PathBuf> + '_ {
    from.ancestors()
        .map(|folder| folder.join(FILE_NAME))
        .filter(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, path: &str, text: &str) {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn the_file_is_found_from_a_folder_below() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), FILE_NAME, "project = \"p\"");
        let below = folder.path().join("web/src");
        std::fs::create_dir_all(&below).unwrap();
        let config = Config::find(&below, None).unwrap();
        assert_eq!(config.root, folder.path());
    }

    #[test]
    fn no_file_is_one_sentence_with_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        for project in [None, Some("p")] {
            let error = Config::find(folder.path(), project).unwrap_err();
            assert!(error.to_string().starts_with("no hybrid.toml in "));
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn a_repository_of_several_projects_wants_a_choice_unless_the_folder_makes_it() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path();
        write(top, FILE_NAME, "projects = [\"apps/shop\", \"apps/blog\"]");
        write(top, "apps/shop/hybrid.toml", "project = \"web-shop\"");
        write(top, "apps/blog/hybrid.toml", "workspace = \"dev\"");

        let error = Config::find(top, None).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("hybrid.toml lists several projects and is none itself: web-shop, blog"),
            "{error}"
        );
        let root = |from: &str, project| {
            let found = Config::find(&top.join(from), project).unwrap();
            found.root.strip_prefix(top).unwrap().to_owned()
        };
        assert_eq!(root("apps/shop", None), Path::new("apps/shop"));
        assert_eq!(root("", Some("web-shop")), Path::new("apps/shop"));
        assert_eq!(root("", Some("shop")), Path::new("apps/shop"));
        assert_eq!(root("apps/shop", Some("blog")), Path::new("apps/blog"));

        let error = Config::find(top, Some("store")).unwrap_err();
        assert!(
            error.to_string().ends_with("there are web-shop, blog"),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("projects"));
    }

    #[test]
    fn a_project_without_a_name_is_called_as_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "blog/hybrid.toml", "workspace = \"dev\"");
        let blog = folder.path().join("blog");
        assert_eq!(Config::find(&blog, Some("blog")).unwrap().root, blog);
        assert!(Config::find(&blog, Some("shop")).is_err());
    }

    #[test]
    fn a_listed_folder_without_a_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), FILE_NAME, "projects = [\"gone\"]");
        let error = Config::find(folder.path(), None).unwrap_err();
        assert!(error.to_string().contains("gone"), "{error}");
    }
}
