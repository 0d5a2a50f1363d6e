//! Keys and certificates of the sandbox: one CA, and a certificate for everyone who serves or asks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::endpoints::{API_SERVICE_ADDRESS, NODE, NODE_ADDRESS, registry_hosts};
use super::{Layout, SandboxError};

/// File name of the certificate that the ECR front shows.
pub const REGISTRY: &str = "registry";
/// The API server's certificate.
pub const API_SERVER: &str = "apiserver";
/// The kubelet's certificate, for logs and exec.
pub const KUBELET_SERVER: &str = "kubelet-server";
/// What the API server shows to the kubelet.
pub const KUBELET_CLIENT: &str = "apiserver-kubelet-client";
/// The admin of the cluster.
pub const ADMIN: &str = "admin";
/// The kubelet as a client of the API server.
pub const KUBELET: &str = "kubelet";
/// The controller manager.
pub const CONTROLLER_MANAGER: &str = "controller-manager";
/// The scheduler.
pub const SCHEDULER: &str = "scheduler";
/// The node's proxy.
pub const PROXY: &str = "proxy";
/// The key that signs the tokens of service accounts.
pub const SERVICE_ACCOUNT_KEY: &str = "service-account.key";
/// Its public half, which the API server checks those tokens with.
pub const SERVICE_ACCOUNT_PUBLIC: &str = "service-account.pub";

/// Says which set of names was certified; another set means other certificates.
const STAMP: &str = "names";

struct Subject {
    file: &'static str,
    common_name: String,
    organisation: Option<&'static str>,
    names: Vec<String>,
}

impl Subject {
    fn server(file: &'static str, names: Vec<String>) -> Self {
        Self {
            file,
            common_name: file.to_owned(),
            organisation: None,
            names,
        }
    }

    fn client(
        file: &'static str,
        common_name: impl Into<String>,
        organisation: Option<&'static str>,
    ) -> Self {
        Self {
            file,
            common_name: common_name.into(),
            organisation,
            names: Vec::new(),
        }
    }
}

/// Names and groups are those that Kubernetes' own roles are bound to.
fn subjects() -> Vec<Subject> {
    let api_names = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "127.0.0.1",
        NODE,
    ];
    let mut api_names: Vec<String> = api_names.iter().map(ToString::to_string).collect();
    api_names.extend([API_SERVICE_ADDRESS.to_string(), NODE_ADDRESS.to_string()]);
    vec![
        Subject::server(REGISTRY, registry_hosts()),
        Subject::server(API_SERVER, api_names),
        Subject::server(
            KUBELET_SERVER,
            vec![NODE.to_owned(), NODE_ADDRESS.to_string()],
        ),
        Subject::client(
            KUBELET_CLIENT,
            "kube-apiserver-kubelet-client",
            Some("system:masters"),
        ),
        Subject::client(ADMIN, "hybrid-admin", Some("system:masters")),
        Subject::client(KUBELET, format!("system:node:{NODE}"), Some("system:nodes")),
        Subject::client(CONTROLLER_MANAGER, "system:kube-controller-manager", None),
        Subject::client(SCHEDULER, "system:kube-scheduler", None),
        Subject::client(PROXY, "system:kube-proxy", None),
    ]
}

/// Makes all keys and certificates unless they are there for the same names; true when they were
/// made now.
///
/// They are made in a folder beside and moved into place, so that an interrupted run leaves either
/// all or none.
pub fn ensure(layout: &Layout) -> Result<bool, SandboxError> {
    let subjects = subjects();
    let stamp = stamp(&subjects);
    let pki = layout.pki();
    if fs::read_to_string(pki.join(STAMP)).is_ok_and(|kept| kept == stamp) {
        return Ok(false);
    }
    let fresh = layout.state().join("pki.new");
    remove(&fresh)?;
    fs::create_dir_all(&fresh).map_err(SandboxError::io("create", &fresh))?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o700))
        .map_err(SandboxError::io("protect", &fresh))?;
    make_all(&fresh, &subjects)?;
    // Tokens of service accounts live in the cluster's data and outlast a new CA.
    if pki.join(SERVICE_ACCOUNT_PUBLIC).exists() {
        for file in [SERVICE_ACCOUNT_KEY, SERVICE_ACCOUNT_PUBLIC] {
            let key = pki.join(file);
            fs::copy(&key, fresh.join(file)).map_err(SandboxError::io("copy", &key))?;
        }
    }
    write(&fresh.join(STAMP), &stamp)?;
    remove(&pki)?;
    fs::rename(&fresh, &pki).map_err(SandboxError::io("move into place", &fresh))?;
    Ok(true)
}

fn make_all(dir: &Path, subjects: &[Subject]) -> Result<(), SandboxError> {
    let failed = |name: &str| {
        let name = name.to_owned();
        move |source| SandboxError::Certificate { name, source }
    };
    let ca_key = KeyPair::generate().map_err(failed("ca"))?;
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "hybrid-sandbox CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca = params.self_signed(&ca_key).map_err(failed("ca"))?;
    write(&dir.join("ca.crt"), &ca.pem())?;
    write(&dir.join("ca.key"), &ca_key.serialize_pem())?;
    let issuer = Issuer::new(params, ca_key);

    for subject in subjects {
        let failed = || failed(subject.file);
        let key = KeyPair::generate().map_err(failed())?;
        let mut params = CertificateParams::new(subject.names.clone()).map_err(failed())?;
        params
            .distinguished_name
            .push(DnType::CommonName, subject.common_name.as_str());
        if let Some(organisation) = subject.organisation {
            params
                .distinguished_name
                .push(DnType::OrganizationName, organisation);
        }
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![if subject.names.is_empty() {
            ExtendedKeyUsagePurpose::ClientAuth
        } else {
            ExtendedKeyUsagePurpose::ServerAuth
        }];
        let certificate = params.signed_by(&key, &issuer).map_err(failed())?;
        write(
            &dir.join(format!("{}.crt", subject.file)),
            &certificate.pem(),
        )?;
        write(
            &dir.join(format!("{}.key", subject.file)),
            &key.serialize_pem(),
        )?;
    }
    let key = KeyPair::generate().map_err(failed("service-account"))?;
    write(&dir.join(SERVICE_ACCOUNT_KEY), &key.serialize_pem())?;
    write(&dir.join(SERVICE_ACCOUNT_PUBLIC), &key.public_key_pem())
}

fn stamp(subjects: &[Subject]) -> String {
    let certified = subjects.iter().map(|s| {
        let organisation = s.organisation.unwrap_or_default();
        format!(
            "{}: {} {organisation} {}\n",
            s.file,
            s.common_name,
            s.names.join(" ")
        )
    });
    certified
        .chain([format!("{SERVICE_ACCOUNT_KEY} {SERVICE_ACCOUNT_PUBLIC}\n")])
        .collect()
}

fn write(path: &Path, text: &str) -> Result<(), SandboxError> {
    fs::write(path, text).map_err(SandboxError::io("write", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .map_err(SandboxError::io("protect", path))
}

fn remove(dir: &Path) -> Result<(), SandboxError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(SandboxError::io("remove", dir)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::supply::Cache;

    #[test]
    fn certificates_are_kept_while_the_names_are_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::at(dir.path(), Cache::at(dir.path()));
        assert!(ensure(&layout).unwrap());
        let first = fs::read(layout.ca_certificate()).unwrap();
        assert!(!ensure(&layout).unwrap());
        assert_eq!(fs::read(layout.ca_certificate()).unwrap(), first);
    }

    #[test]
    fn other_names_mean_other_certificates_and_the_same_service_account_key() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::at(dir.path(), Cache::at(dir.path()));
        ensure(&layout).unwrap();
        let ca = fs::read(layout.ca_certificate()).unwrap();
        let key = fs::read(layout.pki().join(SERVICE_ACCOUNT_KEY)).unwrap();
        fs::write(layout.pki().join(STAMP), "other names").unwrap();
        ensure(&layout).unwrap();
        assert_ne!(fs::read(layout.ca_certificate()).unwrap(), ca);
        assert_eq!(
            fs::read(layout.pki().join(SERVICE_ACCOUNT_KEY)).unwrap(),
            key
        );
    }

    #[test]
    fn keys_are_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::at(dir.path(), Cache::at(dir.path()));
        ensure(&layout).unwrap();
        for entry in fs::read_dir(layout.pki()).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0);
        }
    }
}
