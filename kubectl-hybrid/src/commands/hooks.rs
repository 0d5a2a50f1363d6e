//! Hooks: commands of the user's own, before and after.

use crate::docker::command::{Command, CommandError as Failed};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::project::Project;

use super::images::Workshop;
use super::session::Session;

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    BeforeBuild,
    AfterBuild,
    BeforeDeploy,
    AfterDeploy,
}

impl Moment {
    fn name(self) -> &'static str {
        match self {
            Self::BeforeBuild => "before_build",
            Self::AfterBuild => "after_build",
            Self::BeforeDeploy => "before_deploy",
            Self::AfterDeploy => "after_deploy",
        }
    }

    fn exit(self) -> Exit {
        match self {
            Self::BeforeBuild | Self::AfterBuild => Exit::BuildOrPush,
            Self::BeforeDeploy | Self::AfterDeploy => Exit::RollOut,
        }
    }
}

/// The commands of a moment, in this workspace.
pub(super) fn commands(session: &Session<'_>, moment: Moment) -> Vec<String> {
    let hooks = session.config.file.hooks(session.workspace.as_str());
    match moment {
        Moment::BeforeBuild => hooks.before_build,
        Moment::AfterBuild => hooks.after_build,
        Moment::BeforeDeploy => hooks.before_deploy,
        Moment::AfterDeploy => hooks.after_deploy,
    }
}

/// Runs the commands of a moment one after the other, in the folder of `hybrid.toml`.
pub(super) async fn run(
    session: &Session<'_>,
    project: &Project,
    context: Option<&str>,
    workshop: &Workshop<'_>,
    moment: Moment,
) -> Result<(), CommandError> {
    let name = moment.name();
    for (index, text) in commands(session, moment).iter().enumerate() {
        session.ui.step("hook", format!("{name}: {text}"));
        let line = session.ui.line(name);
        line.now(text);
        let log = workshop
            .logs()
            .join(format!("hook-{name}-{}.log", index + 1));
        let run = shell(text)
            .cwd(&session.config.root)
            .log(&log)
            .on_line(std::sync::Arc::new(line.follow("runs")));
        let run = environment(project, context)
            .into_iter()
            .fold(run, |run, (name, value)| run.env(name, value));
        run.run().await.map_err(|error| match error {
            Failed::Failed(failure) => CommandError::new(
                moment.exit(),
                format!("the hook {name} `{text}` failed ({})", failure.status),
            )
            .excerpt(&failure.tail)
            .hint(format!("the whole output is in {}", log.display())),
            other => CommandError::from_error(moment.exit(), &other),
        })?;
    }
    Ok(())
}

/// What a hook finds in its environment.
fn environment(project: &Project, context: Option<&str>) -> Vec<(&'static str, String)> {
    let names: Vec<&str> = project.services.iter().map(|it| it.name.as_str()).collect();
    let mut all = vec![
        ("HYBRID_PROJECT", project.name.clone()),
        ("HYBRID_WORKSPACE", project.workspace.clone()),
        ("HYBRID_ENVIRONMENT", project.environment.clone()),
        ("HYBRID_NAMESPACE", project.namespace.clone()),
        ("HYBRID_REGISTRY", project.registry.host().to_owned()),
        ("HYBRID_SERVICES", names.join(" ")),
    ];
    all.extend(context.map(|context| ("HYBRID_CONTEXT", context.to_owned())));
    all
}

#[cfg(not(windows))]
fn shell(text: &str) -> Command {
    Command::new("/bin/sh").args(["-c", text])
}

#[cfg(windows)]
fn shell(text: &str) -> Command {
    let program = std::env::var_os("ComSpec").unwrap_or_else(|| "cmd.exe".into());
    Command::new(program).args(["/C", text])
}
