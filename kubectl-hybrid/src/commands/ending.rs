//! What ends a command from outside: Ctrl-C, a service manager, a terminal that closes.
//!
//! A command that ends by itself takes its children with it, which a default action would leave
//! behind: they are in process groups of their own, out of the terminal's reach.

use crate::exit::Exit;

/// Waits until this process is asked to end, and gives the exit code for it: 128 and the signal's
/// number, as shells have it.
#[cfg(unix)]
pub(super) async fn asked() -> Exit {
    use std::io::{self, IsTerminal as _};

    use tokio::signal::unix::SignalKind;

    // Under `nohup` none of the three is a terminal: a terminal that closes is none of our business.
    let has_terminal =
        io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal();
    tokio::select! {
        () = arrival(SignalKind::interrupt()) => Exit::Interrupted,
        () = arrival(SignalKind::terminate()) => Exit::Terminated,
        () = arrival(SignalKind::hangup()), if has_terminal => Exit::HungUp,
    }
}

#[cfg(unix)]
async fn arrival(kind: tokio::signal::unix::SignalKind) {
    match tokio::signal::unix::signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        // The default action still ends this process.
        Err(_) => std::future::pending().await,
    }
}

/// Waits until this process is asked to end, and gives the exit code for it.
#[cfg(windows)]
pub(super) async fn asked() -> Exit {
    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_logoff, ctrl_shutdown};

    macro_rules! arrival {
        ($listen:ident) => {
            async {
                match $listen() {
                    Ok(mut event) => {
                        event.recv().await;
                    }
                    // The default action still ends this process.
                    Err(_) => std::future::pending().await,
                }
            }
        };
    }
    tokio::select! {
        () = arrival!(ctrl_c) => Exit::Interrupted,
        () = arrival!(ctrl_break) => Exit::Interrupted,
        () = arrival!(ctrl_close) => Exit::HungUp,
        () = arrival!(ctrl_logoff) => Exit::Terminated,
        () = arrival!(ctrl_shutdown) => Exit::Terminated,
    }
}
