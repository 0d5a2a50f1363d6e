//! The kubectl plugin.

use std::process::ExitCode;

/// As in the helper, which this program is, too, under its name.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    ecr_hybrid::core_dump::forbid();
    kubectl_hybrid::commands::run(std::env::args_os())
}
