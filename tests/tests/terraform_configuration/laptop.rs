//! The clusters of two laptops: the sandbox's own, and a second API server with a store of its own.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hybrid_tests::sandbox::Layout;
use hybrid_tests::sandbox::certificates::{
    API_SERVER, SERVICE_ACCOUNT_KEY, SERVICE_ACCOUNT_PUBLIC,
};
use hybrid_tests::sandbox::endpoints::{API_SERVER_PORT, CONTEXT, SERVICE_RANGE};
use hybrid_tests::sandbox::report::Report;
use hybrid_tests::sandbox::supply::{self, Item};
use tempfile::TempDir;

use super::folder::variable;

/// How long the second API server may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// A cluster, as the kubeconfig of one laptop names it.
pub(crate) struct Laptop {
    folder: TempDir,
    context: String,
    parts: Vec<Child>,
}

impl Laptop {
    /// The sandbox's cluster under another name.
    pub(crate) fn one() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::named("kind-laptop1", API_SERVER_PORT, folder, Vec::new())
    }

    /// A cluster that shares nothing with the first: its objects come and go, nobody runs pods.
    pub(crate) fn two() -> Self {
        let layout = Layout::from_env().unwrap();
        let [store, peers, port] = free_ports();
        let folder = tempfile::tempdir().unwrap();
        let store = format!("http://127.0.0.1:{store}");
        let peers = format!("http://127.0.0.1:{peers}");
        let etcd = start(
            Item::Etcd,
            &layout,
            folder.path(),
            &[
                "--name=laptop2".to_owned(),
                format!("--data-dir={}", folder.path().join("etcd").display()),
                format!("--listen-client-urls={store}"),
                format!("--advertise-client-urls={store}"),
                format!("--listen-peer-urls={peers}"),
                format!("--initial-advertise-peer-urls={peers}"),
                format!("--initial-cluster=laptop2={peers}"),
                "--unsafe-no-fsync".to_owned(),
            ],
        );
        let pki = |name: &str| layout.pki().join(name).display().to_string();
        let server = start(
            Item::KubeApiserver,
            &layout,
            folder.path(),
            &[
                format!("--etcd-servers={store}"),
                format!("--secure-port={port}"),
                "--bind-address=127.0.0.1".to_owned(),
                "--advertise-address=127.0.0.1".to_owned(),
                "--endpoint-reconciler-type=none".to_owned(),
                format!("--service-cluster-ip-range={SERVICE_RANGE}"),
                format!("--client-ca-file={}", pki("ca.crt")),
                format!("--tls-cert-file={}", pki(&format!("{API_SERVER}.crt"))),
                format!(
                    "--tls-private-key-file={}",
                    pki(&format!("{API_SERVER}.key"))
                ),
                "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
                format!(
                    "--service-account-signing-key-file={}",
                    pki(SERVICE_ACCOUNT_KEY)
                ),
                format!("--service-account-key-file={}", pki(SERVICE_ACCOUNT_PUBLIC)),
                "--authorization-mode=RBAC".to_owned(),
            ],
        );
        let mut laptop = Self::named("kind-laptop2", port, folder, vec![server, etcd]);
        laptop.wait_until_ready();
        // Without these two nothing that is deleted would ever be gone.
        let controllers = start(
            Item::KubeControllerManager,
            &layout,
            laptop.folder.path(),
            &[
                format!("--kubeconfig={}", laptop.kubeconfig().display()),
                "--controllers=namespace-controller,garbage-collector-controller".to_owned(),
                "--leader-elect=false".to_owned(),
                "--secure-port=0".to_owned(),
            ],
        );
        laptop.parts.insert(0, controllers);
        laptop
    }

    fn named(context: &str, port: u16, folder: TempDir, parts: Vec<Child>) -> Self {
        let text = fs::read_to_string(variable("KUBECONFIG"))
            .unwrap()
            .replace(CONTEXT, context)
            .replace(&format!(":{API_SERVER_PORT}"), &format!(":{port}"));
        fs::write(folder.path().join("config"), text).unwrap();
        Self {
            folder,
            context: context.to_owned(),
            parts,
        }
    }

    fn wait_until_ready(&self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let ready = Command::new("kubectl")
                .args(["get", "--raw=/readyz"])
                .env("KUBECONFIG", self.kubeconfig())
                .output()
                .unwrap();
            if ready.status.success() {
                return;
            }
            if Instant::now() > end {
                let log = self.folder.path().join("log");
                let log = fs::read_to_string(log).unwrap_or_default();
                panic!("the second API server does not get ready: {log}");
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// The values that this laptop gives to the configuration.
    pub(crate) fn values(&self) -> String {
        format!(
            "kubeconfig = {:?}\nkube_context = {:?}\nservices = {{ web = {{ port = 3000, non_root = true }} }}\n",
            self.kubeconfig().display().to_string(),
            self.context,
        )
    }
}

impl Drop for Laptop {
    fn drop(&mut self) {
        for part in &mut self.parts {
            // It may have ended by itself.
            drop(part.kill());
            drop(part.wait());
        }
    }
}

fn start(item: Item, layout: &Layout, folder: &Path, arguments: &[String]) -> Child {
    let part = supply::ensure(item, layout.cache(), &Report::silent()).unwrap();
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .unwrap();
    Command::new(part.path)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Ports that nobody listens on.
fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
