//! Exit codes: the same whatever `-o` says.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// All is well.
    Ok = 0,
    /// Something that this tool did not foresee.
    Unexpected = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// `doctor` found errors.
    DoctorFoundErrors = 3,
    /// A guard refused.
    Refused = 4,
    /// AWS did not accept the login.
    AwsAuthentication = 5,
    /// A build or a push failed.
    BuildOrPush = 6,
    /// A roll-out or a write to the cluster failed.
    RollOut = 7,
    /// Time ran out.
    TimedOut = 8,
    /// The terminal was closed.
    HungUp = 129,
    /// Ctrl-C.
    Interrupted = 130,
    /// Asked to end, by a service manager for example.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
