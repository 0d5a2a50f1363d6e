//! `kubectl hybrid regcred agent`: the watch in the background.

use std::path::{Path, PathBuf};

use clap::ValueEnum as _;
use serde_json::json;

use crate::agent::{
    AgentError, Definition, ServiceManager, State, ThisMachine, account, carried, is_key,
};
use crate::cli::{Agent, Keeping};
use crate::cluster::Cluster;
use crate::commands::session::{Session, guard};
use crate::error::CommandError;
use crate::exit::Exit;

/// `kubectl hybrid regcred agent …`.
pub(crate) async fn run(session: &Session<'_>, command: &Agent) -> Result<Exit, CommandError> {
    let manager = ServiceManager::of_this_system();
    let name = name(session);
    match command {
        Agent::Install(flags) => Box::pin(install(session, manager, name, flags)).await,
        Agent::Status => status(session, manager, &name),
        Agent::Remove => {
            let removed = manager
                .remove(&name, &mut ThisMachine)
                .map_err(|error| agent_error(&error))?;
            let what = if removed { "removed" } else { "was not there" };
            session
                .ui
                .step("agent", format!("{} {name} {what}", manager.name()));
            Ok(Exit::Ok)
        }
    }
}

async fn install(
    session: &Session<'_>,
    manager: ServiceManager,
    name: String,
    flags: &Keeping,
) -> Result<Exit, CommandError> {
    // What would make the agent fail at once is said now.
    let (read, cluster) = tokio::try_join!(session.contract(), session.cluster())?;
    let project = session.project(&read, &[])?;
    guard(&cluster, &project)?;
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, value)| carried(name) && !value.is_empty())
        .map(|(name, value)| absolute_variable(name, value))
        .collect();
    if std::env::vars_os().any(|(name, _)| name.to_str().is_some_and(is_key)) {
        session.ui.warn(
            "the AWS keys of this environment are not given to the agent, since they would lie in a file; it uses AWS_PROFILE or the default profile",
        );
    }
    if !manager.has_environment() && environment.iter().any(|(name, _)| name.starts_with("AWS_")) {
        session.ui.warn(
            "a scheduled task has the variables of the user alone: set AWS_PROFILE for the user, with `setx`",
        );
    }
    let definition = Definition {
        description: format!(
            "Pull secret of {}, workspace {}",
            project.name, project.workspace
        ),
        program: std::env::current_exe()
            .map_err(|error| CommandError::from_error(Exit::Unexpected, &error))?,
        arguments: arguments(session, &cluster, flags),
        folder: absolute(&session.config.root),
        environment,
        log: crate::commands::images::log_folder().join(format!("{name}.log")),
        account: account(),
        name,
    };
    if let Some(folder) = definition
        .log
        .parent()
        .filter(|_| manager == ServiceManager::Launchd)
    {
        std::fs::create_dir_all(folder)
            .map_err(|error| CommandError::from_error(Exit::Unexpected, &error))?;
    }
    let path = manager
        .install(&definition, &mut ThisMachine)
        .map_err(|error| agent_error(&error))?;
    session.ui.step(
        "agent",
        format!(
            "{} {} keeps the pull secret of context {} fresh: {}",
            manager.name(),
            definition.name,
            cluster.context(),
            path.display()
        ),
    );
    Ok(Exit::Ok)
}

fn status(
    session: &Session<'_>,
    manager: ServiceManager,
    name: &str,
) -> Result<Exit, CommandError> {
    let state = manager
        .state(name, &mut ThisMachine)
        .map_err(|error| agent_error(&error))?;
    let file = manager
        .file(name, &ThisMachine)
        .map_err(|error| agent_error(&error))?;
    let (word, why) = match &state {
        State::NotInstalled => ("not installed", None),
        State::Running => ("running", None),
        State::Stopped { why } => ("stopped", Some(why)),
    };
    let data = json!({ "name": name, "manager": manager.name(), "state": word, "why": why,
        "file": (state != State::NotInstalled).then(|| file.display().to_string()) });
    session.ui.data(&data, || match why {
        Some(why) => format!("{} {name}: {word} ({why})\n", manager.name()),
        None => format!("{} {name}: {word}\n", manager.name()),
    });
    Ok(Exit::Ok)
}

/// The command line of the watch. The context is pinned: whoever switches contexts later does not
/// lead the agent into another cluster.
fn arguments(session: &Session<'_>, cluster: &Cluster, flags: &Keeping) -> Vec<String> {
    let mut arguments = vec!["regcred".to_owned(), "watch".to_owned()];
    arguments.push(format!("--workspace={}", session.workspace.as_str()));
    arguments.push(format!(
        "--config={}",
        absolute(&session.config.path).display()
    ));
    arguments.push(format!("--context={}", cluster.context()));
    let global = &session.global;
    if let Some(kubeconfig) = &global.kubeconfig {
        arguments.push(format!("--kubeconfig={}", absolute(kubeconfig).display()));
    }
    if let Some(namespace) = &global.namespace {
        arguments.push(format!("--namespace={namespace}"));
    }
    if let Some(user) = &global.as_user {
        arguments.push(format!("--as={user}"));
    }
    if let Some(dir) = &global.terraform_dir {
        arguments.push(format!("--terraform-dir={}", absolute(dir).display()));
    }
    if let Some(program) = &global.terraform_binary {
        arguments.push(format!(
            "--terraform-binary={}",
            findable(program).display()
        ));
    }
    if let Some(source) = global
        .terraform_source
        .and_then(|it| it.to_possible_value())
    {
        arguments.push(format!("--terraform-source={}", source.get_name()));
    }
    arguments.extend(flags.to_arguments());
    arguments
}

/// One agent for each workspace of a project. Known without the network.
fn name(session: &Session<'_>) -> String {
    let folder = absolute(&session.config.root);
    let folder = folder.file_name().map(|name| name.to_string_lossy());
    let project = session.config.file.project.as_deref();
    Definition::name_of(
        project.or(folder.as_deref()).unwrap_or("project"),
        session.workspace.as_str(),
    )
}

/// Paths of a variable, seen from anywhere.
fn absolute_variable(name: String, value: String) -> (String, String) {
    let value = match name.as_str() {
        "KUBECONFIG" => {
            let paths = std::env::split_paths(&value).map(|path| absolute(&path));
            std::env::join_paths(paths)
                .ok()
                .and_then(|joined| joined.into_string().ok())
                .unwrap_or(value)
        }
        "AWS_CONFIG_FILE"
        | "AWS_SHARED_CREDENTIALS_FILE"
        | "AWS_CA_BUNDLE"
        | "AWS_WEB_IDENTITY_TOKEN_FILE"
        | "HYBRID_CACHE_DIR"
        | "HYBRID_HELPER_SETTINGS"
        | "SSL_CERT_FILE" => absolute(Path::new(&value)).display().to_string(),
        _ => value,
    };
    (name, value)
}

/// A program: a bare name is looked for in PATH, which the agent has, too.
fn findable(program: &Path) -> PathBuf {
    if program.components().count() > 1 {
        absolute(program)
    } else {
        program.to_owned()
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn agent_error(error: &AgentError) -> CommandError {
    CommandError::from_error(Exit::Unexpected, error).maybe_hint(error.hint())
}
