//! Manners of the command line as a whole, command by command.

use std::collections::{BTreeMap, BTreeSet};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _};

use super::Cli;

/// Variables that several commands read, and which: each means the same in all of them.
const SHARED: [(&str, &[&str]); 12] = [
    (
        "HYBRID_DRY_RUN",
        &[
            "build",
            "deploy",
            "helper configure",
            "init",
            "regcred sync",
            "rollback",
        ],
    ),
    ("HYBRID_JOBS", &["build", "deploy"]),
    ("HYBRID_NO_UNSTICK", &ROLLING),
    ("HYBRID_REGCRED_ALL", &EVERY_REGCRED),
    ("HYBRID_REGCRED_EXCLUDE", &EVERY_REGCRED),
    ("HYBRID_REGCRED_NO_UNSTICK", &KEEPING),
    ("HYBRID_REGCRED_REGISTRY", &KEEPING),
    ("HYBRID_REGCRED_SECRET", &EVERY_REGCRED),
    ("HYBRID_REGCRED_SELECTOR", &EVERY_REGCRED),
    ("HYBRID_REGCRED_SERVICE_ACCOUNT", &KEEPING),
    ("HYBRID_TIMEOUT_ROLLOUT", &ROLLING),
    ("HYBRID_YES", &["init", "unlock"]),
];
const ROLLING: [&str; 3] = ["deploy", "restart", "rollback"];
const KEEPING: [&str; 3] = ["regcred agent install", "regcred sync", "regcred watch"];
const EVERY_REGCRED: [&str; 4] = [
    "regcred agent install",
    "regcred status",
    "regcred sync",
    "regcred watch",
];

/// Every command with its words: `regcred sync`. The first is the plugin itself, without any.
fn commands() -> Vec<(String, Command)> {
    fn add(words: &str, command: &Command, all: &mut Vec<(String, Command)>) {
        all.push((words.to_owned(), command.clone()));
        for command in command.get_subcommands() {
            let words = format!("{words} {}", command.get_name());
            add(words.trim_start(), command, all);
        }
    }
    let mut all = Vec::new();
    add("", &Cli::command(), &mut all);
    all
}

/// The flags of all commands, with the words of their commands.
fn flags(all: &[(String, Command)]) -> impl Iterator<Item = (&str, &str, &Arg)> {
    all.iter().flat_map(|(words, command)| {
        command
            .get_arguments()
            .filter_map(|flag| Some((words.as_str(), flag.get_long()?, flag)))
    })
}

fn variable(flag: &Arg) -> Option<&str> {
    flag.get_env()?.to_str()
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_flag_has_a_variable() {
    let all = commands();
    let without: Vec<String> = flags(&all)
        .filter(|(_, _, flag)| !variable(flag).is_some_and(|name| name.starts_with("HYBRID_")))
        .map(|(words, long, _)| format!("{words} --{long}"))
        .collect();
    assert!(without.is_empty(), "{without:#?}");
    assert!(flags(&all).count() > 40);
}

#[test]
fn a_variable_that_several_commands_read_is_of_one_flag() {
    let all = commands();
    let mut longs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut shared: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (words, long, flag) in flags(&all) {
        let name = variable(flag).unwrap();
        longs.entry(name).or_default().insert(long);
        let is_new = shared.entry(name).or_default().insert(words);
        assert!(is_new, "`{words}` has two flags with {name}");
    }
    for (name, longs) in longs {
        assert_eq!(longs.len(), 1, "{name} is of {longs:?}");
    }
    shared.retain(|_, commands| commands.len() > 1);
    let expected: BTreeMap<&str, BTreeSet<&str>> = SHARED
        .iter()
        .map(|(name, commands)| (*name, commands.iter().copied().collect()))
        .collect();
    assert_eq!(shared, expected);
}

#[test]
fn the_variable_of_a_switch_says_yes_in_any_usual_way() {
    let all = commands();
    for (words, long, flag) in flags(&all) {
        if !matches!(flag.get_action(), ArgAction::SetTrue) {
            continue;
        }
        let values: Vec<String> = flag
            .get_value_parser()
            .possible_values()
            .into_iter()
            .flatten()
            .map(|value| value.get_name().to_owned())
            .collect();
        for value in ["1", "true", "yes", "0", "no"] {
            assert!(
                values.iter().any(|known| known == value),
                "{words} --{long} does not know `{value}`"
            );
        }
    }
}

/// A value that the argument takes.
fn value_of(argument: &Arg) -> String {
    let values = argument.get_value_parser().possible_values();
    values
        .and_then(|mut values| values.next())
        .map_or_else(|| "web".to_owned(), |value| value.get_name().to_owned())
}

/// A flag with a value that it takes.
fn written(flag: &Arg, name: &str) -> Vec<String> {
    let mut words = vec![name.to_owned()];
    if flag.get_action().takes_values() {
        words.push(value_of(flag));
    }
    words
}

/// What the innermost command was given.
fn innermost(matches: &ArgMatches) -> &ArgMatches {
    matches
        .subcommand()
        .map_or(matches, |(_, matches)| innermost(matches))
}

#[test]
fn every_command_takes_the_global_flags_before_and_after_its_name() {
    let root = Cli::command();
    let global: Vec<&Arg> = root
        .get_arguments()
        .filter(|flag| flag.is_global_set())
        .collect();
    let longs: Vec<&str> = global.iter().filter_map(|flag| flag.get_long()).collect();
    for expected in ["workspace", "context", "kubeconfig", "namespace", "as"] {
        assert!(longs.contains(&expected), "{expected}");
    }
    let long = global.iter().flat_map(|flag| {
        let name = format!("--{}", flag.get_long().unwrap());
        written(flag, &name)
    });
    let short = global.iter().flat_map(|flag| {
        let letter = flag.get_short();
        letter.map_or_else(Vec::new, |letter| written(flag, &format!("-{letter}")))
    });
    let (long, short): (Vec<String>, Vec<String>) = (long.collect(), short.collect());
    for letter in ["-W", "-n", "-o", "-q"] {
        assert!(short.iter().any(|word| word == letter), "{letter}");
    }

    let all = commands();
    let leaves = all.iter().filter(|(_, command)| !command.has_subcommands());
    let mut count = 0;
    for (words, command) in leaves {
        count += 1;
        let mut line: Vec<String> = words.split(' ').map(str::to_owned).collect();
        line.extend(
            command
                .get_positionals()
                .filter(|it| it.is_required_set())
                .map(value_of),
        );
        let name = ["kubectl-hybrid".to_owned()];
        let tries = [
            (true, [&name[..], &line[..], &long[..]]),
            (true, [&name[..], &long[..], &line[..]]),
            (false, [&name[..], &line[..], &short[..]]),
        ];
        for (all_are_given, line) in tries {
            let line = line.concat();
            let matches = Cli::command()
                .try_get_matches_from(&line)
                .unwrap_or_else(|error| panic!("{line:?}: {error}"));
            let matches = innermost(&matches);
            for flag in &global {
                let is_given = all_are_given || flag.get_short().is_some();
                let source = matches.value_source(flag.get_id().as_str());
                assert_eq!(
                    source == Some(ValueSource::CommandLine),
                    is_given,
                    "{line:?}: {}",
                    flag.get_id()
                );
            }
        }
    }
    assert!(count > 20, "{count} commands");
}
