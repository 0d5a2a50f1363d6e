//! Which flags were given, and how: what a file says holds only where nobody said anything.

use std::collections::BTreeMap;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

/// How a flag got its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// On the command line: the flag as it is written.
    Flag(String),
    /// By an environment variable.
    Variable(String),
}

/// The flags that were given, by their ids.
#[derive(Debug, Clone, Default)]
pub struct Given(BTreeMap<String, Source>);

impl Given {
    /// Reads what was given to the command and to its subcommands.
    pub fn of(command: &Command, matches: &ArgMatches) -> Self {
        let mut given = Self::default();
        given.add(command, matches);
        given
    }

    fn add(&mut self, command: &Command, matches: &ArgMatches) {
        for argument in command.get_arguments() {
            let id = argument.get_id();
            let source = match matches.try_contains_id(id.as_str()) {
                Ok(true) => matches.value_source(id.as_str()),
                _ => None,
            };
            let source = match (source, argument.get_long(), argument.get_env()) {
                (Some(ValueSource::CommandLine), Some(long), _) => {
                    Source::Flag(format!("--{long}"))
                }
                (Some(ValueSource::EnvVariable), _, Some(name)) => {
                    Source::Variable(name.to_string_lossy().into_owned())
                }
                _ => continue,
            };
            self.0.insert(id.to_string(), source);
        }
        if let Some((name, matches)) = matches.subcommand()
            && let Some(command) = command.find_subcommand(name)
        {
            self.add(command, matches);
        }
    }

    /// How the flag of this id was given, when it was.
    pub fn source(&self, id: &str) -> Option<&Source> {
        self.0.get(id)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn what_stands_on_the_command_line_is_known_on_each_level() {
        let mut command = Cli::command();
        let matches = command
            .try_get_matches_from_mut(["kubectl-hybrid", "deploy", "-W", "dev", "--timeout=1m"])
            .unwrap();
        let given = Given::of(&command, &matches);
        let flag = |name: &str| Some(Source::Flag(name.to_owned()));
        assert_eq!(given.source("timeout").cloned(), flag("--timeout"));
        assert_eq!(given.source("workspace").cloned(), flag("--workspace"));
        assert_eq!(given.source("jobs"), None);
    }
}
