//! Passing a registry's requests on to the real registry, bodies streamed both ways.

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderValue, LOCATION};
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use http_body_util::combinators::BoxBody;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::super::host::Registry;
use super::super::moto::{causes, passes};
use super::refusal::Refusal;

/// A streamed body.
pub(super) type Body = BoxBody<Bytes, hyper::Error>;
/// An answer of the registry listener.
pub(in super::super) type Answer = Response<Body>;
/// The client of the real registry.
pub(in super::super) type Upstream = Client<HttpConnector, Body>;

/// A client of the real registry.
pub(in super::super) fn upstream() -> Upstream {
    Client::builder(TokioExecutor::new())
        // A kept connection to a registry that was started again would fail one request.
        .pool_max_idle_per_host(0)
        .build(HttpConnector::new())
}

/// One registry's part of the real registry.
pub(super) struct Proxy<'a> {
    pub(super) upstream: &'a Upstream,
    /// `http://HOST:PORT`.
    pub(super) base: &'a str,
    pub(super) registry: &'a Registry,
    /// The Host header of the client: Location headers lead back to it.
    pub(super) host: &'a str,
}

impl Proxy<'_> {
    /// Sends a request to the path of this registry's part; `path` begins behind `/v2/`.
    pub(super) async fn send(
        &self,
        head: &Parts,
        path: &str,
        body: Body,
    ) -> Result<Answer, Refusal> {
        let prefix = self.registry.prefix();
        let query = head.uri.query().map_or_else(String::new, |query| {
            format!("?{}", with_prefix(query, &prefix))
        });
        let mut request = Request::builder()
            .method(&head.method)
            .uri(format!("{}/v2/{prefix}/{path}{query}", self.base))
            .body(body)
            .map_err(|error| unavailable(&error))?;
        *request.headers_mut() = self.headers(&head.headers);
        let answer = self
            .upstream
            .request(request)
            .await
            .map_err(|error| unavailable(&error))?;
        let (mut head, body) = answer.into_parts();
        let location = head
            .headers
            .get(LOCATION)
            .and_then(|value| value.to_str().ok());
        if let Some(location) = location.map(|location| self.public(location))
            && let Ok(location) = HeaderValue::from_str(&location)
        {
            head.headers.insert(LOCATION, location);
        }
        head.headers.remove(http::header::CONNECTION);
        head.headers.remove(http::header::TRANSFER_ENCODING);
        Ok(Response::from_parts(head, body.boxed()))
    }

    /// Repeated headers stay apart: the registry converts a manifest when it reads but one `Accept`.
    fn headers(&self, from: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in from {
            if passes(name) && *name != AUTHORIZATION && *name != HOST {
                headers.append(name, value.clone());
            }
        }
        if let Ok(host) = HeaderValue::from_str(self.host) {
            headers.insert(HOST, host);
        }
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        headers
    }

    /// A Location of the real registry as the client must see it.
    fn public(&self, location: &str) -> String {
        let path = location.split_once("://").map_or(location, |(_, rest)| {
            rest.find('/')
                .map_or("/", |at| rest.get(at..).unwrap_or("/"))
        });
        let own = format!("/v2/{}/", self.registry.prefix());
        let path = path
            .strip_prefix(&own)
            .map_or_else(|| path.to_owned(), |rest| format!("/v2/{rest}"));
        format!("https://{}{path}", self.host)
    }
}

/// A blob that is taken from another repository (`from=NAME`) comes from this registry's part.
fn with_prefix(query: &str, prefix: &str) -> String {
    query
        .split('&')
        .map(|pair| match pair.strip_prefix("from=") {
            Some(name) => format!("from={prefix}%2F{name}"),
            None => pair.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("&")
}

fn unavailable(error: &dyn std::error::Error) -> Refusal {
    let causes = causes(error);
    Refusal::Failing {
        status: 503,
        reason: format!("the registry behind the front does not answer: {causes}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST_NAME: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

    #[test]
    fn locations_lead_back_to_the_public_host_and_name() {
        let upstream = upstream();
        let registry = Registry::of_host(HOST_NAME).expect("a registry");
        let proxy = Proxy {
            upstream: &upstream,
            base: "http://127.0.0.1:15000",
            registry: &registry,
            host: HOST_NAME,
        };
        let public = format!("https://{HOST_NAME}/v2/web/blobs/uploads/1?_state=x");
        for location in [
            "/v2/123456789012-eu-central-1/web/blobs/uploads/1?_state=x".to_owned(),
            format!(
                "https://{HOST_NAME}/v2/123456789012-eu-central-1/web/blobs/uploads/1?_state=x"
            ),
            "http://127.0.0.1:15000/v2/123456789012-eu-central-1/web/blobs/uploads/1?_state=x"
                .to_owned(),
        ] {
            assert_eq!(proxy.public(&location), public);
        }
    }

    #[test]
    fn a_mount_comes_from_the_same_registry() {
        assert_eq!(
            with_prefix("mount=sha256%3Aab&from=knowledge-repo-dev%2Fweb", "1-eu"),
            "mount=sha256%3Aab&from=1-eu%2Fknowledge-repo-dev%2Fweb"
        );
        assert_eq!(with_prefix("digest=sha256:ab", "1-eu"), "digest=sha256:ab");
    }
}
