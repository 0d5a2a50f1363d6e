//! The kubectl plugin.

use std::process::ExitCode;

fn main() -> ExitCode {
    kubectl_hybrid::commands::run(std::env::args_os())
}
