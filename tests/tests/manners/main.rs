//! How commands behave towards pipes, programs and terminals, on the example that is deployed.
//!
//! They share one cluster with the other tests of the whole: run them one at a time.

#![cfg(test)]

#[path = "../deployed/mod.rs"]
#[expect(
    dead_code,
    reason = "these tests look at what is said, not at what then runs"
)]
mod deployed;
mod exit_codes;
mod shape;
mod state_lock;
#[path = "../terminal/mod.rs"]
mod terminal;

use std::process::Command;
use std::thread;

use deployed::Project;
use hybrid_tests::said::{Said, list, text};
use serde_json::Value;
use shape::Shapes;
use state_lock::StateLock;
use terminal::on_a_terminal;

/// Commands that change nothing and have data for programs.
const READING: [&[&str]; 17] = [
    &["version"],
    &["status"],
    &["doctor"],
    &["regcred", "status"],
    &["regcred", "sync", "--dry-run"],
    &["deploy", "--dry-run"],
    &["build", "--dry-run"],
    &["rollback"],
    &["rollback", "web"],
    &["workspace", "list"],
    &["workspace", "show"],
    &["unlock", "--list"],
    &["config", "show"],
    &["config", "show", "--origin"],
    &["config", "schema"],
    &["helper", "configure", "--dry-run"],
    &[
        "init",
        "new",
        "--dry-run",
        "--project=manners",
        "--region=eu-central-1",
        "--service=web=3000:30598",
    ],
];
/// Its shape is that of JSON schemas, and the document itself is kept in docs/.
const SCHEMA: &[&str] = &["config", "schema"];
/// Its data is a script, for which there is no other format.
const COMPLETION: &[&str] = &["completion", "bash"];
const ESCAPE: char = '\u{1b}';

/// The command, with nothing in its environment that speaks of colours.
fn command(project: &Project, arguments: &[&str]) -> Command {
    let mut command = project.command(arguments);
    for name in ["CI", "CLICOLOR", "CLICOLOR_FORCE", "NO_COLOR", "TERM"] {
        command.env_remove(name);
    }
    if arguments.first() == Some(&"init") {
        // They name the folder and the data of what is deployed here.
        for name in ["HYBRID_TERRAFORM_DIR", "HYBRID_WORKSPACE", "TF_DATA_DIR"] {
            command.env_remove(name);
        }
    }
    command
}

fn run(project: &Project, arguments: &[&str], more: &[&str]) -> Said {
    Said::of(&mut command(project, &[arguments, more].concat()))
}

#[track_caller]
fn assert_plain(said: &Said, arguments: &[&str]) {
    for stream in [&said.stdout, &said.stderr] {
        assert!(!stream.contains(ESCAPE), "{arguments:?}: {stream:?}");
    }
}

/// The one document on stdout, when there is nothing else.
#[track_caller]
fn document(said: &Said, arguments: &[&str]) -> Value {
    assert!(said.stdout.ends_with('\n'), "{arguments:?}: {said:?}");
    serde_json::from_str(&said.stdout)
        .unwrap_or_else(|error| panic!("{arguments:?}: not one document: {error}: {said:?}"))
}

#[test]
#[ignore = "needs the sandbox"]
fn a_command_that_reads_gives_a_pipe_its_data_and_no_more() {
    let project = Project::deployed();
    let mut shapes = Shapes::kept_in("reading.txt");
    for arguments in READING {
        let (plain, json, quiet) = thread::scope(|scope| {
            let plain = scope.spawn(|| run(&project, arguments, &[]));
            let json = scope.spawn(|| run(&project, arguments, &["-o", "json"]));
            let quiet = run(&project, arguments, &["-q"]);
            (plain.join().unwrap(), json.join().unwrap(), quiet)
        });
        for said in [&plain, &json, &quiet] {
            assert_eq!(said.code, Some(0), "{arguments:?}: {said:?}");
            assert_plain(said, arguments);
        }
        assert_eq!(quiet.stderr, "", "{arguments:?}");
        let document = document(&json, arguments);
        if arguments != SCHEMA {
            shapes.note(&arguments.join(" "), &document);
        }
    }
    let script = run(&project, COMPLETION, &[]).succeeds();
    assert_plain(&script, COMPLETION);
    assert_eq!(script.stderr, "");
    let sentence = run(&project, COMPLETION, &["-o", "json"]).fails(2);
    assert!(sentence.contains("completion script"), "{sentence}");
    // A variable is there for other commands.
    let mut completion = command(&project, COMPLETION);
    completion.env("HYBRID_OUTPUT", "json");
    assert_eq!(Said::of(&mut completion), script);
    shapes.assert_kept();
}

#[test]
#[ignore = "needs the sandbox"]
fn a_command_that_changes_something_reports_in_one_document() {
    let project = Project::deployed();
    let mut shapes = Shapes::kept_in("changing.txt");
    let mut report = |title: &str, arguments: &[&str]| {
        let said = run(&project, arguments, &["-o", "json", "-q"]).succeeds();
        assert_plain(&said, arguments);
        assert_eq!(said.stderr, "", "{arguments:?}");
        let document = document(&said, arguments);
        shapes.note(title, &document);
        document
    };
    project.change_web();
    report(
        "deploy --dry-run, with a build",
        &["deploy", "web", "--dry-run"],
    );
    report("build --push", &["build", "web", "--push"]);
    report("deploy, with a roll-out", &["deploy", "web"]);

    let choices = report("rollback, with another image", &["rollback", "web"]);
    let older = list(&choices[0]["candidates"])
        .iter()
        .find(|it| it["current"] == false && it["inRegistry"] == true)
        .expect("an image that web ran before");
    let revision = older["revision"].to_string();
    report(
        "rollback --to --dry-run",
        &["rollback", "web", "--to", &revision, "--dry-run"],
    );
    report("restart", &["restart", "search"]);
    report("regcred sync", &["regcred", "sync"]);
    let folder = tempfile::tempdir().unwrap();
    let dir = format!("--dir={}", folder.path().display());
    report("helper install", &["helper", "install", &dir]);

    let lock = StateLock::put();
    let shown = report("unlock --list, with a lock", &["unlock", "--list"]);
    assert_eq!(text(&shown["locks"][0]["id"]), lock.id);
    report("status, with a lock", &["status"]);
    drop(lock);
    shapes.assert_kept();
}

/// Whether anything sets a colour or another look: `ESC [ … m`.
fn is_coloured(shown: &str) -> bool {
    shown.split("\u{1b}[").skip(1).any(|rest| {
        let parameters = |letter: char| letter.is_ascii_digit() || letter == ';';
        rest.trim_start_matches(parameters).starts_with('m')
    })
}

#[test]
fn a_colour_is_told_from_a_moved_cursor() {
    assert!(is_coloured("\u{1b}[2K\u{1b}[1;32mplan\u{1b}[0m"));
    assert!(!is_coloured("\u{1b}[2K\u{1b}[1A\u{1b}[?25l m"));
    assert!(!is_coloured("[32m"));
}

#[test]
#[ignore = "needs the sandbox"]
fn a_terminal_has_colours_unless_somebody_wants_none() {
    let project = Project::deployed();
    let table: [(&[&str], i32); 4] = [
        (&["deploy", "--dry-run"], 0),
        (&["status", "--workspace=nowhere"], 2),
        (&["deploy", "--no-such-flag"], 2),
        (&["help"], 0),
    ];
    for (arguments, code) in table {
        let mut command = command(&project, arguments);
        command.env("TERM", "xterm-256color");
        let (found, shown) = on_a_terminal(&command, "");
        assert_eq!(found, Some(code), "{arguments:?}: {shown}");
        assert!(is_coloured(&shown), "{arguments:?}: {shown:?}");

        command.env("NO_COLOR", "1");
        let (found, shown) = on_a_terminal(&command, "");
        assert_eq!(found, Some(code), "{arguments:?}: {shown}");
        assert!(
            !shown.is_empty() && !is_coloured(&shown),
            "{arguments:?}: {shown:?}"
        );

        // One that cannot even move its cursor.
        command.env_remove("NO_COLOR").env("TERM", "dumb");
        let (found, shown) = on_a_terminal(&command, "");
        assert_eq!(found, Some(code), "{arguments:?}: {shown}");
        assert!(!shown.contains(ESCAPE), "{arguments:?}: {shown:?}");
    }
}
