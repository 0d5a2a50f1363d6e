//! Many namespaces in the cluster, for as long as something is measured in them.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{BenchError, process};

/// Programs that make namespaces at a time: kubectl makes one after the other.
const AT_A_TIME: usize = 4;
/// How long the cluster may take to furnish or to remove all of them.
const PATIENCE: Duration = Duration::from_mins(5);
const PAUSE: Duration = Duration::from_millis(500);
/// What the cluster puts into a new namespace: as long as it is at that, it is not at rest.
const FURNITURE: [(&str, &str); 2] = [
    ("serviceaccounts", "default"),
    ("configmaps", "kube-root-ca.crt"),
];

/// The namespaces. They are deleted when this value is dropped.
pub(super) struct Namespaces {
    names: Vec<String>,
    label: String,
}

impl Namespaces {
    /// Makes so many, and waits until the cluster is at rest again.
    pub(super) fn made(count: u32) -> Result<Self, BenchError> {
        let own = std::process::id();
        let made = Self {
            names: (1..=count)
                .map(|number| format!("bench-{own}-{number}"))
                .collect(),
            label: format!("hybrid-bench={own}"),
        };
        made.create()?;
        made.wait_for_furniture()?;
        Ok(made)
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The label query that finds them and no others.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Deletes them and waits until they are gone, so that their end disturbs nothing else. Says
    /// how many the cluster still had when patience ended.
    pub(super) fn remove(self) -> Result<usize, BenchError> {
        let what = "The removal of the namespaces";
        let label = self.label.clone();
        // Dropping it deletes them.
        drop(self);
        let begun = Instant::now();
        loop {
            let left = words(what, &["get", "namespaces", "-l", &label, "-o=name"])?.len();
            if left == 0 || begun.elapsed() > PATIENCE {
                return Ok(left);
            }
            thread::sleep(PAUSE);
        }
    }

    fn create(&self) -> Result<(), BenchError> {
        let what = "The making of the namespaces";
        let each = self.names.len().div_ceil(AT_A_TIME).max(1);
        thread::scope(|scope| {
            let all: Vec<_> = self
                .names
                .chunks(each)
                .map(|names| {
                    let list = self.list(names).to_string();
                    scope.spawn(move || {
                        let mut command = Command::new("kubectl");
                        command.args(["create", "-f", "-"]);
                        process::run(what, &mut command, list.as_bytes())?.expecting(what, 0)
                    })
                })
                .collect();
            all.into_iter().try_for_each(|thread| {
                thread.join().map_or_else(
                    |_| {
                        Err(BenchError::Wrong {
                            what: what.to_owned(),
                            why: "broke off".to_owned(),
                        })
                    },
                    |ended| ended.map(drop),
                )
            })
        })
    }

    fn list(&self, names: &[String]) -> Value {
        let (key, value) = self.label.split_once('=').unwrap_or_default();
        let items: Vec<Value> = names
            .iter()
            .map(|name| {
                json!({ "apiVersion": "v1", "kind": "Namespace",
                    "metadata": { "name": name, "labels": { key: value } } })
            })
            .collect();
        json!({ "apiVersion": "v1", "kind": "List", "items": items })
    }

    fn wait_for_furniture(&self) -> Result<(), BenchError> {
        let what = "The furnishing of the namespaces";
        let prefix = format!("bench-{}-", std::process::id());
        let begun = Instant::now();
        for (kind, name) in FURNITURE {
            let field = format!("--field-selector=metadata.name={name}");
            let path = "-o=jsonpath={.items[*].metadata.namespace}";
            loop {
                let found = words(what, &["get", kind, "-A", &field, path])?;
                let ours = found.iter().filter(|it| it.starts_with(&prefix)).count();
                if ours == self.names.len() {
                    break;
                }
                if begun.elapsed() > PATIENCE {
                    return Err(BenchError::Wrong {
                        what: what.to_owned(),
                        why: format!("ended with {ours} of {} {kind}", self.names.len()),
                    });
                }
                thread::sleep(PAUSE);
            }
        }
        Ok(())
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        let mut command = Command::new("kubectl");
        command
            .args(["delete", "namespace", "--wait=false", "-l", &self.label])
            .stdin(Stdio::null());
        // What is left of them is seen by whoever waits for their end.
        drop(command.output());
    }
}

/// What kubectl answers, word by word.
fn words(what: &str, arguments: &[&str]) -> Result<Vec<String>, BenchError> {
    let mut command = Command::new("kubectl");
    let finished = process::run(what, command.args(arguments), b"")?.expecting(what, 0)?;
    let text = String::from_utf8_lossy(&finished.stdout).into_owned();
    Ok(text.split_whitespace().map(str::to_owned).collect())
}
