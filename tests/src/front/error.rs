//! Why the front could not start or go on.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

/// Why the front could not start or go on.
#[derive(Debug, Error)]
pub enum FrontError {
    /// A file of the front's own could not be written.
    #[error("could not write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be read.
    #[error("could not read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An address is taken or not there.
    #[error("could not listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The certificate or its key is not usable.
    #[error("the certificate {} and its key are not usable: {reason}", path.display())]
    Certificate {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The emulator could not be asked.
    #[error("{0}")]
    Emulator(String),
}
