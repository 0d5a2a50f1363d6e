//! The steps that Terraform takes: bootstrap, init, workspace, apply.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::answers::Answers;
use super::files::{Layout, hcl, write_new};
use super::{in_folder, named_kubeconfig, session};
use crate::cli::{Global, Init, Step};
use crate::commands::run_terraform::run_terraform;
use crate::commands::workspace;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::terraform::backend::{self, Backend, Origin};
use crate::terraform::cli;
use crate::terraform::configuration::BOOTSTRAP;
use crate::terraform::invocation::Invocation;
use crate::terraform::keys::Workspace;
use crate::terraform::root::{Root, RootError, TerraformEnv};
use crate::ui::Ui;

/// What the root is initialised with.
const BACKEND_FILE: &str = "backend.hcl";
/// What the root has to know of bootstrap. Terraform reads files of this kind by itself.
const STATE_VALUES: &str = "state.auto.tfvars";

/// One run of the steps.
pub(super) struct Setup<'a> {
    pub(super) global: &'a Global,
    pub(super) ui: &'a Ui,
    pub(super) flags: &'a Init,
    pub(super) layout: &'a Layout,
    pub(super) answers: &'a Answers,
    pub(super) program: PathBuf,
    pub(super) env: TerraformEnv,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct StepReport {
    step: &'static str,
    commands: Vec<String>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It had been taken before.
    Already,
    /// It was taken now.
    Done,
    /// It would be taken.
    Planned,
}

const STEPS: [(Step, &str); 4] = [
    (Step::Bootstrap, "bootstrap"),
    (Step::Backend, "backend"),
    (Step::Workspace, "workspace"),
    (Step::Apply, "apply"),
];

impl Setup<'_> {
    /// Takes the steps up to the last one that was asked for. `pending` says that an earlier one of
    /// a dry run was not really taken, so that nothing can be asked about what follows.
    pub(super) async fn run(&self, mut pending: bool) -> Result<Vec<StepReport>, CommandError> {
        let mut reports = Vec::new();
        for (step, name) in STEPS {
            if step > self.flags.until {
                break;
            }
            let already = if pending {
                None
            } else {
                self.done(step).await?
            };
            if let Some(why) = already {
                self.ui.step(name, why);
                reports.push(StepReport {
                    step: name,
                    commands: Vec::new(),
                    state: State::Already,
                });
                continue;
            }
            let commands = self.commands(step);
            for command in &commands {
                self.ui.step(name, command);
            }
            let state = if self.flags.dry_run {
                pending = true;
                State::Planned
            } else {
                self.take(step, &commands).await?;
                State::Done
            };
            reports.push(StepReport {
                step: name,
                commands: commands.iter().map(ToString::to_string).collect(),
                state,
            });
        }
        Ok(reports)
    }

    /// Why a step need not be taken any more.
    async fn done(&self, step: Step) -> Result<Option<String>, CommandError> {
        let dir = &self.layout.terraform;
        Ok(match step {
            Step::Files => None,
            Step::Bootstrap if self.layout.own => {
                Some("the configuration has a backend of its own".to_owned())
            }
            Step::Bootstrap => {
                let file = dir.join(BACKEND_FILE);
                file.is_file()
                    .then(|| format!("{} is there", file.display()))
            }
            Step::Backend => {
                let root = self.root()?;
                let initialised = match backend::locate(Some(&root), None) {
                    Ok(Backend::S3(backend)) => matches!(backend.origin, Origin::Initialised(_)),
                    Ok(Backend::Other { .. }) => root.data_dir().is_dir(),
                    Err(_) => false,
                };
                (initialised && root.data_dir().join("providers").is_dir())
                    .then(|| format!("{} is initialised", dir.display()))
            }
            Step::Workspace => {
                let session = session(self)?;
                workspace::existing(&session)
                    .await?
                    .contains(&self.answers.workspace)
                    .then(|| format!("{} exists", self.answers.workspace))
            }
            Step::Apply => {
                let session = session(self)?;
                session.contract().await.ok().map(|_| {
                    format!(
                        "{} is applied; later changes are taken by: {}",
                        self.answers.workspace,
                        self.apply()
                    )
                })
            }
        })
    }

    fn commands(&self, step: Step) -> Vec<Invocation> {
        let in_root = |args| {
            Invocation::new(
                &self.program,
                &self.layout.terraform,
                self.env.data_dir.clone(),
                args,
            )
        };
        match step {
            Step::Files => Vec::new(),
            Step::Bootstrap => vec![
                self.in_bootstrap(&["init", "-input=false"]),
                self.approved(self.in_bootstrap(&["apply"])),
            ],
            Step::Backend => {
                let init = in_root(&["init", "-input=false"]);
                let file = self.layout.terraform.join(BACKEND_FILE);
                if !self.layout.own || file.is_file() {
                    vec![init.arg(format!("-backend-config={BACKEND_FILE}"))]
                } else {
                    vec![init]
                }
            }
            Step::Workspace => {
                let workspace = self.answers.workspace.as_str();
                vec![in_root(&["workspace", "new", workspace])]
            }
            Step::Apply => vec![self.approved(self.apply())],
        }
    }

    fn apply(&self) -> Invocation {
        let apply = Invocation::new(
            &self.program,
            &self.layout.terraform,
            self.env.data_dir.clone(),
            &["apply"],
        );
        let mut apply = apply.in_workspace(&self.answers.workspace);
        let values = self.layout.values(&self.answers.environment);
        if !self.layout.own || values.is_file() {
            let environment = &self.answers.environment;
            apply = apply.arg(format!("-var-file=environments/{environment}.tfvars"));
        }
        if self.layout.own {
            return apply;
        }
        if let Some(context) = &self.global.context
            && !std::fs::read_to_string(&values).is_ok_and(|text| text.contains(&hcl(context)))
        {
            apply = apply.arg(format!("-var=kube_context={context}"));
        }
        match named_kubeconfig(self.global) {
            Some(path) => apply.arg(format!("-var=kubeconfig={}", path.display())),
            None => apply,
        }
    }

    /// Terraform asks for itself, before it applies what it has planned.
    fn approved(&self, invocation: Invocation) -> Invocation {
        if self.flags.yes {
            invocation.arg("-input=false").arg("-auto-approve")
        } else {
            invocation
        }
    }

    /// Bootstrap has a data folder of its own, wherever the root's is.
    fn in_bootstrap(&self, args: &[&str]) -> Invocation {
        Invocation::new(
            &self.program,
            &self.layout.terraform.join(BOOTSTRAP),
            None,
            args,
        )
    }

    async fn take(&self, step: Step, commands: &[Invocation]) -> Result<(), CommandError> {
        if !self.flags.yes && !self.ui.ask("Run it?") {
            return Err(CommandError::new(Exit::Refused, "init was stopped")
                .hint("run the command again: it goes on where it stopped"));
        }
        for command in commands {
            if step == Step::Workspace {
                workspace::make(&self.root()?, command)?;
            } else {
                run_terraform(command)?;
            }
        }
        if step == Step::Bootstrap {
            self.write_backend().await?;
        }
        Ok(())
    }

    /// Writes what bootstrap has made down for the root. backend.hcl comes last: it says that the
    /// step was taken.
    async fn write_backend(&self) -> Result<(), CommandError> {
        let dir = self.layout.terraform.join(BOOTSTRAP);
        let env = TerraformEnv {
            data_dir: None,
            ..self.env.clone()
        };
        let root = Root::open(&dir, Some(&self.program), env).map_err(|error| of_root(&error))?;
        let outputs = cli::outputs(&root, &Workspace::default_workspace())
            .await
            .map_err(|error| {
                CommandError::from_error(Exit::Unexpected, &error).maybe_hint(error.hint())
            })?;
        let text = |name: &str| {
            let value = outputs.get(name)?.get("value")?;
            value.as_str().map(str::to_owned)
        };
        let (Some(backend), Some(bucket)) = (text("backend_hcl"), text("bucket")) else {
            return Err(CommandError::new(
                Exit::Unexpected,
                "bootstrap has no outputs `backend_hcl` and `bucket`: what it made is not known",
            ));
        };
        let table = outputs
            .get("lock_table")
            .and_then(|output| output.get("value"))
            .and_then(Value::as_str);
        for (name, text) in [
            (STATE_VALUES, state_values(&bucket, table)),
            (BACKEND_FILE, backend),
        ] {
            let path = self.layout.terraform.join(name);
            if path.exists() {
                self.ui.step(
                    "keep",
                    format!("{}: it is there, and stays as it is", path.display()),
                );
                continue;
            }
            self.ui.step("write", path.display());
            write_new(&path, &text).map_err(|error| in_folder(&self.layout.terraform, &error))?;
        }
        Ok(())
    }

    pub(super) fn root(&self) -> Result<Root, CommandError> {
        Root::open(
            &self.layout.terraform,
            Some(&self.program),
            self.env.clone(),
        )
        .map_err(|error| of_root(&error))
    }
}

fn of_root(error: &RootError) -> CommandError {
    CommandError::from_error(Exit::Usage, error).hint(error.hint())
}

/// The root cannot read its own backend.
fn state_values(bucket: &str, table: Option<&str>) -> String {
    let lock = match table {
        Some(table) => format!("  lock       = \"both\"\n  lock_table = {}\n", hcl(table)),
        None => "  lock       = \"lockfile\"\n".to_owned(),
    };
    format!(
        "# What bootstrap made.\nstate = {{\n{lock}  bucket     = {}\n}}\n",
        hcl(bucket)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_told_which_locks_there_are() {
        assert_eq!(
            state_values("b", Some("t")),
            "# What bootstrap made.\nstate = {\n  lock       = \"both\"\n  lock_table = \"t\"\n  \
             bucket     = \"b\"\n}\n"
        );
        assert_eq!(
            state_values("b", None),
            "# What bootstrap made.\nstate = {\n  lock       = \"lockfile\"\n  bucket     = \
             \"b\"\n}\n"
        );
    }
}
