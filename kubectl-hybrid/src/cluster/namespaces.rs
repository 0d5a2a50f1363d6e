//! Which namespaces are meant: by name, by glob, by label, or all.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{ListParams, PartialObjectMeta};

use super::patience::patiently;
use super::{Cluster, ClusterError, PAGE};

/// A namespace as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// Whether it is being deleted.
    pub ending: bool,
}

/// The namespaces that somebody means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Full names: they are meant whether they exist or not.
    names: BTreeSet<String>,
    /// Names with `*` or `?` in them.
    globs: Vec<String>,
    /// A label query.
    selector: Option<String>,
    /// All of them.
    all: bool,
    /// Names and globs that are not meant, whatever else says so.
    except: Vec<String>,
}

impl Scope {
    /// These names and globs.
    pub fn of(patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let (globs, names): (Vec<_>, Vec<_>) = patterns
            .into_iter()
            .map(Into::into)
            .partition(|pattern: &String| pattern.contains(['*', '?']));
        Self {
            names: names.into_iter().collect(),
            globs,
            ..Self::default()
        }
    }

    /// And those with these labels.
    #[must_use]
    pub fn selecting(mut self, selector: Option<String>) -> Self {
        self.selector = selector;
        self
    }

    /// And all others, when `all`.
    #[must_use]
    pub fn all(mut self, all: bool) -> Self {
        self.all = all;
        self
    }

    /// But none of these names and globs.
    #[must_use]
    pub fn except(mut self, except: Vec<String>) -> Self {
        self.except = except;
        self
    }

    /// Whether nothing is meant.
    pub fn is_empty(&self) -> bool {
        *self
            == Self {
                except: self.except.clone(),
                ..Self::default()
            }
    }

    /// The names that are given in full.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names
            .iter()
            .map(String::as_str)
            .filter(|name| !self.excludes(name))
    }

    /// Whether the cluster has to be asked which namespaces there are.
    pub fn is_open(&self) -> bool {
        self.is_open_by_name() || self.selector.is_some()
    }

    /// Whether names decide, beside those that are given in full.
    pub fn is_open_by_name(&self) -> bool {
        self.all || !self.globs.is_empty()
    }

    /// The label query, if there is one.
    pub fn selector(&self) -> Option<&str> {
        self.selector.as_deref()
    }

    /// Whether a namespace is meant by its name. One that is meant by its labels is found only by
    /// asking for [`Self::selector`].
    pub fn includes(&self, name: &str) -> bool {
        !self.excludes(name)
            && (self.all
                || self.names.contains(name)
                || self.globs.iter().any(|glob| fits(glob, name)))
    }

    /// Whether a namespace is left out.
    pub fn excludes(&self, name: &str) -> bool {
        self.except.iter().any(|pattern| fits(pattern, name))
    }

    /// The namespaces that are meant. Those given in full are there without being asked for; of
    /// the others those that are being deleted are left out.
    ///
    /// # Errors
    /// When the API server does not list its namespaces.
    pub async fn resolve(&self, cluster: &Cluster) -> Result<BTreeSet<String>, ClusterError> {
        let mut found: BTreeSet<String> = self.names().map(str::to_owned).collect();
        if self.all || !self.globs.is_empty() {
            let there = list(cluster, None).await?;
            let meant = there.into_iter().filter(|seen| !seen.ending);
            found.extend(
                meant
                    .map(|seen| seen.name)
                    .filter(|name| self.includes(name)),
            );
        }
        if let Some(selector) = self.selector.as_deref().filter(|_| !self.all) {
            let there = list(cluster, Some(selector)).await?;
            let meant = there.into_iter().filter(|seen| !seen.ending);
            found.extend(
                meant
                    .map(|seen| seen.name)
                    .filter(|name| !self.excludes(name)),
            );
        }
        Ok(found)
    }
}

/// The namespaces of the cluster, or those with these labels. Only their metadata is read.
///
/// # Errors
/// When the API server does not list them.
pub async fn list(cluster: &Cluster, selector: Option<&str>) -> Result<Vec<Seen>, ClusterError> {
    let api: Api<Namespace> = Api::all(cluster.client());
    let mut params = ListParams::default().limit(PAGE);
    if let Some(selector) = selector {
        params = params.labels(selector);
    }
    let mut found = Vec::new();
    loop {
        let page = patiently(|| async {
            api.list_metadata(&params)
                .await
                .map_err(|error| cluster.explain("list the namespaces", &error))
        })
        .await?;
        found.extend(page.items.iter().map(Seen::of));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(found),
        }
    }
}

impl Seen {
    /// Reads the metadata.
    pub fn of(namespace: &PartialObjectMeta<Namespace>) -> Self {
        Self {
            name: namespace.metadata.name.clone().unwrap_or_default(),
            ending: namespace.metadata.deletion_timestamp.is_some(),
        }
    }
}

/// Whether a name fits a pattern in which `*` stands for any text and `?` for one character.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // Where to go on when what follows the last star does not fit.
    let mut retry: Option<(usize, usize)> = None;
    while seen < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                retry = Some((at + 1, seen));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match retry {
                Some((after, from)) => {
                    retry = Some((after, from + 1));
                    at = after;
                    seen = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fake;

    #[test]
    fn a_glob_stands_for_names() {
        let table = [
            ("shop", "shop", true),
            ("shop", "shop-dev", false),
            ("shop-*", "shop-dev", true),
            ("shop-*", "shop", false),
            ("*-dev", "shop-dev", true),
            ("*-dev", "shop-dev2", false),
            ("s*p-d*v", "shop-dev", true),
            ("shop-?", "shop-1", true),
            ("shop-?", "shop-12", false),
            ("*", "anything", true),
            ("", "x", false),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(fits(pattern, name), expected, "{pattern} and {name}");
        }
        assert!(!fits(&"*a".repeat(40), &"a".repeat(39)));
    }

    #[test]
    fn what_is_excepted_is_left_out_whatever_names_it() {
        let scope = Scope::of(["shop", "team-*"]).except(vec!["team-x*".to_owned()]);
        assert!(scope.includes("shop") && scope.includes("team-a"));
        assert!(!scope.includes("team-x1") && !scope.includes("other"));
        assert!(scope.is_open() && !Scope::of(["shop"]).is_open());
        assert!(Scope::default().except(vec!["x".to_owned()]).is_empty());
    }

    #[tokio::test]
    async fn names_globs_and_labels_come_together_and_ending_ones_are_left_out() {
        let cluster = fake::cluster(|request| {
            let item = |name: &str, ending: bool| {
                let at = ending.then_some("2026-11-23T10:00:00Z");
                json!({ "metadata": { "name": name, "deletionTimestamp": at } })
            };
            let items = if request.query.contains("labelSelector=team%3Da") {
                vec![item("labelled", false), item("kube-system", false)]
            } else {
                vec![
                    item("team-1", false),
                    item("team-2", true),
                    item("other", false),
                ]
            };
            fake::ok(json!({ "metadata": {}, "items": items }))
        });
        let scope = Scope::of(["named", "team-*"])
            .selecting(Some("team=a".to_owned()))
            .except(vec!["kube-*".to_owned()]);
        let found = scope.resolve(&cluster).await.unwrap();
        assert_eq!(Vec::from_iter(found), ["labelled", "named", "team-1"]);
    }
}
