//! From the command line to an exit code.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use super::session::Session;
use super::{
    build, config, deploy, doctor, ending, helper, init, logs, regcred, restart, rollback,
    settings, status, unlock, workspace,
};
use crate::cli::{
    Cli, Command, Config, Given, Global, Helper, Regcred, Workspace, without_empty_variables,
};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::project::config::Origin;
use crate::ui::Ui;

/// Runs the program under the name that it was started by: as the plugin, or as the credential
/// helper where a link gives it that name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if helper::is_helper_name(args.first()) {
        let code = ecr_hybrid::command::run(
            args.into_iter().skip(1),
            &mut io::stdin(),
            &mut io::stdout(),
            &mut io::stderr(),
        );
        return ExitCode::from(code);
    }
    let cli = match parse(args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Ok
            };
            return exit.into();
        }
    };
    let ui = Ui::new(cli.global.output, cli.global.quiet);
    match in_runtime(&cli, &ui) {
        Ok(exit) => exit.into(),
        Err(error) => {
            ui.error(&error);
            error.exit().into()
        }
    }
}

/// The command line as types, with what was given by whom.
fn parse(args: Vec<OsString>) -> Result<Cli, clap::Error> {
    let mut command = without_empty_variables(Cli::command());
    let matches = command.try_get_matches_from_mut(args)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    cli.global.given = Given::of(&command, &matches);
    Ok(cli)
}

fn in_runtime(cli: &Cli, ui: &Ui) -> Result<Exit, CommandError> {
    // These two need nothing of the machine.
    match &cli.command {
        Command::Version => return Ok(version(ui)),
        Command::Completion { shell } => return completion(&cli.global, ui, *shell),
        Command::Helper(Helper::Install { dir }) => return helper::install(ui, dir.as_deref()),
        Command::Config(Config::Schema) => return Ok(config::schema(ui)),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::from_error(Exit::Unexpected, &error))?;
    runtime.block_on(async {
        tokio::select! {
            ended = command(cli, ui) => ended,
            exit = ending::asked() => ended(cli, exit),
        }
    })
}

/// A watch that its service manager ends has done what it should; anything else was cut short.
fn ended(cli: &Cli, exit: Exit) -> Result<Exit, CommandError> {
    let is_watch = matches!(cli.command, Command::Regcred(Regcred::Watch(_)));
    if is_watch && exit == Exit::Terminated {
        return Ok(Exit::Ok);
    }
    let why = match exit {
        Exit::HungUp => "the terminal was closed",
        Exit::Terminated => "asked to end",
        _ => "interrupted",
    };
    Err(CommandError::new(exit, why).hint("run the command again: it goes on where it stopped"))
}

async fn command(cli: &Cli, ui: &Ui) -> Result<Exit, CommandError> {
    if matches!(cli.command, Command::Doctor) {
        return Box::pin(doctor::run(&cli.global, ui)).await;
    }
    if let Command::Init(flags) = &cli.command {
        return Box::pin(init::run(&cli.global, ui, flags)).await;
    }
    if let Command::Workspace(command) = &cli.command {
        let session = Session::open_anywhere(&cli.global, ui)?;
        return match command {
            Workspace::List => Box::pin(workspace::list(&session)).await,
            Workspace::Show => Box::pin(workspace::show(&session)).await,
            Workspace::New { name } => Box::pin(workspace::new(&session, name)).await,
            Workspace::Use { name } => Box::pin(workspace::choose(&session, name)).await,
        };
    }
    let session = Session::open(&cli.global, ui)?;
    match &cli.command {
        Command::Deploy(flags) => {
            let flags = settings::deploy(&session, flags);
            Box::pin(deploy::run(&session, &flags)).await
        }
        Command::Rollback(flags) => Box::pin(rollback::run(&session, flags)).await,
        Command::Logs(flags) => Box::pin(logs::run(&session, flags)).await,
        Command::Build(flags) => {
            let flags = settings::build(&session, flags);
            Box::pin(build::run(&session, &flags)).await
        }
        Command::Restart(flags) => Box::pin(restart::run(&session, flags)).await,
        Command::Status(flags) => Box::pin(status::run(&session, &flags.services)).await,
        Command::Regcred(flags) => Box::pin(regcred::run(&session, flags)).await,
        Command::Unlock(flags) => Box::pin(unlock::run(&session, flags)).await,
        Command::Helper(Helper::Configure(flags)) => {
            Box::pin(helper::configure(&session, flags)).await
        }
        Command::Config(Config::Show { origin }) => Box::pin(config::show(&session, *origin)).await,
        Command::Config(Config::Schema)
        | Command::Init(_)
        | Command::Workspace(_)
        | Command::Doctor
        | Command::Helper(_)
        | Command::Completion { .. }
        | Command::Version => Ok(Exit::Ok),
    }
}

/// Prints the script. A variable that asks for JSON is meant for other commands; who asks for it
/// here is told.
fn completion(global: &Global, ui: &Ui, shell: clap_complete::Shell) -> Result<Exit, CommandError> {
    let by_flag = matches!(settings::given(global, "output"), Some(Origin::Flag(_)));
    if by_flag && ui.is_json() {
        return Err(CommandError::new(
            Exit::Usage,
            "a completion script is for a shell: there is none in JSON",
        )
        .hint("leave `-o json` out"));
    }
    let mut command = Cli::command();
    // The generator panics where nobody reads any more.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "kubectl-hybrid", &mut script);
    let _ = io::stdout().write_all(&script);
    Ok(Exit::Ok)
}

fn version(ui: &Ui) -> Exit {
    let version = env!("CARGO_PKG_VERSION");
    ui.data(&serde_json::json!({ "version": version }), || {
        format!("kubectl hybrid {version}\n")
    });
    Exit::Ok
}
