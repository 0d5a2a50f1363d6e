//! `kubectl hybrid config`: what flags, variables, `hybrid.toml` and the contract come to.

use std::fmt::Display;

use serde::Serialize;

use super::session::Session;
use super::settings::given;
use crate::cli::{Cli, Command, Given, without_empty_variables};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::project::config::{self, ConfigFile, ContractSource, Origin, ServiceConfig, Span};
use crate::project::contract::Contract;
use crate::ui::{Ui, table};

/// A setting as it holds.
#[derive(Debug, Serialize)]
struct Setting {
    key: String,
    value: String,
    origin: Origin,
}

/// The settings, in the order in which they are shown.
#[derive(Debug, Default)]
struct Settings(Vec<Setting>);

impl Settings {
    fn add(&mut self, key: impl Into<String>, value: impl Display, origin: Origin) {
        self.0.push(Setting {
            key: key.into(),
            value: value.to_string(),
            origin,
        });
    }

    fn maybe(&mut self, key: &str, value: Option<impl Display>, origin: Origin) {
        if let Some(value) = value {
            self.add(key, value, origin);
        }
    }
}

/// `kubectl hybrid config schema`.
pub(super) fn schema(ui: &Ui) -> Exit {
    let schema = config::schema();
    ui.data(&schema, || {
        serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
    });
    Exit::Ok
}

/// `kubectl hybrid config show`.
pub(super) async fn show(session: &Session<'_>, origin: bool) -> Result<Exit, CommandError> {
    let (read, cluster) = tokio::join!(session.contract(), session.cluster());
    let contract = match read {
        Ok(read) => Some(read.contract),
        Err(error) => {
            session
                .ui
                .warn(format!("what the contract says is not shown: {error}"));
            None
        }
    };
    let context = cluster.ok().map(|cluster| cluster.context().to_owned());
    let mut settings = Settings::default();
    about_project(session, contract.as_ref(), &mut settings);
    about_cluster(session, contract.as_ref(), context, &mut settings);
    about_delivery(session, &mut settings)?;
    about_services(session, contract.as_ref(), &mut settings);
    session.ui.data(&settings.0, || {
        let rows: Vec<Vec<String>> = settings
            .0
            .iter()
            .map(|setting| {
                let mut row = vec![setting.key.clone(), setting.value.clone()];
                if origin {
                    row.push(setting.origin.to_string());
                }
                row
            })
            .collect();
        let header: &[&str] = if origin {
            &["KEY", "VALUE", "ORIGIN"]
        } else {
            &["KEY", "VALUE"]
        };
        table(header, &rows)
    });
    Ok(Exit::Ok)
}

fn top() -> Origin {
    Origin::File(String::new())
}

fn of_table(name: impl Into<String>) -> Origin {
    Origin::File(name.into())
}

fn about_project(session: &Session<'_>, contract: Option<&Contract>, settings: &mut Settings) {
    let (file, global) = (&session.config.file, &session.global);
    let path = session.config.path.display();
    let found = given(global, "config").or_else(|| given(global, "project"));
    settings.add("config", path, found.unwrap_or(Origin::Default));
    match (&file.project, contract) {
        (Some(project), _) => settings.add("project", project, top()),
        (None, Some(contract)) => settings.add("project", &contract.project, Origin::Contract),
        (None, None) => {}
    }
    let workspace = &session.workspace;
    settings.add("workspace", workspace, session.workspace_origin.clone());
    settings.maybe(
        "environment",
        contract.map(|contract| &contract.environment),
        Origin::Contract,
    );
    // What is not a flag's and not the file's is the default.
    let of_terraform = |id: &str, in_file: bool| {
        given(global, id).unwrap_or(if in_file {
            of_table("terraform")
        } else {
            Origin::Default
        })
    };
    if let Some(root) = &session.root {
        let origin = of_terraform("terraform_dir", file.terraform.dir.is_some());
        settings.add("terraform.dir", root.dir().display(), origin);
        let origin = of_terraform("terraform_binary", file.terraform.binary.is_some());
        settings.add("terraform.binary", root.binary_name(), origin);
    }
    let source = match global.terraform_source.unwrap_or_default() {
        ContractSource::Auto => "auto",
        ContractSource::State => "state",
        ContractSource::Cli => "cli",
    };
    let origin = of_terraform("terraform_source", file.terraform.source.is_some());
    settings.add("terraform.source", source, origin);
    if let Some(backend) = &file.terraform.backend {
        let state = format!("s3://{}/{}", backend.bucket, backend.key);
        settings.add("terraform.backend", state, of_table("terraform.backend"));
    }
}

fn about_cluster(
    session: &Session<'_>,
    contract: Option<&Contract>,
    context: Option<String>,
    settings: &mut Settings,
) {
    let (file, global, workspace) = (
        &session.config.file,
        &session.global,
        session.workspace.as_str(),
    );
    let own = |of: fn(&config::ClusterConfig) -> bool| {
        let is_own = session
            .config
            .of_workspace(workspace)
            .is_some_and(|table| of(&table.cluster));
        match (is_own, of(&file.cluster)) {
            (true, _) => Some(of_table(format!("workspaces.{workspace}.cluster"))),
            (false, true) => Some(of_table("cluster")),
            (false, false) => None,
        }
    };
    let origin = given(global, "context")
        .or_else(|| own(|table| table.context.is_some()))
        .unwrap_or(Origin::Kubeconfig);
    settings.maybe(
        "cluster.context",
        global.context.clone().or(context),
        origin,
    );
    let origin = given(global, "namespace")
        .or_else(|| own(|table| table.namespace.is_some()))
        .unwrap_or(Origin::Contract);
    let namespace = global
        .namespace
        .as_ref()
        .or_else(|| contract.map(|contract| &contract.cluster.namespace));
    settings.maybe("cluster.namespace", namespace, origin);
    if let Some(contract) = contract {
        let cluster = &contract.cluster;
        settings.add(
            "cluster.pull_secret",
            &cluster.pull_secret,
            Origin::Contract,
        );
        settings.add(
            "cluster.service_account",
            &cluster.service_account,
            Origin::Contract,
        );
        for context in &cluster.contexts {
            settings.add("contexts", context, Origin::Contract);
        }
        settings.add("registry", &contract.aws.registry, Origin::Contract);
        let role = contract.aws.pull_role_arn.as_ref();
        settings.maybe("pull_role", role, Origin::Contract);
    }
    for context in session.config.contexts(workspace) {
        let origin = of_table(format!("workspaces.{workspace}"));
        settings.add("contexts", context, origin);
    }
}

/// What `deploy` would use: its flags are asked of the variables, as they would be.
fn about_delivery(session: &Session<'_>, settings: &mut Settings) -> Result<(), CommandError> {
    use clap::{CommandFactory as _, FromArgMatches as _};

    let usage = |error: clap::Error| CommandError::new(Exit::Usage, error.to_string());
    let mut command = without_empty_variables(Cli::command());
    let matches = command
        .try_get_matches_from_mut(["kubectl-hybrid", "deploy"])
        .map_err(usage)?;
    let cli = Cli::from_arg_matches(&matches).map_err(usage)?;
    let by = Given::of(&command, &matches);
    let Command::Deploy(flags) = cli.command else {
        return Ok(());
    };
    let workspace = session.workspace.as_str();
    let file = &session.config.file;
    let over = session.config.of_workspace(workspace);
    let origin = |id: &str, name: &str, own: bool, common: bool| match by.source(id) {
        Some(crate::cli::Source::Variable(variable)) => Origin::Variable(variable.clone()),
        _ if own => of_table(format!("workspaces.{workspace}.{name}")),
        _ if common => of_table(name),
        _ => Origin::Default,
    };
    let said = |id: &str| by.source(id).is_some();

    let own = over.is_some_and(|table| table.build.jobs.is_some());
    let from = origin("jobs", "build", own, file.build.jobs.is_some());
    let jobs = file.build(workspace).jobs.filter(|_| !said("jobs"));
    settings.add("build.jobs", jobs.unwrap_or(flags.jobs), from);

    let own = over.is_some_and(|table| table.deploy.strategy.is_some());
    let from = origin("strategy", "deploy", own, file.deploy.strategy.is_some());
    let strategy = file.deploy(workspace).strategy;
    let strategy = strategy
        .filter(|_| !said("strategy"))
        .unwrap_or(flags.strategy);
    settings.add("deploy.strategy", strategy, from);

    let own = over.is_some_and(|table| table.deploy.timeout.is_some());
    let from = origin("timeout", "deploy", own, file.deploy.timeout.is_some());
    let timeout = file.deploy(workspace).timeout.filter(|_| !said("timeout"));
    let timeout = timeout.unwrap_or_else(|| Span::from(flags.roll_out.timeout));
    settings.add("deploy.timeout", timeout, from);

    let hooks = file.hooks(workspace);
    for (name, commands) in hooks.all() {
        let own = over.is_some_and(|table| {
            let mut all = table.hooks.all().into_iter();
            all.any(|(own, commands)| own == name && !commands.is_empty())
        });
        for command in commands {
            let from = if own {
                of_table(format!("workspaces.{workspace}.hooks"))
            } else {
                of_table("hooks")
            };
            settings.add(format!("hooks.{name}"), command, from);
        }
    }
    Ok(())
}

fn about_services(session: &Session<'_>, contract: Option<&Contract>, settings: &mut Settings) {
    let file = &session.config.file;
    let workspace = session.workspace.as_str();
    let known: Vec<&String> = match contract {
        Some(contract) => contract.services.keys().collect(),
        None => file.services.keys().collect(),
    };
    for name in known {
        let service = file.service(workspace, name);
        if let Some(of_contract) = contract.and_then(|contract| contract.services.get(name)) {
            settings.add(
                format!("services.{name}.repository"),
                &of_contract.repository,
                Origin::Contract,
            );
        }
        let layers = layers(file, workspace, name);
        for (key, value) in shown(&service) {
            let origin = layers
                .iter()
                .find(|(_, table)| shown(table).iter().any(|(own, _)| *own == key))
                .map(|(name, _)| of_table(name.clone()));
            let key = format!("services.{name}.{key}");
            settings.add(key, value, origin.unwrap_or(Origin::Default));
        }
        if service.context.is_none() {
            settings.add(format!("services.{name}.context"), name, Origin::Default);
        }
    }
}

/// The tables that a service's settings come from, the strongest first.
fn layers(file: &ConfigFile, workspace: &str, name: &str) -> Vec<(String, ServiceConfig)> {
    let common = |build: &config::BuildConfig| ServiceConfig {
        platform: build.platform.clone(),
        args: build.args.clone(),
        ..ServiceConfig::default()
    };
    let over = file.workspaces.get(workspace);
    let mut layers = Vec::new();
    if let Some(table) = over.and_then(|over| over.services.get(name)) {
        layers.push((
            format!("workspaces.{workspace}.services.{name}"),
            table.clone(),
        ));
    }
    if let Some(table) = file.services.get(name) {
        layers.push((format!("services.{name}"), table.clone()));
    }
    if let Some(over) = over {
        layers.push((format!("workspaces.{workspace}.build"), common(&over.build)));
    }
    layers.push(("build".to_owned(), common(&file.build)));
    layers
}

/// What a table says of a service, as text.
fn shown(service: &ServiceConfig) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let paths = [
        ("context", &service.context),
        ("dockerfile", &service.dockerfile),
    ];
    for (key, path) in paths {
        all.extend(
            path.iter()
                .map(|it| (key.to_owned(), it.display().to_string())),
        );
    }
    let texts = [("target", &service.target), ("platform", &service.platform)];
    for (key, text) in texts {
        all.extend(text.iter().map(|it| (key.to_owned(), it.clone())));
    }
    for (name, value) in &service.args {
        all.push((format!("args.{name}"), value.clone()));
    }
    let lists = [
        ("secrets", &service.secrets),
        ("ssh", &service.ssh),
        ("cache_from", &service.cache_from),
        ("cache_to", &service.cache_to),
    ];
    for (key, list) in lists {
        all.extend(list.iter().map(|it| (key.to_owned(), it.join(" "))));
    }
    all
}
