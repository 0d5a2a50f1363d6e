//! `cargo sandbox`: brings the whole hybrid up on one machine.

use std::process::ExitCode;

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!(
        "error: The sandbox needs Linux, since it is made of namespaces: run it in a Linux machine \
         or in a privileged container."
    );
    ExitCode::from(2)
}

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    use clap::Parser;
    use hybrid_tests::sandbox::cli::Cli;

    match linux::run(Cli::parse().verb) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::Write;

    use hybrid_tests::sandbox::cli::{LockVerb, Verb};
    use hybrid_tests::sandbox::report::Report;
    use hybrid_tests::sandbox::{
        Layout, SandboxError, bench, front, gate, machine, parts, supervisor, verbs,
    };

    pub(super) fn run(verb: Verb) -> Result<u8, SandboxError> {
        let layout = Layout::from_env()?;
        match verb {
            Verb::Up => verbs::up(&layout, &Report::stderr())?,
            Verb::Down { purge } => verbs::down(&layout, purge, &Report::stderr())?,
            Verb::Status => {
                let (table, ok) = verbs::status(&layout);
                print(&table);
                return Ok(u8::from(!ok));
            }
            Verb::Env => print(&verbs::env(&layout)?),
            Verb::Exec { command } => return verbs::exec(&layout, &command),
            Verb::Tokens { verb } => print(&verbs::tokens(&layout, &verb)?),
            Verb::Api { verb } => print(&verbs::api(&layout, &verb)?),
            Verb::Lock {
                verb: LockVerb::Leave,
            } => print(&verbs::leave(&layout, &Report::stderr())?),
            Verb::Demo => print(&verbs::demo(&layout, &Report::stderr())?),
            Verb::Test { filters } => {
                let (closing, ok) = verbs::test(&layout, &filters, &Report::stderr())?;
                print(&closing);
                return Ok(u8::from(!ok));
            }
            Verb::Bench(options) => {
                return Ok(bench::run(&layout, &options, &Report::stderr())?);
            }
            Verb::Measure(options) => print(&bench::measure(&options, &Report::stderr())?),
            Verb::Supervise => supervisor::run(&layout)?,
            Verb::LaunchSupervisor => supervisor::launcher(&layout)?,
            Verb::Front => front::run(&layout)?,
            Verb::Gate => gate::run(&layout)?,
            Verb::Probe => machine::probe()?,
            Verb::LoadImages {
                ctr,
                docker,
                pause,
                busybox,
            } => {
                parts::load_images(&layout, &ctr, &docker, &pause, &busybox)?;
            }
        }
        Ok(0)
    }

    fn print(text: &str) {
        // A reader that has gone away has read enough.
        let _ = std::io::stdout().write_all(text.as_bytes());
    }
}
