//! The ECR front: what an emulator lacks of ECR.
//!
//! Two listeners before two real parts. The API listener passes everything on to the AWS emulator
//! and answers `GetAuthorizationToken` itself, with tokens that expire and know their principal.
//! The registry listener takes those tokens at the ECR host names, answers with ECR's own codes and
//! texts, and keeps the registries of all accounts and regions apart in one real registry.
//!
//! Faults, delays and counts of calls are asked for below `/_front/` on the API listener; see
//! [`Admin`].

mod admin;
mod admin_api;
mod api;
mod callers;
mod error;
mod fault;
mod file;
mod host;
mod images;
mod journal;
mod moto;
mod operation;
mod permissions;
mod policy;
mod refusal;
mod registry;
mod replay;
mod repositories;
mod s3;
mod server;
mod state;
#[cfg(test)]
mod tests;
mod token;
mod tokens;
mod xml;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use admin::{Admin, AdminError, Faulty, TokenCheck};
pub use error::FrontError;
pub use replay::{Replayed, replay};
pub use server::{Front, Log, Settings};

/// Locks; what a panicking holder left is taken as it is.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
