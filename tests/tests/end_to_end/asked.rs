//! How much a deploy asks that has nothing to do.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use hybrid_tests::said::list;
use serde_json::Value;

use super::deployed::{NAMESPACE, Project, front};

/// A way to the API server that notes what is asked on it. TLS and the login begin behind it, at
/// `kubectl proxy`.
struct Way {
    proxy: Child,
    port: u16,
    /// What clients sent, by connection.
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Way {
    fn to_the_api_server() -> Self {
        let mut proxy = Command::new("kubectl")
            .args(["proxy", "--port=0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = proxy.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let (_, behind) = line.trim().rsplit_once(' ').expect("where it serves");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let way = Self {
            proxy,
            port: listener.local_addr().unwrap().port(),
            sent: Arc::default(),
        };
        let (sent, behind) = (Arc::clone(&way.sent), behind.to_owned());
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let far = TcpStream::connect(&behind).unwrap();
                let number = {
                    let mut sent = sent.lock().unwrap();
                    sent.push(Vec::new());
                    sent.len() - 1
                };
                let (from, to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                let sent = Arc::clone(&sent);
                thread::spawn(move || {
                    pass_on(from, to, |bytes| {
                        sent.lock().unwrap()[number].extend_from_slice(bytes);
                    });
                });
                thread::spawn(move || pass_on(far, near, |_| {}));
            }
        });
        way
    }

    /// A kubeconfig that leads here.
    fn kubeconfig(&self, path: PathBuf) -> PathBuf {
        let mut text = "apiVersion: v1\nkind: Config\ncurrent-context: counted\n".to_owned();
        let _ = write!(
            text,
            "clusters: [{{name: it, cluster: {{server: 'http://127.0.0.1:{}'}}}}]\n\
             users: [{{name: it, user: {{}}}}]\n\
             contexts: [{{name: counted, context: {{cluster: it, user: it}}}}]\n",
            self.port
        );
        fs::write(&path, text).unwrap();
        path
    }

    /// Each request, as its method and path, in the order of the alphabet.
    fn asked(&self) -> Vec<String> {
        let sent = self.sent.lock().unwrap();
        let mut asked: Vec<String> = sent
            .iter()
            .flat_map(|sent| {
                // Requests without a body: each is a head.
                let sent = String::from_utf8_lossy(sent);
                let heads = sent.split("\r\n\r\n").filter(|head| !head.is_empty());
                heads.map(request).collect::<Vec<_>>()
            })
            .collect();
        asked.sort();
        asked
    }
}

/// `GET /api/v1/nodes` of `GET /api/v1/nodes?limit=500 HTTP/1.1`.
fn request(head: &str) -> String {
    let line = head.lines().next().unwrap_or_default();
    let line = line.strip_suffix(" HTTP/1.1").unwrap_or(line);
    line.split(['?', '&']).next().unwrap_or_default().to_owned()
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, mut note: impl FnMut(&[u8])) {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        note(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Both));
}

impl Drop for Way {
    fn drop(&mut self) {
        drop(self.proxy.kill());
        drop(self.proxy.wait());
    }
}

fn deploy_through(project: &Project, kubeconfig: &Path) -> Value {
    let flag = format!("--kubeconfig={}", kubeconfig.display());
    project
        .hybrid(&["deploy", "--output=json", &flag])
        .succeeds()
        .json()
}

#[test]
#[ignore = "needs the sandbox"]
fn a_deploy_without_changes_asks_each_side_once() {
    let project = Project::deployed();
    let way = Way::to_the_api_server();
    let kubeconfig = way.kubeconfig(project.path("kubeconfig"));
    front().reset_calls().unwrap();
    let report = deploy_through(&project, &kubeconfig);
    let calls = front().calls().unwrap();
    for service in list(&report["services"]) {
        assert_eq!(service["rolled"], Value::Bool(false), "{service}");
    }
    let of = |service: &str| -> u64 {
        calls
            .iter()
            .filter(|(name, _)| name.starts_with(service))
            .map(|(_, count)| count)
            .sum()
    };
    // A repository is asked for all that is looked up in it at once.
    assert_eq!(of("ecr:BatchGetImage"), 3, "{calls:?}");
    assert_eq!(of("ecr:"), 3, "{calls:?}");
    // The state, and the lock that the deploy would mention.
    assert_eq!(of("s3:GetObject"), 2, "{calls:?}");
    assert_eq!(of("sts:"), 0, "{calls:?}");
    assert_eq!(of("registry:"), 0, "{calls:?}");
    // The workloads in one list, the nodes' platforms, the pods that may wait, and the secret.
    let expected = [
        "GET /api/v1/namespaces/{}/pods",
        "GET /api/v1/namespaces/{}/secrets/regcred",
        "GET /api/v1/nodes",
        "GET /apis/apps/v1/namespaces/{}/deployments",
    ];
    let expected = expected.map(|it| it.replace("{}", NAMESPACE));
    assert_eq!(way.asked(), expected);
}

#[test]
fn a_request_is_known_by_its_first_line() {
    for (head, expected) in [
        ("GET /api/v1/nodes HTTP/1.1\r\nhost: x", "GET /api/v1/nodes"),
        ("GET /api/v1/pods?&limit=5 HTTP/1.1", "GET /api/v1/pods"),
        ("PATCH /a HTTP/1.1\r\na: b", "PATCH /a"),
    ] {
        assert_eq!(request(head), expected);
    }
}
