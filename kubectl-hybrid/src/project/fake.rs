//! A project for tests.

use super::contract::{TagMutability, WorkloadKind};
use super::{Project, Service};
use crate::cluster::WorkloadRef;
use crate::registry::fake::HOST;

/// The service `web` of the project `shop`, without sources.
pub(crate) fn service(tag_mutability: TagMutability) -> Service {
    Service {
        name: "web".to_owned(),
        repository: "shop/web".to_owned(),
        repository_url: format!("{HOST}/shop/web"),
        tag_mutability,
        workload: WorkloadRef {
            kind: WorkloadKind::Deployment,
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
        },
        container: "web".to_owned(),
        claimed: Vec::new(),
        port: None,
        build: None,
    }
}

/// The project `shop` with one service.
pub(crate) fn project(workspace: &str, service: Service) -> Project {
    Project {
        name: "shop".to_owned(),
        workspace: workspace.to_owned(),
        environment: "dev".to_owned(),
        registry: ecr_hybrid::host::Registry::parse(HOST).unwrap(),
        account: "123456789012".to_owned(),
        region: "eu-central-1".to_owned(),
        pull_role_arn: None,
        namespace: "shop".to_owned(),
        pull_secret: "regcred".to_owned(),
        service_account: "default".to_owned(),
        contexts: Vec::new(),
        services: vec![service],
    }
}
