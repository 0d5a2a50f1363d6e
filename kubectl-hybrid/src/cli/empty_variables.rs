//! A variable that is empty says nothing: build systems and `.env` files set many of them so.

use std::env;
use std::ffi::OsStr;

use clap::Command;
use clap::builder::Resettable;

/// The command, which does not look at variables that are empty.
pub fn without_empty_variables(command: Command) -> Command {
    without(command, &|name| {
        env::var_os(name).is_some_and(|value| value.is_empty())
    })
}

fn without(command: Command, is_empty: &dyn Fn(&OsStr) -> bool) -> Command {
    command
        .mut_args(|arg| {
            if arg.get_env().is_some_and(is_empty) {
                arg.env(Resettable::Reset)
            } else {
                arg
            }
        })
        .mut_subcommands(|command| without(command, is_empty))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    fn variables(command: &Command, all: &mut Vec<String>) {
        let names = command.get_arguments().filter_map(|arg| arg.get_env());
        all.extend(names.map(|name| name.to_string_lossy().into_owned()));
        for command in command.get_subcommands() {
            variables(command, all);
        }
    }

    #[test]
    fn what_is_empty_is_not_asked_for_in_any_command_and_all_else_is() {
        const EMPTY: [&str; 3] = ["HYBRID_QUIET", "HYBRID_WORKSPACE", "HYBRID_REGCRED_SECRET"];
        let (mut before, mut after) = (Vec::new(), Vec::new());
        variables(&Cli::command(), &mut before);
        let command = without(Cli::command(), &|name| {
            EMPTY.iter().any(|empty| name == *empty)
        });
        variables(&command, &mut after);
        assert!(
            EMPTY
                .iter()
                .all(|empty| before.iter().any(|name| name == empty))
        );
        before.retain(|name| !EMPTY.contains(&name.as_str()));
        assert_eq!(before, after);
    }
}
