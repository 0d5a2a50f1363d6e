//! `kubectl hybrid init`: from an empty folder, or from a Terraform folder, to an applied workspace.
//!
//! Each step is shown before it is taken and looks first whether it is done already, so that a run
//! that was interrupted goes on where it stopped.

mod answers;
mod files;
mod steps;

use std::io;
use std::path::{Path, PathBuf};

use ecr_hybrid::aws::sdk_config;
use serde::Serialize;

use super::session::Session;
use crate::cli::{Global, Init, Step};
use crate::cluster::guard;
use crate::cluster::{Cluster, ClusterOptions};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::project::config::{Config, FILE_NAME, Origin};
use crate::terraform::configuration::BOOTSTRAP;
use crate::terraform::keys::Workspace;
use crate::terraform::root::{TerraformEnv, program};
use crate::ui::Ui;
use answers::{Answers, Service};
use files::{Action, Layout, PlannedFile};
use steps::{Setup, StepReport};

/// What `-o json` shows.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    project: &'a str,
    environment: &'a str,
    workspace: &'a str,
    dry_run: bool,
    files: &'a [PlannedFile],
    steps: Vec<StepReport>,
}

/// `kubectl hybrid init [DIR]`.
pub(super) async fn run(global: &Global, ui: &Ui, flags: &Init) -> Result<Exit, CommandError> {
    if !flags.dry_run && !flags.yes && !ui.can_ask() {
        return Err(CommandError::new(
            Exit::Refused,
            "init asks before each step, and there is no terminal to ask on",
        )
        .hint("take the steps without asking: --yes; or only show them: --dry-run"));
    }
    let layout = Layout::find(&flags.dir, global.terraform_dir.as_deref());
    if layout.own && !layout.declares_contract() {
        return Err(CommandError::new(
            Exit::Usage,
            format!(
                "the configuration in {} declares no output `hybrid`",
                layout.terraform.display()
            ),
        )
        .hint("docs/contract.md says what is in it; a folder without configuration gets ours"));
    }
    let config = existing_config(&layout.project)?;
    let answers = answers(global, flags, &layout, config.as_ref()).await?;
    let files = files::plan(&layout, &answers).map_err(|error| in_folder(&flags.dir, &error))?;
    write_files(ui, flags, &files)?;

    let configured = config
        .as_ref()
        .and_then(|it| it.file.terraform.binary.clone());
    let binary = global.terraform_binary.clone().or(configured);
    let env = TerraformEnv::from_process();
    let steps = if flags.until == Step::Files {
        Vec::new()
    } else {
        let program = program(binary.as_deref(), &env)
            .map_err(|error| CommandError::from_error(Exit::Usage, &error).hint(error.hint()))?;
        let setup = Setup {
            global,
            ui,
            flags,
            layout: &layout,
            answers: &answers,
            program,
            env,
        };
        // In a dry run nothing can be asked about what is not there yet.
        let is_new = files.iter().any(|file| file.action == Action::Create);
        setup.run(flags.dry_run && is_new).await?
    };
    let report = Report {
        project: &answers.project,
        environment: &answers.environment,
        workspace: answers.workspace.as_str(),
        dry_run: flags.dry_run,
        files: &files,
        steps,
    };
    if ui.is_json() {
        ui.data(&report, String::new);
    }
    if !flags.dry_run {
        ui.hint(match flags.until {
            Step::Files => "look at the files, then run the command again without --until files",
            Step::Apply => "next: kubectl hybrid deploy, kubectl hybrid status",
            _ => "go on by running the command again without --until",
        });
    }
    Ok(Exit::Ok)
}

fn write_files(ui: &Ui, flags: &Init, files: &[PlannedFile]) -> Result<(), CommandError> {
    let mut new = 0;
    for file in files {
        let path = file.path.display();
        match file.action {
            Action::Create => {
                new += 1;
                ui.step("write", path);
            }
            Action::Keep => ui.step("keep", format!("{path}: it is there, and stays as it is")),
            Action::Same => {}
        }
    }
    if new == 0 {
        ui.step("files", "all are there");
        return Ok(());
    }
    if flags.dry_run {
        return Ok(());
    }
    if !flags.yes && !ui.ask(&format!("Write {new} files?")) {
        return Err(CommandError::new(Exit::Refused, "nothing was written"));
    }
    files::write(files).map_err(|error| in_folder(&flags.dir, &error))?;
    Ok(())
}

fn in_folder(dir: &Path, error: &io::Error) -> CommandError {
    CommandError::new(
        Exit::Unexpected,
        format!("could not lay out the files in {}: {error}", dir.display()),
    )
}

fn existing_config(project: &Path) -> Result<Option<Config>, CommandError> {
    let path = project.join(FILE_NAME);
    if !path.is_file() {
        return Ok(None);
    }
    Config::read(&path)
        .map(Some)
        .map_err(|error| CommandError::from_error(Exit::Usage, &error).maybe_hint(error.hint()))
}

/// Puts together what the flags say, what hybrid.toml says already, and what the machine knows.
async fn answers(
    global: &Global,
    flags: &Init,
    layout: &Layout,
    config: Option<&Config>,
) -> Result<Answers, CommandError> {
    let usage = |error: &answers::AnswerError| CommandError::from_error(Exit::Usage, error);
    let configured = config.and_then(|config| config.file.project.clone());
    if let (Some(asked), Some(configured)) = (&global.project, &configured)
        && asked != configured
    {
        return Err(CommandError::new(
            Exit::Usage,
            format!(
                "{} is of project `{configured}`, not of `{asked}`",
                layout.project.join(FILE_NAME).display()
            ),
        ));
    }
    let project = global.project.clone().or(configured).or_else(|| {
        let folder = std::path::absolute(&layout.project).ok()?;
        let folder = folder.canonicalize().unwrap_or(folder);
        Some(answers::project_of(&folder.file_name()?.to_string_lossy()))
    });
    let project = project.filter(|name| !name.is_empty()).ok_or_else(|| {
        CommandError::new(Exit::Usage, "the folder's name makes no project's name")
            .hint("name it with --project")
    })?;
    let named = global.workspace.clone();
    let workspace = named.unwrap_or_else(|| flags.environment.clone());
    let workspace =
        Workspace::new(workspace).map_err(|error| CommandError::from_error(Exit::Usage, &error))?;
    let services = if flags.services.is_empty() {
        answers::found_in(&layout.project)
    } else {
        let sources = answers::found_in(&layout.project);
        let named: Result<Vec<Service>, _> = flags
            .services
            .iter()
            .map(|text| Service::parse(text))
            .collect();
        let mut named = named.map_err(|error| usage(&error))?;
        for service in &mut named {
            service.context = sources
                .iter()
                .find(|found| found.name == service.name)
                .and_then(|found| found.context.clone());
        }
        named
    };
    let has_values = layout.own || layout.values(&flags.environment).is_file();
    let has_bootstrap = layout.own
        || layout
            .terraform
            .join(BOOTSTRAP)
            .join("terraform.tfvars")
            .is_file();
    let answers = Answers {
        project,
        environment: flags.environment.clone(),
        workspace,
        region: match &flags.region {
            None if has_values && has_bootstrap => None,
            Some(region) => Some(region.clone()),
            None => Some(own_region().await?),
        },
        context: match &global.context {
            None if has_values => None,
            _ => Some(local_context(global, &flags.environment).await?),
        },
        services,
    };
    answers.checked().map_err(|error| usage(&error))
}

async fn own_region() -> Result<String, CommandError> {
    let sdk = sdk_config(None, None).await;
    sdk.region().map(ToString::to_string).ok_or_else(|| {
        CommandError::new(Exit::Usage, "no AWS region is chosen")
            .hint("name it with --region, AWS_REGION or the profile")
    })
}

/// The context of the flags or of the kubeconfig, when it is one of a local cluster.
async fn local_context(global: &Global, workspace: &str) -> Result<String, CommandError> {
    let cluster = Cluster::from_kubeconfig(&ClusterOptions {
        kubeconfig: global.kubeconfig.clone(),
        context: global.context.clone(),
        ..ClusterOptions::default()
    })
    .await
    .map_err(|error| CommandError::from_error(Exit::Usage, &error).maybe_hint(error.hint()))?;
    guard::judge(cluster.endpoint(), &[]).map_err(|refused| {
        CommandError::from_error(Exit::Refused, &refused).hint(refused.hint(workspace))
    })?;
    Ok(cluster.context().to_owned())
}

/// The one kubeconfig file that the flags or the environment name; the configuration has a default.
fn named_kubeconfig(global: &Global) -> Option<PathBuf> {
    let from_environment = || {
        let paths = std::env::var_os("KUBECONFIG")?;
        let mut paths = std::env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty());
        let first = paths.next()?;
        paths.next().is_none().then_some(first)
    };
    let path = global.kubeconfig.clone().or_else(from_environment)?;
    std::path::absolute(path).ok()
}

/// A session in a folder that init has laid out.
fn session<'a>(setup: &Setup<'a>) -> Result<Session<'a>, CommandError> {
    let path = setup.layout.project.join(FILE_NAME);
    let config = Config::read(&path)
        .map_err(|error| CommandError::from_error(Exit::Usage, &error).maybe_hint(error.hint()))?;
    Ok(Session {
        global: setup.global.clone(),
        ui: setup.ui,
        config,
        root: Some(setup.root()?),
        workspace: setup.answers.workspace.clone(),
        workspace_origin: Origin::Flag("--environment".to_owned()),
    })
}
