//! ECR's API with canned answers, for what the real one does not show on demand.

use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use serde_json::Value;

use super::Registry;

pub(crate) const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

type Answer = dyn Fn(&str, &Value) -> (u16, Value) + Send + Sync;

/// Answers each action by a function, and remembers what was asked.
#[derive(Clone)]
pub(crate) struct Fake {
    answer: Arc<Answer>,
    /// Actions and their bodies.
    pub(crate) asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fake")
    }
}

impl HttpConnector for Fake {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let action = target.rsplit('.').next().unwrap().to_owned();
        let body = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let (status, answer) = (self.answer)(&action, &body);
        self.asked.lock().unwrap().push((action, body));
        let response = HttpResponse::new(status.try_into().unwrap(), answer.to_string().into());
        HttpConnectorFuture::ready(Ok(response))
    }
}

impl HttpClient for Fake {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// A registry whose every request goes to `answer`: action and body, to status and body.
pub(crate) fn registry(
    answer: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static,
) -> (Registry, Fake) {
    let fake = Fake {
        answer: Arc::new(answer),
        asked: Arc::default(),
    };
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
        .http_client(fake.clone())
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .build();
    (Registry::new(&config, "123456789012", HOST), fake)
}
