//! The two listeners.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::api;
use super::error::FrontError;
use super::registry;
use super::state::State;

/// Takes one line for people; never a token.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// How long open requests may take when the front is told to stop.
const TO_FINISH: Duration = Duration::from_secs(2);

/// How long nothing is accepted after a failure to accept.
const RESPITE: Duration = Duration::from_millis(20);

/// Where the front listens, and what is behind it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address of the API listener, plain HTTP.
    pub api: SocketAddr,
    /// Address of the registry listener, TLS.
    pub registry_listen: SocketAddr,
    /// `http://HOST:PORT` of the AWS emulator.
    pub moto: String,
    /// `http://HOST:PORT` of the real registry.
    pub registry: String,
    /// The certificate chain of the registry listener, PEM.
    pub tls_cert: PathBuf,
    /// Its key, PEM.
    pub tls_key: PathBuf,
    /// Where tokens and the journal are kept.
    pub state_dir: PathBuf,
    /// Whether an emulator that knows nothing is told the journal.
    pub replay: bool,
}

/// The connection ends without an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hangup;

impl fmt::Display for Hangup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection ends without an answer")
    }
}

impl std::error::Error for Hangup {}

/// The running front.
#[derive(Debug)]
pub struct Front {
    api: SocketAddr,
    registry: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Front {
    /// Binds both addresses, reads what was kept, and serves.
    pub async fn start(settings: &Settings, log: Log) -> Result<Self, FrontError> {
        let tls = acceptor(&settings.tls_cert, &settings.tls_key)?;
        let api_listener = listen(settings.api).await?;
        let registry_listener = listen(settings.registry_listen).await?;
        let address = |listener: &TcpListener, asked| listener.local_addr().unwrap_or(asked);
        let (api, registry) = (
            address(&api_listener, settings.api),
            address(&registry_listener, settings.registry_listen),
        );
        let state = Arc::new(State::open(settings, log)?);
        if settings.replay
            && let Err(error) = state.tell_again().await
        {
            // It is tried again before the first request that needs it.
            state.log(&error.to_string());
        }
        let (stop, stopped) = watch::channel(false);
        let for_api = Arc::clone(&state);
        let api_task = tokio::spawn(accept(api_listener, stopped.clone(), move |stream| {
            let state = Arc::clone(&for_api);
            async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let state = Arc::clone(&state);
                    async move { api::answer(&state, request).await }
                });
                Some((stream, service))
            }
        }));
        let upstream = registry::upstream();
        let registry_task = tokio::spawn(accept(registry_listener, stopped, move |stream| {
            let (state, upstream, tls) = (Arc::clone(&state), upstream.clone(), tls.clone());
            async move {
                let stream = tls.accept(stream).await.ok()?;
                let service = service_fn(move |request: Request<Incoming>| {
                    let (state, upstream) = (Arc::clone(&state), upstream.clone());
                    async move { registry::answer(&state, &upstream, request).await }
                });
                Some((stream, service))
            }
        }));
        Ok(Self {
            api,
            registry,
            stop,
            tasks: vec![api_task, registry_task],
        })
    }

    /// Where the API listener is.
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// Where the registry listener is.
    pub fn registry(&self) -> SocketAddr {
        self.registry
    }

    /// Lets open requests finish, for a short while, and ends.
    pub async fn stop(self) {
        // Nobody listening any more is what is wanted.
        let _ = self.stop.send(true);
        for task in self.tasks {
            // A task that panicked has ended as well.
            let _ = task.await;
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, FrontError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| FrontError::Listen { address, source })
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, FrontError> {
    let wrong = |error: &dyn fmt::Display| FrontError::Certificate {
        path: certificate.to_owned(),
        reason: error.to_string(),
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(&error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(&error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| wrong(&error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves every connection until it is told to stop. `prepare` makes of a connection what is
/// spoken over and who answers.
async fn accept<P, F, I, S, B>(
    listener: TcpListener,
    mut stopped: watch::Receiver<bool>,
    prepare: P,
) where
    P: Fn(TcpStream) -> F,
    F: Future<Output = Option<(I, S)>> + Send + 'static,
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>, Error = Hangup>
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let graceful = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                stream
            } else {
                // The client is gone already, or descriptors are out until others are done.
                tokio::time::sleep(RESPITE).await;
                continue;
            },
            // Told to stop, or nobody is left who could tell.
            _ = stopped.changed() => break,
        };
        // Small answers must not wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let prepared = prepare(stream);
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            if let Some((stream, service)) = prepared.await {
                let connection = http1::Builder::new()
                    .preserve_header_case(true)
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service);
                // A client that went away, or one that was hung up on: there is nobody to tell.
                let _ = watcher.watch(connection).await;
            }
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(TO_FINISH, graceful.shutdown()).await;
}
