//! The Docker credential helper.

use std::io;
use std::process::ExitCode;

/// musl's allocator takes a page of its own for each size, and a process that lives half a millisecond
/// is mostly what its pages cost.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    ecr_hybrid::core_dump::forbid();
    let words = std::env::args_os().skip(1);
    // Not locked: a token is minted on another thread, and a panic there wants to have its say.
    let code = ecr_hybrid::command::run(
        words,
        &mut io::stdin(),
        &mut io::stdout(),
        &mut io::stderr(),
    );
    ExitCode::from(code)
}
