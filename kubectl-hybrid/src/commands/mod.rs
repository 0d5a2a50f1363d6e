//! One file for each subcommand.

mod build;
mod config;
mod deploy;
mod doctor;
mod ending;
mod held_lock;
mod helper;
mod hooks;
mod images;
mod init;
mod logs;
mod regcred;
mod renewal;
mod restart;
mod roll;
mod rollback;
mod run;
mod run_terraform;
mod session;
mod settings;
mod status;
mod time_left;
mod unlock;
mod workspace;

pub use run::run;
pub(crate) use time_left::{age, time_left};
