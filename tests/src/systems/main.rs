//! Compiles the programs and their tests for the systems that this machine is not.

use std::env;
use std::process::ExitCode;

use clap::Parser;
use hybrid_tests::systems::{self, TARGETS};

/// Compile the programs and their tests for other systems, without linking
#[derive(Debug, Parser)]
struct Arguments {
    /// Targets of rustc; default: Windows and macOS
    targets: Vec<String>,
}

fn main() -> ExitCode {
    let words: Vec<_> = env::args_os().collect();
    if words.first().is_some_and(|own| systems::is_stand_in(own)) {
        return match systems::stand_in(&words) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let mut targets = Arguments::parse().targets;
    if targets.is_empty() {
        targets = TARGETS.map(str::to_owned).to_vec();
    }
    let mut code = ExitCode::SUCCESS;
    for target in &targets {
        match systems::check(target) {
            Ok(()) => println!("{target}: ok"),
            Err(error) => {
                eprintln!("error: {target}: {error}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
