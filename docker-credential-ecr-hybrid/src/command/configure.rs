//! `configure`: routes registries to the helper.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{FAILED, NAME, OK, say};
use crate::configure::{Changed, Request, Server, Target, apply, plan};
use crate::environment::Environment;

/// What reads a project's contract; this program knows nothing of Terraform.
const PLUGIN: &str = "kubectl-hybrid";

fn usage() -> String {
    format!(
        "Usage: {NAME} configure [--dry-run] [--podman] HOST...\n\
         \x20      {NAME} configure [--dry-run] [--podman] --from-contract\n\
         \x20      {NAME} configure [--dry-run] [--podman] --remove [HOST...]\n\n\
         Lets Docker ask this helper for the registries that are named.\n\n\
         Options:\n\
         \x20 --from-contract  The registries of the project in this folder; kubectl-hybrid reads it\n\
         \x20 --remove         Take these registries out again, or all of them\n\
         \x20 --dry-run        Print what would change, as a diff, and change nothing\n\
         \x20 --podman         Change Podman's auth.json as well as Docker's config.json"
    )
}

enum Which<'a> {
    Named(Vec<&'a str>),
    OfTheContract,
}

struct Asked<'a> {
    which: Which<'a>,
    remove: bool,
    dry_run: bool,
    podman: bool,
}

/// Reads the words; `Err` is what is wrong with them.
fn read<'a>(words: &[&'a str]) -> Result<Asked<'a>, String> {
    let (mut hosts, mut from_contract) = (Vec::new(), false);
    let (mut remove, mut dry_run, mut podman) = (false, false, false);
    for word in words {
        match *word {
            "--from-contract" => from_contract = true,
            "--remove" => remove = true,
            "--dry-run" => dry_run = true,
            "--podman" => podman = true,
            flag if flag.starts_with('-') => return Err(format!("There is no option `{flag}`.")),
            host => hosts.push(host),
        }
    }
    let which = match (from_contract, hosts.is_empty()) {
        (true, true) => Which::OfTheContract,
        (true, false) => return Err("Name registries or --from-contract, not both.".to_owned()),
        (false, true) if !remove => {
            return Err(
                "Name a registry, such as 111122223333.dkr.ecr.eu-west-1.amazonaws.com.".to_owned(),
            );
        }
        (false, _) => Which::Named(hosts),
    };
    Ok(Asked {
        which,
        remove,
        dry_run,
        podman,
    })
}

pub(super) fn run(
    words: &[&str],
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> io::Result<u8> {
    if words.iter().any(|word| matches!(*word, "--help" | "-h")) {
        return say(stdout, &usage()).map(|()| OK);
    }
    let asked = match read(words) {
        Ok(asked) => asked,
        Err(why) => return say(stderr, &format!("{why}\n{}", usage())).map(|()| FAILED),
    };
    let environment = Environment::of_process();
    let hosts = match &asked.which {
        Which::Named(hosts) => hosts,
        Which::OfTheContract => return from_contract(&environment, &asked, stdout, stderr),
    };
    let servers: Result<Vec<Server>, _> = hosts.iter().map(|host| host.parse()).collect();
    let done = servers.and_then(|servers| {
        let target = if asked.remove {
            Target::Unroute(&servers)
        } else {
            Target::Route(&servers)
        };
        let request = Request {
            target,
            podman: asked.podman,
        };
        if asked.dry_run {
            plan(&environment, request)
        } else {
            apply(&environment, request)
        }
    });
    let changed = match done {
        Ok(changed) => changed,
        Err(error) => return say(stderr, &format!("ecr-hybrid: {error}")).map(|()| FAILED),
    };
    show(&changed, asked.dry_run, stdout, stderr)?;
    if !asked.remove {
        warn(&environment, stderr);
    }
    Ok(OK)
}

/// A dry run's data is the difference; a real one's is what was done.
fn show(
    changed: &[Changed],
    dry_run: bool,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> io::Result<()> {
    for file in changed {
        if dry_run && !file.diff.is_empty() {
            write!(stdout, "{}", file.diff)?;
            continue;
        }
        let to: &mut dyn Write = if dry_run { &mut *stderr } else { &mut *stdout };
        let path = file.path.display();
        if file.notes.is_empty() {
            writeln!(to, "{path}: nothing is answered by this helper.")?;
        }
        for note in &file.notes {
            writeln!(to, "{path}: {note}")?;
        }
    }
    stdout.flush()
}

/// Says what would keep Docker from asking the helper all the same.
fn warn(environment: &Environment, stderr: &mut dyn Write) {
    if on_path(environment, NAME).is_none() {
        let _ = writeln!(
            stderr,
            "warning: Docker looks for {NAME} on PATH, and it is not there."
        );
    }
    if environment.var("DOCKER_AUTH_CONFIG").is_some() {
        let _ = writeln!(
            stderr,
            "warning: DOCKER_AUTH_CONFIG is set, and Docker takes the logins in it before any helper's."
        );
    }
}

/// Hands the question on to the program that reads contracts.
fn from_contract(
    environment: &Environment,
    asked: &Asked<'_>,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> io::Result<u8> {
    let Some(plugin) = beside().or_else(|| on_path(environment, PLUGIN)) else {
        let sentence = format!(
            "ecr-hybrid: The contract is read by {PLUGIN}, which is neither beside this program nor on PATH; install it, or name the registries: {NAME} configure HOST..."
        );
        return say(stderr, &sentence).map(|()| FAILED);
    };
    let mut command = Command::new(&plugin);
    command.args(["helper", "configure"]).stdin(Stdio::null());
    let flags = [
        ("--remove", asked.remove),
        ("--dry-run", asked.dry_run),
        ("--podman", asked.podman),
    ];
    command.args(flags.iter().filter(|(_, is)| *is).map(|(flag, _)| flag));
    match command.output() {
        Ok(output) => {
            stdout.write_all(&output.stdout)?;
            stderr.write_all(&output.stderr)?;
            stdout.flush()?;
            Ok(if output.status.success() { OK } else { FAILED })
        }
        Err(error) => {
            let plugin = plugin.display();
            let sentence = format!("ecr-hybrid: `{plugin}` cannot be started: {error}.");
            say(stderr, &sentence).map(|()| FAILED)
        }
    }
}

fn beside() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let resolved = own.canonicalize().ok();
    [Some(own), resolved]
        .into_iter()
        .flatten()
        .filter_map(|own| Some(own.parent()?.to_owned()))
        .find_map(|folder| program_in(&folder, PLUGIN))
}

fn on_path(environment: &Environment, name: &str) -> Option<PathBuf> {
    let path = environment.path("PATH")?;
    std::env::split_paths(&path).find_map(|folder| program_in(&folder, name))
}

fn program_in(folder: &Path, name: &str) -> Option<PathBuf> {
    let file = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    file.is_file().then_some(file)
}
