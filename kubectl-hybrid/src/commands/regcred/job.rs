//! What is wanted: which logins, in which secret, in which namespaces.

use ecr_hybrid::host::Registry;

use crate::cli::{Keeping, Places};
use crate::cluster::namespaces::Scope;
use crate::project::Project;

/// What is wanted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Job {
    /// The name of the pull secret.
    pub(super) secret: String,
    /// The logins that it shall hold. Never empty: the contract's registry comes first.
    pub(super) logins: Vec<Wanted>,
    /// Where.
    pub(super) namespaces: Scope,
    /// Service accounts that shall name the secret.
    pub(super) accounts: Vec<String>,
    /// Whether pods that wait for credentials are recreated.
    pub(super) unstick: bool,
    /// Whether a new token is wanted even where the old one looks alive.
    pub(super) force: bool,
}

/// A login, and the role that it is minted through.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) registry: Registry,
    /// The pull-only role, when the contract names one for this account.
    pub(super) role: Option<String>,
}

impl Job {
    /// The secret of the contract, in the namespaces of its workloads.
    pub(crate) fn of(project: &Project) -> Self {
        Self {
            secret: project.pull_secret.clone(),
            logins: vec![Wanted::of(project, project.registry.clone())],
            namespaces: Scope::of(project.namespaces()),
            accounts: Vec::new(),
            unstick: true,
            force: false,
        }
    }

    /// The same, as the flags want it.
    pub(super) fn with(project: &Project, flags: &Keeping) -> Self {
        let mut job = Self::of(project);
        for registry in &flags.registries {
            let known = job
                .logins
                .iter()
                .any(|wanted| wanted.registry.host() == registry.host());
            if !known {
                job.logins.push(Wanted::of(project, registry.clone()));
            }
        }
        if let Some(secret) = &flags.secret {
            job.secret.clone_from(secret);
        }
        job.namespaces = scope(project, &flags.places);
        job.accounts.clone_from(&flags.service_accounts);
        job.unstick = !flags.no_unstick;
        job
    }

    /// The same for some namespaces alone.
    pub(super) fn at(&self, namespaces: Vec<String>) -> Self {
        Self {
            namespaces: Scope::of(namespaces),
            ..self.clone()
        }
    }

    /// The hosts of the registries.
    pub(super) fn hosts(&self) -> Vec<&str> {
        self.logins
            .iter()
            .map(|wanted| wanted.registry.host())
            .collect()
    }
}

impl Wanted {
    fn of(project: &Project, registry: Registry) -> Self {
        // The role belongs to the contract's account; it says nothing about others.
        let role = project
            .pull_role_arn
            .clone()
            .filter(|_| registry.account() == Some(project.account.as_str()));
        Self { registry, role }
    }
}

/// The namespaces that the flags mean: those of the contract when they mean none.
pub(super) fn scope(project: &Project, places: &Places) -> Scope {
    let scope = Scope::of(&places.namespaces)
        .selecting(places.selector.clone())
        .all(places.all);
    let scope = if scope.is_empty() {
        Scope::of(project.namespaces())
    } else {
        scope
    };
    scope.except(places.exclude.clone())
}
