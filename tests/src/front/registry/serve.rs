//! One request to a registry: who asks, may they, is it there, and then the real registry.

use std::time::Instant;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::fault::Call;
use super::super::host::Registry;
use super::super::images::{Images, Reference, Repository};
use super::super::operation::header;
use super::super::server::Hangup;
use super::super::state::{Seen, State};
use super::super::token;
use super::super::tokens::Issued;
use super::proxy::{Answer, Body, Proxy, Upstream};
use super::push::{self, emulator};
use super::refusal::{API_VERSION, Refusal};
use super::route::{Called, Route};

/// Answers one request.
pub(in super::super) async fn answer(
    state: &State,
    upstream: &Upstream,
    request: Request<Incoming>,
) -> Result<Answer, Hangup> {
    let (head, body) = request.into_parts();
    let host = header(&head.headers, HOST.as_str()).unwrap_or_default();
    let with_body = head.method != Method::HEAD;
    let (Some(registry), Some((route, called))) = (
        Registry::of_host(&host),
        Route::of(head.uri.path()).and_then(|route| {
            let called = route.called(&head.method)?;
            Some((route, called))
        }),
    ) else {
        return Ok(Refusal::Unsupported.answer(&host, with_body));
    };
    let visit = Visit {
        state,
        upstream,
        head: &head,
        host: &host,
        registry: &registry,
        called,
    };
    let (started, at) = (Instant::now(), Timestamp::now());
    let (principal, done) = visit.admit(route, body).await;
    let answer = match done {
        Ok(answer) => Ok(answer),
        Err(Some(refusal)) => Ok(refusal.answer(&host, with_body)),
        Err(None) => Err(Hangup),
    };
    let status = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
    // The probe without credentials is how every client begins.
    if status == 0 || (status >= 400 && status != 404 && principal.is_some()) {
        state.log(&format!(
            "registry:{} {registry}{} {status}",
            called.call,
            head.uri.path()
        ));
    }
    state.saw(Seen {
        at,
        call: format!("registry:{}", called.call),
        request: format!("{} {registry}{}", head.method, head.uri.path()),
        by: principal.unwrap_or_default(),
        status,
        milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    answer
}

/// One request on its way through.
struct Visit<'a> {
    state: &'a State,
    upstream: &'a Upstream,
    head: &'a Parts,
    host: &'a str,
    registry: &'a Registry,
    called: Called,
}

impl Visit<'_> {
    /// Lets it in and serves it; the principal comes along for the record. No refusal is a
    /// connection that ends.
    async fn admit(
        &self,
        route: Route,
        body: Incoming,
    ) -> (Option<String>, Result<Answer, Option<Refusal>>) {
        let login = self.login();
        let principal = match &login {
            Some(Ok(token)) => Some(token.caller.principal.clone()),
            Some(Err(_)) => Some("a wrong or dead token".to_owned()),
            None => None,
        };
        // Faults and counts are for calls with credentials; the probe before is not a call of its
        // own, but a ping is.
        if login.is_some() || route == Route::Base {
            let met = self.meet(principal.as_deref(), &route).await;
            if let Err(refusal) = met {
                return (principal, Err(refusal));
            }
        }
        let done = match login {
            None => Err(Refusal::NotAuthorized),
            Some(Err(refusal)) => Err(refusal),
            Some(Ok(token)) => self.serve(&token, route, body).await,
        };
        (principal, done.map_err(Some))
    }

    /// The token that was shown; none when none was.
    fn login(&self) -> Option<Result<Issued, Refusal>> {
        let shown = header(&self.head.headers, AUTHORIZATION.as_str())?;
        Some(match token::from_basic(&shown) {
            Some((user, password)) if user == token::USER => {
                match self.state.tokens.recognise(&password) {
                    // What is of another region reads the same as what is too old.
                    Some(token) if !token.is_alive() || token.region != self.registry.region => {
                        Err(Refusal::ExpiredToken)
                    }
                    Some(token) => Ok(token),
                    None if password.has_the_shape() => Err(Refusal::InvalidToken),
                    None => Err(Refusal::NotAuthorized),
                }
            }
            _ => Err(Refusal::NotAuthorized),
        })
    }

    fn resource(&self, route: &Route) -> String {
        route
            .name()
            .map_or_else(|| "*".to_owned(), |name| self.registry.arn(name))
    }

    async fn meet(&self, principal: Option<&str>, route: &Route) -> Result<(), Option<Refusal>> {
        let call = Call {
            service: "registry",
            action: self.called.call,
            groups: self.called.groups,
        };
        let (delay, failure) = self.state.faults.meet(&call);
        if !delay.is_zero() {
            // The delay itself is what was asked for.
            tokio::time::sleep(delay).await;
        }
        match failure {
            None => Ok(()),
            Some(failure) => Err(Refusal::planned(
                &failure,
                principal.unwrap_or("anonymous"),
                self.called.action.unwrap_or("ecr:GetAuthorizationToken"),
                &self.resource(route),
            )),
        }
    }

    async fn serve(&self, token: &Issued, route: Route, body: Incoming) -> Result<Answer, Refusal> {
        let state = self.state;
        state.make_sure().await.map_err(|error| emulator(&error))?;
        if let Some(action) = self.called.action {
            let principal = &token.caller.principal;
            let resource = self.resource(&route);
            let allowed = state
                .permissions
                .allow(&state.moto, principal, action, &resource)
                .await;
            if !state.noting(allowed).map_err(|error| emulator(&error))? {
                return Err(Refusal::Denied {
                    principal: principal.clone(),
                    action: action.to_owned(),
                    resource,
                });
            }
        }
        let images = Images {
            state,
            registry: self.registry,
        };
        let proxy = Proxy {
            upstream: self.upstream,
            base: &state.registry,
            registry: self.registry,
            host: self.host,
        };
        match route {
            Route::Base => Ok(json_answer(&json!({}))),
            Route::Catalog => {
                let names = images
                    .repositories()
                    .await
                    .map_err(|error| emulator(&error))?;
                Ok(json_answer(&json!({ "repositories": names })))
            }
            Route::Tags { name } => {
                self.repository(images, &name).await?;
                let tags = images.tags(&name).await.map_err(|error| emulator(&error))?;
                Ok(json_answer(&json!({ "name": name, "tags": tags })))
            }
            Route::Manifest { name, reference } => {
                let repository = self.repository(images, &name).await?;
                if self.head.method == Method::PUT {
                    let known = (name.as_str(), &repository);
                    return push::manifest(images, &proxy, self.head, known, &reference, body)
                        .await;
                }
                let digest = images
                    .digest(&name, Reference::of(&reference))
                    .await
                    .map_err(|error| emulator(&error))?
                    .ok_or(Refusal::NoImage)?;
                let path = format!("{name}/manifests/{digest}");
                proxy.send(self.head, &path, body.boxed()).await
            }
            Route::Blob { name } | Route::Upload { name } | Route::Referrers { name } => {
                // An upload that was begun is known to the real registry alone.
                if !matches!(
                    self.called.call,
                    "UploadPart" | "FinishUpload" | "UploadStatus"
                ) {
                    self.repository(images, &name).await?;
                }
                let path = self.head.uri.path().trim_start_matches("/v2/").to_owned();
                proxy.send(self.head, &path, body.boxed()).await
            }
        }
    }

    async fn repository(&self, images: Images<'_>, name: &str) -> Result<Repository, Refusal> {
        images
            .repository(name)
            .await
            .map_err(|error| emulator(&error))?
            .ok_or_else(|| Refusal::no_repository(self.registry, name))
    }
}

fn json_answer(value: &Value) -> Answer {
    let body: Body = Full::from(value.to_string())
        .map_err(|never| match never {})
        .boxed();
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    let (name, version) = API_VERSION;
    headers.insert(name, version);
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    answer
}
