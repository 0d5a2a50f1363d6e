//! A front on free ports, and clients of both listeners.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::super::{Admin, Front, Settings};

/// The registry that most tests speak to.
pub(super) const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

/// A front, its folder, and its certificate.
pub(super) struct Bench {
    front: Front,
    tls: TlsConnector,
    pub(super) folder: tempfile::TempDir,
}

impl Bench {
    /// Starts a front before an emulator and a registry.
    pub(super) async fn start(moto: &str, registry: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::start_in(folder, moto, registry).await
    }

    /// The same with what an earlier front left in the folder.
    pub(super) async fn start_in(folder: tempfile::TempDir, moto: &str, registry: &str) -> Self {
        let hosts = [
            HOST,
            "123456789012.dkr.ecr.us-east-1.amazonaws.com",
            "210987654321.dkr.ecr.eu-central-1.amazonaws.com",
        ];
        let certified =
            rcgen::generate_simple_self_signed(hosts.map(str::to_owned)).expect("a certificate");
        let (tls_cert, tls_key) = (
            folder.path().join("cert.pem"),
            folder.path().join("key.pem"),
        );
        std::fs::write(&tls_cert, certified.cert.pem()).expect("a file");
        std::fs::write(&tls_key, certified.signing_key.serialize_pem()).expect("a file");
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let settings = Settings {
            api: any,
            registry_listen: any,
            moto: moto.to_owned(),
            registry: registry.to_owned(),
            tls_cert,
            tls_key,
            state_dir: folder.path().join("state"),
            replay: true,
        };
        let front = Front::start(&settings, Arc::new(|_: &str| {}))
            .await
            .expect("a front");
        Self {
            front,
            tls: trusting(&folder.path().join("cert.pem")),
            folder,
        }
    }

    /// Ends the front and gives back its folder.
    pub(super) async fn stop(self) -> tempfile::TempDir {
        self.front.stop().await;
        self.folder
    }

    /// Asks the admin something; its client blocks.
    pub(super) async fn admin<T: Send + 'static>(
        &self,
        ask: impl FnOnce(Admin) -> T + Send + 'static,
    ) -> T {
        let admin = Admin::new(format!("http://{}", self.front.api()));
        tokio::task::spawn_blocking(move || ask(admin))
            .await
            .expect("an answer")
    }

    /// Sends a request to the API listener; none when the connection ends without an answer.
    pub(super) async fn api(&self, request: Request<Full<Bytes>>) -> Option<Response<Bytes>> {
        let stream = TcpStream::connect(self.front.api())
            .await
            .expect("a connection");
        send(stream, request).await
    }

    /// Asks ECR for something with that access key.
    pub(super) async fn ecr(
        &self,
        key: &str,
        region: &str,
        action: &str,
        body: &Value,
    ) -> (u16, Value) {
        let request = signed(Method::POST, "/", key, region, "ecr")
            .header("content-type", "application/x-amz-json-1.1")
            .header(
                "x-amz-target",
                format!("AmazonEC2ContainerRegistry_V20150921.{action}"),
            )
            .body(Full::from(body.to_string()))
            .expect("a request");
        let answer = self.api(request).await.expect("an answer");
        (
            answer.status().as_u16(),
            serde_json::from_slice(answer.body()).unwrap_or_default(),
        )
    }

    /// Asks STS or IAM for something with that access key.
    pub(super) async fn query(&self, key: &str, service: &str, form: &str) -> (u16, String) {
        let request = signed(Method::POST, "/", key, "eu-central-1", service)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::from(form.to_owned()))
            .expect("a request");
        let answer = self.api(request).await.expect("an answer");
        (
            answer.status().as_u16(),
            String::from_utf8_lossy(answer.body()).into_owned(),
        )
    }

    /// A password for a region, as the helper would get it.
    pub(super) async fn password(&self, key: &str, region: &str) -> String {
        let (status, answer) = self
            .ecr(key, region, "GetAuthorizationToken", &Value::Null)
            .await;
        assert_eq!(status, 200, "{answer}");
        let token = answer["authorizationData"][0]["authorizationToken"]
            .as_str()
            .expect("a token");
        let decoded = String::from_utf8(STANDARD.decode(token).expect("base64")).expect("text");
        decoded.strip_prefix("AWS:").expect("the user").to_owned()
    }

    /// Sends a request to a registry; none when the connection ends without an answer.
    pub(super) async fn registry(
        &self,
        host: &str,
        password: Option<&str>,
        request: http::request::Builder,
        body: impl Into<Bytes>,
    ) -> Option<Response<Bytes>> {
        let mut request = request.header("host", host);
        if let Some(password) = password {
            let login = STANDARD.encode(format!("AWS:{password}"));
            request = request.header("authorization", format!("Basic {login}"));
        }
        let stream = TcpStream::connect(self.front.registry())
            .await
            .expect("a connection");
        let name = ServerName::try_from(host.to_owned()).expect("a name");
        let stream = self.tls.connect(name, stream).await.expect("TLS");
        send(
            stream,
            request.body(Full::new(body.into())).expect("a request"),
        )
        .await
    }
}

/// A request that looks signed.
pub(super) fn signed(
    method: Method,
    path: &str,
    key: &str,
    region: &str,
    service: &str,
) -> http::request::Builder {
    Request::builder().method(method).uri(path).header("host", "127.0.0.1").header(
        "authorization",
        format!("AWS4-HMAC-SHA256 Credential={key}/20261123/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"),
    )
}

fn trusting(certificate: &Path) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(certificate).expect("a certificate"))
        .expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Option<Response<Bytes>> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .expect("HTTP");
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.ok()?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.ok()?.to_bytes();
    connection.abort();
    Some(Response::from_parts(head, body))
}
