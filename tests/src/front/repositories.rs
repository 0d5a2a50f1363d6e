//! Repositories that were asked for. A push asks for its repository a dozen times, and the emulator
//! takes longer to answer than the registry behind.

use std::collections::HashMap;
use std::sync::Mutex;

use super::host::Registry;
use super::images::Repository;
use super::lock;

/// Repositories that are known to be there, until something changes in ECR.
#[derive(Debug, Default)]
pub(super) struct Repositories {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By registry and name.
    all: HashMap<(Registry, String), Repository>,
    /// How often all of it was forgotten.
    edition: u64,
}

/// When the emulator was asked: what it answers may be older than what is known by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edition(u64);

impl Repositories {
    /// A repository that is known to be there, or from when on an answer of the emulator counts.
    pub(super) fn find(&self, registry: &Registry, name: &str) -> Result<Repository, Edition> {
        let known = lock(&self.known);
        let key = (registry.clone(), name.to_owned());
        known.all.get(&key).cloned().ok_or(Edition(known.edition))
    }

    /// Remembers what the emulator said, unless something has changed since it was asked.
    pub(super) fn learn(
        &self,
        asked: Edition,
        registry: &Registry,
        name: &str,
        repository: &Repository,
    ) {
        let mut known = lock(&self.known);
        if asked == Edition(known.edition) {
            let key = (registry.clone(), name.to_owned());
            known.all.insert(key, repository.clone());
        }
    }

    /// Something changed in ECR.
    pub(super) fn forget(&self) {
        let mut known = lock(&self.known);
        known.all.clear();
        known.edition += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_overtaken_by_a_change_is_not_believed() {
        let registry = Registry {
            account: "123456789012".to_owned(),
            region: "eu-central-1".to_owned(),
        };
        let repositories = Repositories::default();
        let find = || repositories.find(&registry, "web");
        let learn = |asked| repositories.learn(asked, &registry, "web", &Repository::default());
        let before = find().unwrap_err();
        repositories.forget();
        learn(before);
        let now = find().unwrap_err();
        learn(now);
        assert!(find().is_ok());
        assert!(repositories.find(&registry, "api").is_err());
        repositories.forget();
        assert!(find().is_err());
    }
}
