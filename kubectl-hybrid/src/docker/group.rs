//! A child process that ends together with everything it started.

use std::io;
use std::process::ExitStatus;

use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

/// A child at the head of its own process group, so that what it started ends with it.
pub(super) struct Group {
    child: Child,
    ended: bool,
}

impl Group {
    /// Starts the child; its environment, arguments and pipes are set already.
    pub(super) fn start(mut process: Command) -> io::Result<Self> {
        process.kill_on_drop(true);
        #[cfg(unix)]
        process.process_group(0);
        Ok(Self {
            child: process.spawn()?,
            ended: false,
        })
    }

    /// The child's pipes.
    pub(super) fn streams(
        &mut self,
    ) -> (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>) {
        (
            self.child.stdin.take(),
            self.child.stdout.take(),
            self.child.stderr.take(),
        )
    }

    /// Waits until the child has ended.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.ended = true;
        Ok(status)
    }
}

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

        if self.ended {
            return;
        }
        let pid = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        let Some(pid) = pid else { return };
        // A Docker client that dies closes its session, and the engine drops the work with it:
        // nothing is gained by asking politely first.
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        // Seen to its end, so that no child outlives its command; reaped by the line after.
        let _ = rustix::process::waitid(
            WaitId::Pid(pid),
            WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
        );
        let _ = self.child.try_wait();
    }
}

#[cfg(not(unix))]
impl Drop for Group {
    fn drop(&mut self) {
        if !self.ended {
            // The plugins of a Docker client end by themselves when it is gone.
            let _ = self.child.start_kill();
        }
    }
}
