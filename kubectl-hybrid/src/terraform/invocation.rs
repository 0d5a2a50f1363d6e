//! Commands of Terraform that change something. They are shown to a person before they run.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::keys::Workspace;
use super::lock::Shell;
use super::root::{Root, RootError};

/// One command of Terraform in a root folder.
#[derive(Debug, Clone)]
pub struct Invocation {
    program: PathBuf,
    dir: PathBuf,
    data_dir: Option<OsString>,
    workspace: Option<Workspace>,
    args: Vec<String>,
}

impl Invocation {
    /// A command in a folder that need not be there yet, in the workspace `default`.
    #[must_use]
    pub fn new(program: &Path, dir: &Path, data_dir: Option<OsString>, args: &[&str]) -> Self {
        Self {
            program: program.to_owned(),
            dir: dir.to_owned(),
            data_dir,
            workspace: None,
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
        }
    }

    /// A command in a root folder, with its program and data folder.
    pub fn of(root: &Root, args: &[&str]) -> Result<Self, RootError> {
        let data_dir = root.env().data_dir.clone();
        Ok(Self::new(&root.binary()?, root.dir(), data_dir, args))
    }

    /// Runs it in a workspace. Terraform makes one that it does not know, so it has to exist.
    #[must_use]
    pub fn in_workspace(mut self, workspace: &Workspace) -> Self {
        self.workspace = Some(workspace.clone());
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// The command. It has this process's streams and environment, but for the workspace and the
    /// data folder.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut chdir = OsString::from("-chdir=");
        chdir.push(&self.dir);
        let mut command = Command::new(&self.program);
        command
            .arg(chdir)
            .args(&self.args)
            .env("CHECKPOINT_DISABLE", "1");
        match &self.workspace {
            Some(workspace) => command.env("TF_WORKSPACE", workspace.as_str()),
            None => command.env_remove("TF_WORKSPACE"),
        };
        match &self.data_dir {
            Some(data_dir) => command.env("TF_DATA_DIR", data_dir),
            None => command.env_remove("TF_DATA_DIR"),
        };
        command
    }
}

/// As a person would type it.
impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shell = Shell::of_this_system();
        let program = self.program.file_stem().unwrap_or_default();
        let mut words = vec![
            program.to_string_lossy().into_owned(),
            format!("-chdir={}", self.dir.display()),
        ];
        words.extend(self.args.iter().cloned());
        let words: Vec<_> = words.iter().map(|word| shell.quoted(word)).collect();
        let command = words.join(" ");
        match &self.workspace {
            Some(workspace) => {
                f.write_str(&shell.with_variable("TF_WORKSPACE", workspace.as_str(), &command))
            }
            None => f.write_str(&command),
        }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_runs() {
        let program = Path::new("/opt/tofu");
        let dev = Workspace::new("dev").unwrap();
        let invocation = Invocation::new(program, Path::new("infra"), None, &["apply"])
            .in_workspace(&dev)
            .arg("-var=kube_context=my context");
        assert_eq!(
            invocation.to_string(),
            "TF_WORKSPACE=dev tofu -chdir=infra apply '-var=kube_context=my context'"
        );
        let command = invocation.command();
        assert_eq!(command.get_program(), program.as_os_str());
        let env: Vec<_> = command.get_envs().collect();
        assert!(env.contains(&("TF_WORKSPACE".as_ref(), Some("dev".as_ref()))));
        assert!(env.contains(&("TF_DATA_DIR".as_ref(), None)));
    }
}
