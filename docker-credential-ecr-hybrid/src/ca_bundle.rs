//! `AWS_CA_BUNDLE`: certificates to trust besides the system's own.
//!
//! Networks that open TLS to inspect it need this. The file is checked here, because the HTTP
//! library takes only certificates that are known to be good.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::environment::Environment;

/// The certificates of a bundle, each in PEM.
#[derive(Debug, Clone)]
pub(crate) struct CaBundle {
    certificates: Vec<Vec<u8>>,
}

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaBundleError {
    /// The file cannot be read.
    #[error("AWS_CA_BUNDLE names `{}`, which cannot be read: {source}.", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file holds nothing of use.
    #[error("AWS_CA_BUNDLE names `{}`, which holds no certificate in PEM form.", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl CaBundle {
    /// Reads the bundle that the environment names, if it names one.
    pub(crate) fn of_environment(environment: &Environment) -> Result<Option<Self>, CaBundleError> {
        let Some(path) = environment.path("AWS_CA_BUNDLE") else {
            return Ok(None);
        };
        match std::fs::read(&path) {
            Err(source) => Err(CaBundleError::Unreadable { path, source }),
            Ok(bytes) => match usable(&bytes) {
                certificates if certificates.is_empty() => Err(CaBundleError::Empty { path }),
                certificates => Ok(Some(Self { certificates })),
            },
        }
    }

    pub(crate) fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }
}

fn usable(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut roots = RootCertStore::empty();
    CertificateDer::pem_slice_iter(bytes)
        .filter_map(Result::ok)
        .filter(|certificate| roots.add(certificate.clone()).is_ok())
        .map(|certificate| pem(&certificate))
        .collect()
}

fn pem(der: &[u8]) -> Vec<u8> {
    let body = STANDARD.encode(der);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in body.as_bytes().chunks(64) {
        text.extend(line.iter().map(|&byte| char::from(byte)));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_without_certificates_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let read = || {
            let variable = [("AWS_CA_BUNDLE", path.to_str().unwrap())];
            CaBundle::of_environment(&Environment::given(variable))
        };
        assert!(matches!(read(), Err(CaBundleError::Unreadable { .. })));
        let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, nonsense).unwrap();
        assert!(matches!(read(), Err(CaBundleError::Empty { .. })));
        let none = CaBundle::of_environment(&Environment::given([]));
        assert!(none.is_ok_and(|bundle| bundle.is_none()));
    }
}
