//! What keeps the agent running: systemd, launchd, or the Task Scheduler.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::definition::Definition;
use super::{launchd, scheduled_task, systemd};

/// What keeps programs running on this kind of system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceManager {
    /// The user's systemd.
    Systemd,
    /// launchd of macOS.
    Launchd,
    /// The Task Scheduler of Windows.
    ScheduledTask,
}

/// The system as far as the agent needs it. A test has one of its own.
pub trait Machine {
    /// Runs a program to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    fn run(&mut self, program: &str, arguments: &[&str]) -> io::Result<Ran>;

    /// The folder that definitions are kept in.
    fn folder(&self, manager: ServiceManager) -> Option<PathBuf>;

    /// The number of the user, on Unix.
    fn user(&self) -> u32;
}

/// How a program ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ran {
    /// Whether it succeeded.
    pub ok: bool,
    /// What it said, both streams.
    pub output: String,
}

/// The machine that this runs on.
#[derive(Debug)]
pub struct ThisMachine;

/// Whether the agent runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// There is none.
    NotInstalled,
    /// It is there and runs.
    Running,
    /// It is there and does not run.
    Stopped {
        /// What the system says about it.
        why: String,
    },
}

/// Why the agent cannot be installed or removed.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The user has no folder for it.
    #[error("there is no home folder to keep the agent's definition in")]
    NoFolder,
    /// The definition cannot be written or removed.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A program of the system is not there.
    #[error("cannot start `{program}`, which keeps agents on this system: {source}")]
    NoProgram {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The system refused.
    #[error("`{command}` failed: {output}")]
    Refused {
        /// The command.
        command: String,
        /// What it said.
        output: String,
    },
}

impl AgentError {
    /// What to do next.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoProgram { .. } | Self::Refused { .. } => Some(
                "without a manager of its own `kubectl hybrid regcred watch` can be kept running by any other means",
            ),
            _ => None,
        }
    }
}

impl ServiceManager {
    /// That of this system.
    pub fn of_this_system() -> Self {
        if cfg!(windows) {
            Self::ScheduledTask
        } else if cfg!(target_os = "macos") {
            Self::Launchd
        } else {
            Self::Systemd
        }
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd user unit",
            Self::Launchd => "launchd agent",
            Self::ScheduledTask => "scheduled task",
        }
    }

    /// Whether the definition can hold an environment.
    pub fn has_environment(self) -> bool {
        self != Self::ScheduledTask
    }

    /// The text of the definition.
    pub fn render(self, definition: &Definition) -> String {
        match self {
            Self::Systemd => systemd::unit(definition),
            Self::Launchd => launchd::plist(definition),
            Self::ScheduledTask => scheduled_task::task(definition),
        }
    }

    /// Where the definition is kept.
    ///
    /// # Errors
    /// When the user has no home folder.
    pub fn file(self, name: &str, machine: &impl Machine) -> Result<PathBuf, AgentError> {
        let folder = machine.folder(self).ok_or(AgentError::NoFolder)?;
        Ok(folder.join(match self {
            Self::Systemd => format!("{name}.service"),
            Self::Launchd => format!("{name}.plist"),
            Self::ScheduledTask => format!("{name}.xml"),
        }))
    }

    /// Writes the definition and starts the agent; one that runs is started anew.
    ///
    /// # Errors
    /// When the file cannot be written or the system refuses.
    pub fn install(
        self,
        definition: &Definition,
        machine: &mut impl Machine,
    ) -> Result<PathBuf, AgentError> {
        let name = definition.name.as_str();
        let path = self.file(name, machine)?;
        let text = self.render(definition);
        let bytes = match self {
            Self::ScheduledTask => scheduled_task::encoded(&text),
            _ => text.into_bytes(),
        };
        write(&path, &bytes).map_err(|source| AgentError::File {
            path: path.clone(),
            source,
        })?;
        let started = self.start(name, &path, machine);
        if started.is_err() {
            // An agent that does not run leaves nothing behind.
            let _ = fs::remove_file(&path);
        }
        started.map(|()| path)
    }

    fn start(self, name: &str, path: &Path, machine: &mut impl Machine) -> Result<(), AgentError> {
        let file = path.display().to_string();
        match self {
            Self::Systemd => {
                let unit = format!("{name}.service");
                expect(machine, "systemctl", &["--user", "daemon-reload"])?;
                expect(machine, "systemctl", &["--user", "enable", &unit])?;
                expect(machine, "systemctl", &["--user", "restart", &unit])?;
            }
            Self::Launchd => {
                let domain = format!("gui/{}", machine.user());
                // One that is loaded already keeps its old definition.
                let _ = machine.run("launchctl", &["bootout", &format!("{domain}/{name}")]);
                expect(machine, "launchctl", &["bootstrap", &domain, &file])?;
            }
            Self::ScheduledTask => {
                let create = ["/Create", "/TN", name, "/XML", &file, "/F"];
                expect(machine, "schtasks", &create)?;
                let _ = machine.run("schtasks", &["/End", "/TN", name]);
                expect(machine, "schtasks", &["/Run", "/TN", name])?;
            }
        }
        Ok(())
    }

    /// Whether the agent is there and runs.
    ///
    /// # Errors
    /// When the system cannot be asked.
    pub fn state(self, name: &str, machine: &mut impl Machine) -> Result<State, AgentError> {
        if !self.file(name, machine)?.exists() {
            return Ok(State::NotInstalled);
        }
        let (ran, runs) = match self {
            Self::Systemd => {
                let unit = format!("{name}.service");
                let ran = start(machine, "systemctl", &["--user", "is-active", &unit])?;
                let runs = ran.ok;
                (ran, runs)
            }
            Self::Launchd => {
                let service = format!("gui/{}/{name}", machine.user());
                let ran = start(machine, "launchctl", &["print", &service])?;
                let runs = ran.ok && ran.output.contains("state = running");
                (ran, runs)
            }
            Self::ScheduledTask => {
                // schtasks says it in the words of the user's language.
                let ask = format!("(Get-ScheduledTask -TaskName '{name}').State");
                let words = ["-NoProfile", "-NonInteractive", "-Command", &ask];
                let ran = start(machine, "powershell", &words)?;
                let runs = ran.ok && ran.output.trim() == "Running";
                (ran, runs)
            }
        };
        Ok(if runs {
            State::Running
        } else {
            let says_why =
                |line: &&str| !ran.ok || self == Self::ScheduledTask || line.contains("state =");
            let why = ran
                .output
                .lines()
                .filter(|line| !line.trim().is_empty())
                .find(says_why);
            State::Stopped {
                why: why.unwrap_or("unknown").trim().to_owned(),
            }
        })
    }

    /// Stops the agent and takes its definition away. Gives whether there was one.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn remove(self, name: &str, machine: &mut impl Machine) -> Result<bool, AgentError> {
        let path = self.file(name, machine)?;
        if !path.exists() {
            return Ok(false);
        }
        match self {
            Self::Systemd => {
                let unit = format!("{name}.service");
                expect(machine, "systemctl", &["--user", "disable", "--now", &unit])?;
            }
            Self::Launchd => {
                let service = format!("gui/{}/{name}", machine.user());
                // Not loaded is as good as stopped.
                let _ = start(machine, "launchctl", &["bootout", &service])?;
            }
            Self::ScheduledTask => {
                let _ = machine.run("schtasks", &["/End", "/TN", name]);
                expect(machine, "schtasks", &["/Delete", "/TN", name, "/F"])?;
            }
        }
        fs::remove_file(&path).map_err(|source| AgentError::File { path, source })?;
        if self == Self::Systemd {
            expect(machine, "systemctl", &["--user", "daemon-reload"])?;
        }
        Ok(true)
    }
}

fn start(machine: &mut impl Machine, program: &str, arguments: &[&str]) -> Result<Ran, AgentError> {
    machine
        .run(program, arguments)
        .map_err(|source| AgentError::NoProgram {
            program: program.to_owned(),
            source,
        })
}

fn expect(machine: &mut impl Machine, program: &str, arguments: &[&str]) -> Result<(), AgentError> {
    let ran = start(machine, program, arguments)?;
    if ran.ok {
        return Ok(());
    }
    Err(AgentError::Refused {
        command: format!("{program} {}", arguments.join(" ")),
        output: ran.output.trim().to_owned(),
    })
}

/// Writes a file that only its owner reads.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut file, bytes)?;
    file.persist(path)?;
    Ok(())
}

impl Machine for ThisMachine {
    fn run(&mut self, program: &str, arguments: &[&str]) -> io::Result<Ran> {
        let output = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .output()?;
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok(Ran {
            ok: output.status.success(),
            output: said,
        })
    }

    fn folder(&self, manager: ServiceManager) -> Option<PathBuf> {
        let dirs = directories::BaseDirs::new()?;
        Some(match manager {
            ServiceManager::Systemd => dirs.config_dir().join("systemd").join("user"),
            ServiceManager::Launchd => dirs.home_dir().join("Library").join("LaunchAgents"),
            ServiceManager::ScheduledTask => dirs.data_local_dir().join("kubectl-hybrid"),
        })
    }

    #[cfg(unix)]
    fn user(&self) -> u32 {
        rustix::process::getuid().as_raw()
    }

    #[cfg(not(unix))]
    fn user(&self) -> u32 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::systemd::tests::sample;

    /// A machine that writes down what it is told.
    struct Noted {
        folder: tempfile::TempDir,
        told: Vec<String>,
        answers: Vec<(&'static str, Ran)>,
    }

    impl Noted {
        fn new() -> Self {
            Self {
                folder: tempfile::tempdir().unwrap(),
                told: Vec::new(),
                answers: Vec::new(),
            }
        }

        fn answering(mut self, to: &'static str, ok: bool, output: &str) -> Self {
            let output = output.to_owned();
            self.answers.push((to, Ran { ok, output }));
            self
        }
    }

    impl Machine for Noted {
        fn run(&mut self, program: &str, arguments: &[&str]) -> io::Result<Ran> {
            let folder = self.folder.path().display().to_string();
            let line = format!("{program} {}", arguments.join(" ")).replace(&folder, "FOLDER");
            let answer = self.answers.iter().find(|(to, _)| line.contains(to));
            let ran = answer.map_or(
                Ran {
                    ok: true,
                    output: String::new(),
                },
                |(_, ran)| ran.clone(),
            );
            self.told.push(line);
            Ok(ran)
        }

        fn folder(&self, _: ServiceManager) -> Option<PathBuf> {
            Some(self.folder.path().join("agents"))
        }

        fn user(&self) -> u32 {
            501
        }
    }

    #[test]
    fn each_system_is_told_in_its_own_words() {
        let table = [
            (
                ServiceManager::Systemd,
                "systemctl --user daemon-reload\n\
                 systemctl --user enable NAME.service\n\
                 systemctl --user restart NAME.service\n\
                 systemctl --user disable --now NAME.service\n\
                 systemctl --user daemon-reload",
            ),
            (
                ServiceManager::Launchd,
                "launchctl bootout gui/501/NAME\n\
                 launchctl bootstrap gui/501 FOLDER/agents/NAME.plist\n\
                 launchctl bootout gui/501/NAME",
            ),
            (
                ServiceManager::ScheduledTask,
                "schtasks /Create /TN NAME /XML FOLDER/agents/NAME.xml /F\n\
                 schtasks /End /TN NAME\n\
                 schtasks /Run /TN NAME\n\
                 schtasks /End /TN NAME\n\
                 schtasks /Delete /TN NAME /F",
            ),
        ];
        for (manager, expected) in table {
            let mut machine = Noted::new();
            let path = manager.install(&sample(), &mut machine).unwrap();
            assert!(path.exists());
            let name = &sample().name;
            assert!(manager.remove(name, &mut machine).unwrap());
            assert!(!path.exists() && !manager.remove(name, &mut machine).unwrap());
            let told = machine.told.join("\n").replace(name, "NAME");
            assert_eq!(told.replace('\\', "/"), expected);
        }
    }

    #[test]
    fn the_state_is_what_the_system_says() {
        let name = &sample().name;
        let table = [
            (
                ServiceManager::Systemd,
                "is-active",
                true,
                "active\n",
                State::Running,
            ),
            (
                ServiceManager::Systemd,
                "is-active",
                false,
                "failed\n",
                State::Stopped {
                    why: "failed".to_owned(),
                },
            ),
            (
                ServiceManager::Launchd,
                "print",
                true,
                "x\n\tstate = running\n",
                State::Running,
            ),
            (
                ServiceManager::Launchd,
                "print",
                true,
                "x\n\tstate = waiting\n",
                State::Stopped {
                    why: "state = waiting".to_owned(),
                },
            ),
            (
                ServiceManager::ScheduledTask,
                "Get-ScheduledTask -TaskName",
                true,
                "Ready\r\n",
                State::Stopped {
                    why: "Ready".to_owned(),
                },
            ),
            (
                ServiceManager::ScheduledTask,
                "Get-ScheduledTask -TaskName",
                true,
                "Running\r\n",
                State::Running,
            ),
        ];
        for (manager, to, ok, output, expected) in table {
            let mut machine = Noted::new().answering(to, ok, output);
            assert_eq!(
                manager.state(name, &mut machine).unwrap(),
                State::NotInstalled
            );
            manager.install(&sample(), &mut machine).unwrap();
            assert_eq!(manager.state(name, &mut machine).unwrap(), expected);
        }
    }

    #[test]
    fn a_refusal_is_told_with_the_command() {
        let mut machine = Noted::new().answering("enable", false, "no bus\n");
        let error = ServiceManager::Systemd
            .install(&sample(), &mut machine)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "`systemctl --user enable kubectl-hybrid-shop-dev.service` failed: no bus"
        );
        let state = ServiceManager::Systemd
            .state(&sample().name, &mut machine)
            .unwrap();
        assert_eq!(state, State::NotInstalled);
    }

    #[cfg(unix)]
    #[test]
    fn the_definition_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let path = ServiceManager::Systemd.install(&sample(), &mut Noted::new());
        // The folder went with the machine; what counts was written before.
        assert!(path.is_ok());
        let mut machine = Noted::new();
        let path = ServiceManager::Systemd
            .install(&sample(), &mut machine)
            .unwrap();
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}
