//! Whether a context still leads to the same server as the same user.
//!
//! A local cluster that is made anew keeps its name and gets another port, another certificate
//! authority and another client certificate.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::io;
use std::path::Path;

/// Stands for the server of a context, what it is trusted by, and the user. Nothing can be read
/// back out of it, and it says nothing outside of this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Fingerprint {
    pub(super) fn of(config: &kube::Config) -> Self {
        let mut hasher = DefaultHasher::new();
        config.cluster_url.to_string().hash(&mut hasher);
        config.root_cert.hash(&mut hasher);
        config.accept_invalid_certs.hash(&mut hasher);
        config.tls_server_name.hash(&mut hasher);
        let proxy = config.proxy_url.as_ref().map(ToString::to_string);
        proxy.hash(&mut hasher);
        let mut user = config.auth_info.clone();
        // Notes of other tools, and maps without an order.
        user.extensions = None;
        user.auth_provider = None;
        user.impersonate_user_extra = None;
        // What cannot be written down counts as nothing; the server and the files are left.
        let _ = serde_json::to_writer(Writer(&mut hasher), &user);
        // The client reads these once; a token file it reads again by itself.
        let own = [&user.client_certificate, &user.client_key];
        let own = own.map(|path| path.as_ref().map(Path::new));
        for path in own.into_iter().chain([config.root_cert_file.as_deref()]) {
            let content = path.and_then(|path| fs::read(path).ok());
            content.hash(&mut hasher);
        }
        Self(hasher.finish())
    }
}

/// Hashes what is written to it, so that no credentials are copied.
struct Writer<'a>(&'a mut DefaultHasher);

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use crate::cluster::{Cluster, ClusterOptions};

    use super::*;

    const KUBECONFIG: &str = "
apiVersion: v1
kind: Config
current-context: kind-dev
clusters:
- {name: dev, cluster: {server: 'https://127.0.0.1:6443', certificate-authority-data: AUTHORITY}}
- {name: other, cluster: {server: 'https://127.0.0.1:7443'}}
users:
- {name: dev, user: {token: token-1}}
- {name: other, user: {token: token-2}}
contexts:
- {name: kind-dev, context: {cluster: dev, user: dev, namespace: shop}}
- {name: other, context: {cluster: other, user: other}}
";

    fn authority(content: &str) -> String {
        let pem = format!("-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----\n");
        base64::engine::general_purpose::STANDARD.encode(pem)
    }

    async fn fingerprint(folder: &Path, kubeconfig: &str) -> Fingerprint {
        let path = folder.join("config");
        fs::write(&path, kubeconfig.replace("AUTHORITY", &authority("YQ=="))).unwrap();
        let options = kube::config::KubeConfigOptions {
            context: Some("kind-dev".to_owned()),
            ..Default::default()
        };
        let kubeconfig = kube::config::Kubeconfig::read_from(&path).unwrap();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options);
        Fingerprint::of(&config.await.unwrap())
    }

    #[tokio::test]
    async fn a_cluster_that_was_made_anew_has_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let before = fingerprint(folder.path(), KUBECONFIG).await;
        let other = authority("Yg==");
        let table = [
            ("6443", "6444", false),
            ("AUTHORITY", other.as_str(), false),
            ("token-1", "token-9", false),
            ("{token: token-1}", "{token: token-1, as: someone}", false),
            // What is said of others, and which context is the current one, changes nothing.
            ("7443", "7444", true),
            ("token-2", "token-9", true),
            ("current-context: kind-dev", "current-context: other", true),
            ("namespace: shop", "namespace: shop2", true),
            (
                "{token: token-1}",
                "{token: token-1, extensions: [{name: x, extension: {at: 1}}]}",
                true,
            ),
        ];
        for (from, to, same) in table {
            assert!(KUBECONFIG.contains(from), "{from}");
            let after = fingerprint(folder.path(), &KUBECONFIG.replace(from, to)).await;
            assert_eq!(before == after, same, "{from} became {to}");
        }
    }

    #[tokio::test]
    async fn a_client_certificate_that_is_written_anew_under_its_name_counts() {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = KUBECONFIG.replace(
            "{token: token-1}",
            "{client-certificate: client.crt, client-key: client.key}",
        );
        let mut seen = Vec::new();
        for (certificate, key) in [("a", "k"), ("b", "k"), ("b", "l"), ("a", "k")] {
            fs::write(folder.path().join("client.crt"), certificate).unwrap();
            fs::write(folder.path().join("client.key"), key).unwrap();
            seen.push(fingerprint(folder.path(), &kubeconfig).await);
        }
        assert_ne!(seen[0], seen[1]);
        assert_ne!(seen[1], seen[2]);
        assert_eq!(seen[0], seen[3]);
    }

    #[tokio::test]
    async fn a_cluster_has_the_fingerprint_of_its_context() {
        let folder = tempfile::tempdir().unwrap();
        let connect = async |kubeconfig: String| {
            let path = folder.path().join("config");
            fs::write(
                &path,
                kubeconfig.replace(", certificate-authority-data: AUTHORITY", ""),
            )
            .unwrap();
            Cluster::from_kubeconfig(&ClusterOptions {
                kubeconfig: Some(path),
                context: Some("kind-dev".to_owned()),
                ..ClusterOptions::default()
            })
            .await
            .unwrap()
            .fingerprint()
        };
        let before = connect(KUBECONFIG.to_owned()).await;
        assert_eq!(before, connect(KUBECONFIG.to_owned()).await);
        assert_ne!(before, connect(KUBECONFIG.replace("6443", "6444")).await);
    }
}
