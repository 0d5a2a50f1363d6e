//! The HTTP client of every AWS call of this process.
//!
//! Built by hand because the SDK's own builder, given another TLS library than its default, forgets
//! the proxies of the environment, because the SDK does not read `AWS_CA_BUNDLE`, and because it
//! loads the system's certificates for a plain address too: they take longer than the call.

use std::sync::{Arc, OnceLock};

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use crate::ca_bundle::CaBundle;
use crate::environment::Environment;

/// The variables that name a proxy, by the rules of curl and of the SDKs.
const PROXIES: [&str; 6] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// The client. All of its users share the connections.
pub(crate) fn http_client() -> SharedHttpClient {
    static CLIENT: OnceLock<SharedHttpClient> = OnceLock::new();
    CLIENT
        .get_or_init(|| SharedHttpClient::new(ByScheme::new(&Environment::of_process())))
        .clone()
}

/// Prepares TLS only once an address asks for it.
#[derive(Debug)]
struct ByScheme {
    /// For plain addresses, where no proxy can turn them into others.
    plain: Option<SharedHttpClient>,
    encrypted: Arc<OnceLock<SharedHttpClient>>,
}

impl ByScheme {
    fn new(environment: &Environment) -> Self {
        let has_proxy = PROXIES.iter().any(|name| environment.var(name).is_some());
        Self {
            plain: (!has_proxy).then(|| Builder::new().build_http()),
            encrypted: Arc::default(),
        }
    }
}

// The SDK's own clients load the certificates when they are asked to validate a configuration; the
// default of the trait does not.
impl HttpClient for ByScheme {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(ConnectorByScheme {
            plain: self.plain.clone(),
            encrypted: self.encrypted.clone(),
            settings: settings.clone(),
            components: components.clone(),
        })
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.plain.as_ref()?.connector_metadata()
    }
}

#[derive(Debug)]
struct ConnectorByScheme {
    plain: Option<SharedHttpClient>,
    encrypted: Arc<OnceLock<SharedHttpClient>>,
    settings: HttpConnectorSettings,
    components: RuntimeComponents,
}

impl HttpConnector for ConnectorByScheme {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = match &self.plain {
            Some(plain) if request.uri().starts_with("http://") => plain,
            _ => self.encrypted.get_or_init(encrypted),
        };
        client
            .http_connector(&self.settings, &self.components)
            .call(request)
    }
}

fn encrypted() -> SharedHttpClient {
    let tls = tls_context();
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        let mut connector = connector.tls_provider(Provider::Rustls(CryptoMode::Ring));
        if let Some(tls) = &tls {
            connector.set_tls_context(tls.clone());
        }
        connector.build()
    })
}

fn tls_context() -> Option<TlsContext> {
    let mut trust = TrustStore::default();
    // A bundle that cannot be read is reported by whoever makes a call, in words.
    let bundle = CaBundle::of_environment(&Environment::of_process()).ok()??;
    for certificate in bundle.certificates() {
        trust.add_pem_certificate(certificate.clone());
    }
    TlsContext::builder().with_trust_store(trust).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_takes_plain_addresses_too() {
        let client = |variables: &[(&str, &str)]| {
            ByScheme::new(&Environment::given(variables.iter().copied()))
        };
        assert!(client(&[]).plain.is_some());
        assert!(client(&[("NO_PROXY", "*")]).plain.is_some());
        for name in PROXIES {
            assert!(client(&[(name, "http://proxy:3128")]).plain.is_none());
        }
    }
}
