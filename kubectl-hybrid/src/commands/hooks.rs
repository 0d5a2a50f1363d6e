//! Hooks: commands of the user's own, before and after.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use clap::ValueEnum as _;
use serde::Serialize;

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
    /// All of them, in their order.
    pub(super) const ALL: [Self; 4] = [
        Self::BeforeBuild,
        Self::AfterBuild,
        Self::BeforeDeploy,
        Self::AfterDeploy,
    ];

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

/// A command that a hook will run.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlannedHook {
    /// When, in the words of `hybrid.toml`.
    moment: &'static str,
    command: String,
    /// Whether it runs. `None`: only the builds tell.
    runs: Option<bool>,
}

impl PlannedHook {
    pub(super) fn new(moment: Moment, command: String, runs: Option<bool>) -> Self {
        Self {
            moment: moment.name(),
            command,
            runs,
        }
    }

    pub(super) fn is_of(&self, moment: Moment) -> bool {
        self.moment == moment.name()
    }
}

impl fmt::Display for PlannedHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hook {} runs `{}`", self.moment, self.command)?;
        match self.runs {
            Some(_) => Ok(()),
            None => f.write_str(" when something rolls out"),
        }
    }
}

/// The commands of a moment, in this workspace.
pub(super) fn commands(session: &Session<'_>, moment: Moment) -> Vec<String> {
    let hooks = session.config.file.hooks(session.workspace.as_str());
    let commands = match moment {
        Moment::BeforeBuild => hooks.before_build,
        Moment::AfterBuild => hooks.after_build,
        Moment::BeforeDeploy => hooks.before_deploy,
        Moment::AfterDeploy => hooks.after_deploy,
    };
    commands.unwrap_or_default()
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
        let run = about(project, context)
            .into_iter()
            .chain(settings(session))
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

/// What a hook finds in its environment. Where a flag has the variable, it takes the value as it is.
fn about(project: &Project, context: Option<&str>) -> Vec<(&'static str, OsString)> {
    let names: Vec<&str> = project.services.iter().map(|it| it.name.as_str()).collect();
    let mut all = vec![
        ("HYBRID_PROJECT", project.name.clone()),
        ("HYBRID_WORKSPACE", project.workspace.clone()),
        ("HYBRID_ENVIRONMENT", project.environment.clone()),
        ("HYBRID_NAMESPACE", project.namespace.clone()),
        ("HYBRID_REGISTRY", project.registry.host().to_owned()),
        ("HYBRID_SERVICES", names.join(",")),
    ];
    all.extend(context.map(|context| ("HYBRID_CONTEXT", context.to_owned())));
    all.into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect()
}

/// The settings of this run, so that the plugin means the same when a hook starts it. The file
/// comes first: it may have another name, or name no project.
fn settings(session: &Session<'_>) -> Vec<(&'static str, OsString)> {
    let global = &session.global;
    let path = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut all: Vec<(&'static str, OsString)> =
        vec![("HYBRID_CONFIG", path(&session.config.path).into())];
    let paths = [
        ("HYBRID_KUBECONFIG", &global.kubeconfig),
        ("HYBRID_TERRAFORM_DIR", &global.terraform_dir),
    ];
    for (name, value) in paths {
        all.extend(value.as_deref().map(|value| (name, path(value).into())));
    }
    if let Some(binary) = &global.terraform_binary {
        // A bare name is looked for on PATH.
        let is_bare = binary.components().count() == 1;
        let binary = if is_bare {
            binary.clone()
        } else {
            path(binary)
        };
        all.push(("HYBRID_TERRAFORM_BINARY", binary.into()));
    }
    if let Some(source) = global
        .terraform_source
        .and_then(|source| source.to_possible_value())
    {
        all.push(("HYBRID_TERRAFORM_SOURCE", source.get_name().into()));
    }
    all.extend(
        global
            .as_user
            .iter()
            .map(|user| ("HYBRID_AS", user.clone().into())),
    );
    all
}

#[cfg(not(windows))]
fn shell(text: &str) -> Command {
    Command::new("/bin/sh").args(["-c", text])
}

/// With `/S` cmd takes off the outermost quotes and leaves everything between them as it is.
#[cfg(windows)]
fn shell(text: &str) -> Command {
    let program = std::env::var_os("ComSpec").unwrap_or_else(|| "cmd.exe".into());
    Command::new(program)
        .args(["/D", "/S", "/C"])
        .arg_verbatim(format!("\"{text}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hook_is_a_line_of_the_system_s_own_shell() {
        let rows = if cfg!(windows) {
            [(r#"echo "a b"&& echo c"#, "\"a b\"\r\nc\r\n")]
        } else {
            [(r#"echo "a b" && echo c"#, "a b\nc\n")]
        };
        for (line, expected) in rows {
            assert_eq!(shell(line).run().await.unwrap().stdout, expected);
        }
    }
}
