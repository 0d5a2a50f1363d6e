//! One file for each subcommand.

mod config;
mod deploy;
mod doctor;
mod helper;
mod regcred;
mod restart;
mod roll;
mod run;
mod session;
mod settings;
mod status;
mod time_left;
mod unlock;
mod workspace;

pub use run::run;
pub(crate) use time_left::time_left;
