//! From a kubeconfig to a client: which context, which server, which namespace.
//!
//! Only kubeconfigs count. A plugin that silently fell back to the cluster it happens to run in
//! would deploy to a place nobody named.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use kube::Client;
use kube::client::ClientBuilder;
use kube::client::retry::RetryPolicy;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tower::buffer::BufferLayer;
use tower::retry::RetryLayer;

use super::error::{ClusterError, chain};
use super::fingerprint::Fingerprint;
use super::guard::Endpoint;
use super::kubeconfig::{self, choose_context};
use super::proxy;

/// How long one request may take when nothing else is said.
pub const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Requests are retried on 429, 503 and 504 only: 0.2 s, 0.4 s, 0.8 s.
const RETRIES: u32 = 3;
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_LONGEST: Duration = Duration::from_secs(2);

/// What the command line says about the cluster. The names are kubectl's.
#[derive(Debug, Clone, Default)]
pub struct ClusterOptions {
    /// `--kubeconfig`: this file alone, instead of `KUBECONFIG` or `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// `--context`.
    pub context: Option<String>,
    /// `--cluster`.
    pub cluster: Option<String>,
    /// `--user`.
    pub user: Option<String>,
    /// `-n`, `--namespace`.
    pub namespace: Option<String>,
    /// `--as`.
    pub as_user: Option<String>,
    /// `--as-group`, repeatable.
    pub as_groups: Vec<String>,
    /// `--as-uid`.
    pub as_uid: Option<String>,
    /// `--request-timeout`; [`DEFAULT_REQUEST_TIMEOUT`] when none is given.
    pub request_timeout: Option<Duration>,
}

/// A client together with where it leads.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    context: String,
    server: String,
    tls_server_name: Option<String>,
    proxy_url: Option<String>,
    namespace: String,
    fingerprint: Fingerprint,
}

/// Prints where it leads, never what it authenticates with.
impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("context", &self.context)
            .field("server", &self.server)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Reads the kubeconfig and makes a client. No request is sent yet.
    ///
    /// # Errors
    /// When there is no kubeconfig, it cannot be read, or the context is not in it.
    pub async fn from_kubeconfig(options: &ClusterOptions) -> Result<Self, ClusterError> {
        let kubeconfig = kubeconfig::read(options.kubeconfig.as_deref())?;
        Self::from_parsed(kubeconfig, options, &Environment::read()).await
    }

    async fn from_parsed(
        kubeconfig: Kubeconfig,
        options: &ClusterOptions,
        environment: &Environment,
    ) -> Result<Self, ClusterError> {
        let context = choose_context(&kubeconfig, options.context.as_deref())?;
        let loader = KubeConfigOptions {
            context: Some(context.clone()),
            cluster: options.cluster.clone(),
            user: options.user.clone(),
        };
        let cluster_name = options.cluster.clone().or_else(|| {
            kubeconfig
                .contexts
                .iter()
                .find(|named| named.name == context)
                .and_then(|named| named.context.as_ref())
                .map(|named| named.cluster.clone())
        });
        let own_proxy = kubeconfig
            .clusters
            .iter()
            .find(|named| Some(&named.name) == cluster_name.as_ref())
            .and_then(|named| named.cluster.as_ref())
            .and_then(|cluster| cluster.proxy_url.clone())
            .filter(|url| !url.is_empty());

        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &loader)
            .await
            .map_err(|source| ClusterError::Kubeconfig {
                source: Box::new(source),
            })?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(options.request_timeout.unwrap_or(DEFAULT_REQUEST_TIMEOUT));
        config.default_retry = false;
        if own_proxy.is_none() && environment.bypasses(&config.cluster_url) {
            config.proxy_url = None;
        }
        if options.as_user.is_some() {
            config.auth_info.impersonate.clone_from(&options.as_user);
        }
        if !options.as_groups.is_empty() {
            config.auth_info.impersonate_groups = Some(options.as_groups.clone());
        }
        if options.as_uid.is_some() {
            config.auth_info.impersonate_uid.clone_from(&options.as_uid);
        }

        let namespace = options
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let server = config
            .cluster_url
            .to_string()
            .trim_end_matches('/')
            .to_owned();
        let tls_server_name = config.tls_server_name.clone();
        let fingerprint = Fingerprint::of(&config);
        let client = client_of(config).map_err(|error| ClusterError::Client {
            context: context.clone(),
            why: chain(&error),
        })?;
        Ok(Self {
            client,
            context,
            server,
            tls_server_name,
            proxy_url: own_proxy,
            namespace,
            fingerprint,
        })
    }

    /// Wraps a client that was made elsewhere: a test's, mostly.
    pub fn from_client(
        client: Client,
        context: impl Into<String>,
        server: impl Into<String>,
        namespace: impl Into<String>,
    ) -> Self {
        Self {
            client,
            context: context.into(),
            server: server.into(),
            tls_server_name: None,
            proxy_url: None,
            namespace: namespace.into(),
            fingerprint: Fingerprint::default(),
        }
    }

    /// The client, for requests.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The name of the context.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// The URL of the API server, without a trailing slash.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The namespace given, else the context's, else `default`.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Stands for the server and the user, as the kubeconfig had them.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// What [`super::guard::judge`] needs to know.
    pub fn endpoint(&self) -> Endpoint<'_> {
        Endpoint {
            context: &self.context,
            server: &self.server,
            tls_server_name: self.tls_server_name.as_deref(),
            proxy_url: self.proxy_url.as_deref(),
        }
    }

    /// Asks the server for its version, for example `v1.34.1`: the cheapest proof that it answers.
    pub async fn version(&self) -> Result<String, ClusterError> {
        let info = self
            .client
            .apiserver_version()
            .await
            .map_err(|error| self.explain("ask for the server's version", &error))?;
        Ok(info.git_version)
    }

    /// Whether a namespace exists and is not being deleted.
    pub async fn namespace_state(&self, name: &str) -> Result<NamespaceState, ClusterError> {
        let api: kube::Api<k8s_openapi::api::core::v1::Namespace> = kube::Api::all(self.client());
        let found = api
            .get_opt(name)
            .await
            .map_err(|error| self.explain(format!("read namespace `{name}`"), &error))?;
        Ok(match found {
            None => NamespaceState::Missing,
            Some(namespace) if namespace.metadata.deletion_timestamp.is_some() => {
                NamespaceState::Terminating
            }
            Some(_) => NamespaceState::Active,
        })
    }

    /// Turns an error of kube into one that names context and server.
    pub(crate) fn explain(&self, action: impl Into<String>, error: &kube::Error) -> ClusterError {
        ClusterError::from_kube(action, &self.context, &self.server, error)
    }
}

/// Whether a namespace can be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespaceState {
    /// It exists.
    Active,
    /// It is being deleted.
    Terminating,
    /// It does not exist.
    Missing,
}

fn client_of(config: kube::Config) -> kube::Result<Client> {
    let builder = ClientBuilder::try_from(config)?.with_layer(&BufferLayer::new(64));
    match RetryPolicy::new(RETRY_FIRST, RETRY_LONGEST, RETRIES, false) {
        Ok(policy) => Ok(builder.with_layer(&RetryLayer::new(policy)).build()),
        // The numbers above are in order, so this is never taken; no retry is safe as well.
        Err(_) => Ok(builder.build()),
    }
}

/// What the environment says about proxies.
#[derive(Debug, Default)]
struct Environment {
    no_proxy: String,
}

impl Environment {
    fn read() -> Self {
        let no_proxy = ["NO_PROXY", "no_proxy"]
            .iter()
            .find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()))
            .unwrap_or_default();
        Self { no_proxy }
    }

    fn bypasses(&self, server: &Uri) -> bool {
        let port = server.port_u16().or(match server.scheme_str() {
            Some("http") => Some(80),
            _ => Some(443),
        });
        server
            .host()
            .is_some_and(|host| proxy::is_bypassed(host, port, &self.no_proxy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBECONFIG: &str = "
apiVersion: v1
kind: Config
current-context: kind-dev
clusters:
- {name: dev, cluster: {server: 'https://127.0.0.1:6443'}}
- {name: tunnel, cluster: {server: 'https://127.0.0.1:8443', proxy-url: 'http://jump.example:3128', tls-server-name: api.prod.example}}
users:
- {name: dev, user: {token: not-a-real-token}}
contexts:
- {name: kind-dev, context: {cluster: dev, user: dev, namespace: shop}}
- {name: tunnel, context: {cluster: tunnel, user: dev}}
";

    async fn connect(options: ClusterOptions) -> Result<Cluster, ClusterError> {
        let kubeconfig = Kubeconfig::from_yaml(KUBECONFIG).unwrap();
        Cluster::from_parsed(kubeconfig, &options, &Environment::default()).await
    }

    #[tokio::test]
    async fn the_current_context_gives_server_and_namespace() {
        let cluster = connect(ClusterOptions::default()).await.unwrap();
        assert_eq!(cluster.context(), "kind-dev");
        assert_eq!(cluster.server(), "https://127.0.0.1:6443");
        assert_eq!(cluster.namespace(), "shop");
        assert_eq!(cluster.endpoint().proxy_url, None);
    }

    #[tokio::test]
    async fn a_namespace_that_is_given_wins() {
        let options = ClusterOptions {
            namespace: Some("other".to_owned()),
            ..Default::default()
        };
        assert_eq!(connect(options).await.unwrap().namespace(), "other");
    }

    #[tokio::test]
    async fn the_endpoint_keeps_what_betrays_a_tunnel() {
        let options = ClusterOptions {
            context: Some("tunnel".to_owned()),
            ..Default::default()
        };
        let cluster = connect(options).await.unwrap();
        let endpoint = cluster.endpoint();
        assert_eq!(endpoint.tls_server_name, Some("api.prod.example"));
        assert_eq!(endpoint.proxy_url, Some("http://jump.example:3128"));
    }

    #[tokio::test]
    async fn an_unknown_context_is_answered_with_the_nearest() {
        let options = ClusterOptions {
            context: Some("kind-dve".to_owned()),
            ..Default::default()
        };
        match connect(options).await.unwrap_err() {
            ClusterError::UnknownContext {
                nearest, available, ..
            } => {
                assert_eq!(nearest.as_deref(), Some("kind-dev"));
                assert_eq!(available, ["kind-dev", "tunnel"]);
            }
            other => unreachable!("{other}"),
        }
    }

    #[tokio::test]
    async fn nothing_prints_the_credentials() {
        let cluster = connect(ClusterOptions::default()).await.unwrap();
        assert!(!format!("{cluster:?}").contains("not-a-real-token"));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named_with_its_context() {
        // A port that was free a moment ago and that nobody listens on.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let kubeconfig =
            Kubeconfig::from_yaml(&KUBECONFIG.replace("6443", &port.to_string())).unwrap();
        let cluster = Cluster::from_parsed(
            kubeconfig,
            &ClusterOptions::default(),
            &Environment::default(),
        )
        .await
        .unwrap();
        let error = cluster.version().await.unwrap_err();
        assert!(
            matches!(error, ClusterError::Unreachable { .. }),
            "{error:?}"
        );
        let text = error.to_string();
        assert!(
            text.contains(&format!("https://127.0.0.1:{port}")),
            "{text}"
        );
        assert!(text.contains("`kind-dev`"), "{text}");
        assert!(error.may_pass());
    }
}
