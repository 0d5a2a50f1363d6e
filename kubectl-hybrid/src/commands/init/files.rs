//! The files of a new project: planned first, and none that is there already is written over.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::answers::Answers;
use crate::project::config::FILE_NAME;
use crate::terraform::configuration::{BOOTSTRAP, FILES};
use crate::terraform::root::is_configuration;

/// Where the project is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// The folder of hybrid.toml.
    pub(super) project: PathBuf,
    /// The Terraform root folder.
    pub(super) terraform: PathBuf,
    /// Whether the configuration in it is somebody's own, which is left as it is.
    pub(super) own: bool,
}

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Action {
    /// It is written.
    Create,
    /// It is there and says the same.
    Same,
    /// It is there, says something else, and stays.
    Keep,
}

/// A file of the plan.
#[derive(Debug, Clone, Serialize)]
pub(super) struct PlannedFile {
    pub(super) path: PathBuf,
    pub(super) action: Action,
    #[serde(skip)]
    text: String,
}

impl Layout {
    /// Looks at the folders. `terraform` is the Terraform folder when it was named.
    pub(super) fn find(project: &Path, terraform: Option<&Path>) -> Self {
        let terraform = match terraform {
            Some(dir) => dir.to_owned(),
            // Started in a Terraform folder: that is the one.
            None if has_configuration(project) => project.to_owned(),
            None => project.join("terraform"),
        };
        let own = has_configuration(&terraform) && !terraform.join(BOOTSTRAP).is_dir();
        Self {
            project: project.to_owned(),
            terraform,
            own,
        }
    }

    /// The values of the environment.
    pub(super) fn values(&self, environment: &str) -> PathBuf {
        self.terraform
            .join("environments")
            .join(format!("{environment}.tfvars"))
    }

    /// Whether some file of the configuration declares the output that this tool reads.
    pub(super) fn declares_contract(&self) -> bool {
        configuration_files(&self.terraform).any(|path| {
            std::fs::read_to_string(path).is_ok_and(|text| {
                text.lines().any(|line| {
                    let words: Vec<&str> = line.split_whitespace().collect();
                    matches!(words[..], ["output", "\"hybrid\"", ..])
                }) || text.contains("\"hybrid\":")
            })
        })
    }
}

/// All files, those of bootstrap first: they tell this configuration from somebody's own.
pub(super) fn plan(layout: &Layout, answers: &Answers) -> io::Result<Vec<PlannedFile>> {
    let mut files = Vec::new();
    if !layout.own {
        let (bootstrap, others): (Vec<_>, Vec<_>) = FILES
            .iter()
            .partition(|(name, _)| name.starts_with(BOOTSTRAP));
        for (name, text) in bootstrap.into_iter().chain(others) {
            // They are named with `/` on every system.
            let path = name
                .split('/')
                .fold(layout.terraform.clone(), |path, part| path.join(part));
            files.push((path, (*text).to_owned()));
        }
        let bootstrap = layout.terraform.join(BOOTSTRAP);
        files.push((
            bootstrap.join("terraform.tfvars"),
            bootstrap_values(answers),
        ));
        files.push((layout.terraform.join(".gitignore"), IGNORED.to_owned()));
        files.push((layout.values(&answers.environment), values(answers)));
    }
    files.push((layout.project.join(FILE_NAME), config(layout, answers)));
    files
        .into_iter()
        .map(|(path, text)| {
            let action = match std::fs::read_to_string(&path) {
                Ok(there) if there.replace("\r\n", "\n") == text.replace("\r\n", "\n") => {
                    Action::Same
                }
                Ok(_) => Action::Keep,
                Err(error) if error.kind() == io::ErrorKind::NotFound => Action::Create,
                Err(error) => return Err(error),
            };
            Ok(PlannedFile { path, action, text })
        })
        .collect()
}

/// Writes what is not there. A file that came into being meanwhile is an error, not written over.
pub(super) fn write(files: &[PlannedFile]) -> io::Result<usize> {
    let mut written = 0;
    for file in files.iter().filter(|file| file.action == Action::Create) {
        write_new(&file.path, &file.text)?;
        written += 1;
    }
    Ok(written)
}

pub(super) fn write_new(path: &Path, text: &str) -> io::Result<()> {
    use io::Write as _;

    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::File::create_new(path)?.write_all(text.as_bytes())
}

const IGNORED: &str = ".terraform/\n*.tfstate\n*.tfstate.*\n";

/// Bucket and table are named after the project: two projects of one account share neither.
fn bootstrap_values(answers: &Answers) -> String {
    // The bucket's name needs two characters at least.
    let name = if answers.project.len() < 2 {
        format!("{}-hybrid", answers.project)
    } else {
        answers.project.clone()
    };
    let mut text = format!("name   = {}\n", hcl(&name));
    if let Some(region) = &answers.region {
        let _ = writeln!(text, "region = {}", hcl(region));
    }
    // It says that the step was taken, and so has to be the last file of it.
    text.push_str("\n# `kubectl hybrid init` writes it, after the root's other values.\nbackend_file = \"\"\n");
    text
}

fn values(answers: &Answers) -> String {
    let mut text = format!(
        "project      = {}\nenvironment  = {}\n",
        hcl(&answers.project),
        hcl(&answers.environment),
    );
    if let Some(region) = &answers.region {
        let _ = writeln!(text, "region       = {}", hcl(region));
    }
    if let Some(context) = &answers.context {
        let _ = writeln!(text, "kube_context = {}", hcl(context));
        if !has_local_name(context) {
            // Its address is local, as has been checked; its name alone does not say so.
            let _ = writeln!(text, "\nallowed_contexts = [{}]", hcl(context));
        }
    }
    text.push_str("\nservices = {\n");
    for service in &answers.services {
        let _ = match (service.port, service.node_port) {
            (Some(port), Some(node_port)) => writeln!(
                text,
                "  {} = {{\n    port      = {port}\n    node_port = {node_port}\n  }}",
                service.name
            ),
            (Some(port), None) => writeln!(text, "  {} = {{ port = {port} }}", service.name),
            (None, _) => writeln!(text, "  {} = {{}}", service.name),
        };
    }
    text.push_str("}\n");
    text
}

fn config(layout: &Layout, answers: &Answers) -> String {
    let dir = match layout.terraform.strip_prefix(&layout.project) {
        Ok(dir) if dir.as_os_str().is_empty() => ".".to_owned(),
        // With `/`, which every system reads.
        Ok(dir) => dir
            .iter()
            .map(|part| part.to_string_lossy())
            .collect::<Vec<_>>()
            .join("/"),
        Err(_) => layout.terraform.display().to_string(),
    };
    let toml = |text: &str| toml_edit::Value::from(text).to_string();
    let mut text = format!(
        "project = {}\nworkspace = {}\n\n[terraform]\ndir = {}\n",
        toml(&answers.project),
        toml(answers.workspace.as_str()),
        toml(&dir),
    );
    for service in &answers.services {
        if let Some(context) = &service.context {
            let context = toml(&context.to_string_lossy());
            let _ = write!(text, "\n[services.{}]\ncontext = {context}\n", service.name);
        }
    }
    text
}

/// As the configuration's variable `kube_context` has it.
fn has_local_name(context: &str) -> bool {
    let prefixed = |prefix: &str| {
        context
            .strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty())
    };
    [
        "docker-desktop",
        "docker-for-desktop",
        "minikube",
        "rancher-desktop",
        "orbstack",
        "colima",
    ]
    .contains(&context)
        || ["colima-", "kind-", "k3d-"].into_iter().any(prefixed)
}

/// A literal of HCL, in which `${` and `%{` would begin an expression.
pub(super) fn hcl(text: &str) -> String {
    serde_json::Value::from(text)
        .to_string()
        .replace("${", "$${")
        .replace("%{", "%%{")
}

fn has_configuration(dir: &Path) -> bool {
    configuration_files(dir).next().is_some()
}

fn configuration_files(dir: &Path) -> impl Iterator<Item = PathBuf> {
    dir.read_dir()
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| is_configuration(&entry.file_name()))
        .map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::super::answers::tests::answers;
    use super::*;
    use crate::project::config::Config;

    #[test]
    fn an_empty_folder_gets_all_files_and_a_second_plan_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::find(dir.path(), None);
        assert!(!layout.own);
        let answers = answers().checked().unwrap();
        let files = plan(&layout, &answers).unwrap();
        assert!(files.iter().all(|file| file.action == Action::Create));
        assert_eq!(write(&files).unwrap(), files.len());
        assert!(layout.declares_contract());

        let layout = Layout::find(dir.path(), None);
        assert!(!layout.own);
        let again = plan(&layout, &answers).unwrap();
        assert!(again.iter().all(|file| file.action == Action::Same));

        let config = Config::read(&dir.path().join(FILE_NAME)).unwrap();
        assert_eq!(config.file.project.as_deref(), Some("shop"));
        assert_eq!(config.file.workspace.as_deref(), Some("dev"));
        assert_eq!(config.file.terraform.dir, Some(PathBuf::from("terraform")));
    }

    #[test]
    fn a_file_that_says_something_else_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let toml = dir.path().join(FILE_NAME);
        std::fs::write(&toml, "project = \"mine\"\n").unwrap();
        let layout = Layout::find(dir.path(), None);
        let files = plan(&layout, &answers()).unwrap();
        let kept: Vec<_> = files
            .iter()
            .filter(|file| file.action == Action::Keep)
            .map(|file| file.path.clone())
            .collect();
        assert_eq!(kept, std::slice::from_ref(&toml));
        write(&files).unwrap();
        assert_eq!(
            std::fs::read_to_string(&toml).unwrap(),
            "project = \"mine\"\n"
        );
        assert_eq!(
            write_new(&toml, "").unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
    }

    #[test]
    fn a_configuration_of_somebodys_own_gets_a_config_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("main.tf"), "# ours\n").unwrap();
        let layout = Layout::find(dir.path(), None);
        assert_eq!((layout.own, &layout.terraform), (true, &layout.project));
        assert!(!layout.declares_contract());
        let files = plan(&layout, &answers()).unwrap();
        let paths: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
        assert_eq!(paths, [dir.path().join(FILE_NAME)]);
        assert!(files[0].text.contains("dir = \".\""), "{}", files[0].text);
        let outputs = "output \"hybrid\" {\n  value = {}\n}\n";
        std::fs::write(dir.path().join("outputs.tf"), outputs).unwrap();
        assert!(layout.declares_contract());
    }

    #[test]
    fn the_values_name_what_was_answered() {
        let mut answers = answers().checked().unwrap();
        assert_eq!(
            values(&answers),
            "project      = \"shop\"\nenvironment  = \"dev\"\nregion       = \"eu-central-1\"\n\
             kube_context = \"kind-dev\"\n\nservices = {\n  web = {\n    port      = 3000\n    \
             node_port = 30301\n  }\n  api = {\n    port      = 3000\n    node_port = 30300\n  }\n  \
             worker = {}\n}\n"
        );
        answers.context = Some("my-${cluster}".to_owned());
        let text = values(&answers);
        assert!(
            text.contains("allowed_contexts = [\"my-$${cluster}\"]"),
            "{text}"
        );
    }

    #[test]
    fn contexts_of_local_clusters_are_known_by_name() {
        for context in ["docker-desktop", "kind-a", "k3d-b", "colima", "colima-x"] {
            assert!(has_local_name(context), "{context}");
        }
        for context in ["kind-", "kind", "hybrid", "arn:aws:eks:x", "minikube2"] {
            assert!(!has_local_name(context), "{context}");
        }
    }
}
