//! `demo`: from nothing to the deployed example.

use std::thread;
use std::time::{Duration, Instant};

use super::product::{Cargo, example, not_started, shown};
use super::up;
use crate::sandbox::endpoints::{NAMESPACE, NODE_PORTS};
use crate::sandbox::report::{Report, Timing, duration};
use crate::sandbox::{Environment, Layout, SandboxError, http};

const BUILD: &str = "kubectl-hybrid and docker-credential-ecr-hybrid built";
const DEPLOY: &str = "kubectl hybrid deploy";
/// How long the page may take after its pods are Ready.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at the page.
const PACE: Duration = Duration::from_millis(100);
/// Shorter steps are not worth a line.
const BRIEF: Duration = Duration::from_millis(100);

/// Brings the sandbox up, builds the product and deploys the example; gives what was done.
pub fn demo(layout: &Layout, report: &Report) -> Result<String, SandboxError> {
    let begun = Instant::now();
    up(layout, report)?;
    let cargo = Cargo::new(layout)?;
    report.step(BUILD, || build(&cargo))?;
    let deploy = deploy(layout, report)?;
    let address = format!("http://127.0.0.1:{}/", NODE_PORTS[0]);
    report.step(format!("{address} answers"), || page(&address))?;

    let mut timings = report.timings();
    let last = timings.len().saturating_sub(1);
    timings.insert(last, deploy);
    Ok(summary(&timings, begun.elapsed(), &address))
}

/// Builds what a user has installed.
fn build(cargo: &Cargo) -> Result<(), SandboxError> {
    let name = "cargo build";
    let arguments = [
        "--quiet",
        "-p",
        "kubectl-hybrid",
        "-p",
        "docker-credential-ecr-hybrid",
    ];
    let status = cargo
        .build(&arguments)
        .status()
        .map_err(not_started(name))?;
    ended(name, status)
}

/// Deploys as a user does, who also sees what it says.
fn deploy(layout: &Layout, report: &Report) -> Result<Timing, SandboxError> {
    let folder = example();
    report.say(format!("\n$ cd {} && {DEPLOY}", shown(&folder)));
    let begun = Instant::now();
    let status = Environment::new(layout)?
        .command("kubectl")
        .args(["hybrid", "deploy"])
        .current_dir(folder)
        .status()
        .map_err(not_started(DEPLOY))?;
    ended(DEPLOY, status)?;
    report.say("");
    Ok(Timing {
        label: DEPLOY.to_owned(),
        elapsed: begun.elapsed(),
        ok: true,
    })
}

fn ended(command: &str, status: std::process::ExitStatus) -> Result<(), SandboxError> {
    if status.success() {
        return Ok(());
    }
    Err(SandboxError::Command {
        command: command.to_owned(),
        why: format!("it ended with {status}"),
    })
}

/// Waits until the example's page is served.
fn page(address: &str) -> Result<(), SandboxError> {
    let begun = Instant::now();
    loop {
        let why = match http::get(NODE_PORTS[0], "/") {
            Ok(answer) if answer.status == 200 => return Ok(()),
            Ok(answer) => format!("it answers {}", answer.status),
            Err(error) => error.to_string(),
        };
        if begun.elapsed() > PATIENCE {
            return Err(SandboxError::Command {
                command: format!("GET {address}"),
                why: format!("{why}, after {}", duration(PATIENCE)),
            });
        }
        thread::sleep(PACE);
    }
}

fn summary(timings: &[Timing], elapsed: Duration, address: &str) -> String {
    let mut lines = vec![
        String::new(),
        format!(
            "The sandbox is up and the example is deployed to {NAMESPACE}, in {}:",
            duration(elapsed)
        ),
    ];
    lines.extend(
        timings
            .iter()
            .filter(|timing| timing.elapsed >= BRIEF)
            .map(|timing| format!("  {:>7}  {}", duration(timing.elapsed), timing.label)),
    );
    lines.extend([
        String::new(),
        format!("The application answers at {address}"),
        String::new(),
        "What to try next:".to_owned(),
    ]);
    let folder = shown(&example());
    for (command, what) in [
        (
            format!("eval \"$(cargo sandbox env)\"; cd {folder}"),
            "this shell works in the sandbox",
        ),
        (
            "kubectl hybrid status".to_owned(),
            "what runs, and until when it can be pulled",
        ),
        (
            "cargo sandbox tokens expire".to_owned(),
            "twelve hours pass at once",
        ),
        (
            "kubectl hybrid doctor".to_owned(),
            "what is wrong, and what to do about it",
        ),
        (
            "cargo sandbox lock leave; kubectl hybrid unlock".to_owned(),
            "a stuck state lock, and its release",
        ),
    ] {
        lines.push(format!("  {command:<58} # {what}"));
    }
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_ends_with_the_address_and_five_things_to_try() {
        let timing = |label: &str, millis| Timing {
            label: label.to_owned(),
            elapsed: Duration::from_millis(millis),
            ok: true,
        };
        let timings = [timing("machine", 1_500), timing("glance", 3)];
        let text = summary(&timings, Duration::from_secs(70), "http://127.0.0.1:30300/");
        assert!(text.contains(", in 1m10s:\n"), "{text}");
        assert!(text.contains("     1.5s  machine\n"), "{text}");
        assert!(!text.contains("glance"), "{text}");
        let next = text.split("What to try next:\n").nth(1).unwrap();
        assert_eq!(next.lines().count(), 5, "{next}");
        assert!(next.contains("; cd examples/knowledge-repo"), "{next}");
    }
}
