//! Two personal workspaces of one environment, each with a cluster of its own.

use std::path::Path;
use std::thread;

use hybrid_tests::sandbox::endpoints::{PROJECT, WORKSPACE};
use serde_json::Value;

use super::folder::{Folder, kubectl};
use super::laptop::Laptop;
use hybrid_tests::bucket::{object, state, state_key, states};
use hybrid_tests::said::{Said, text};

const WORKSPACES: [&str; 2] = ["dev-laptop1", "dev-laptop2"];

/// Destroys and deletes what a failed test would leave behind.
struct Personal {
    folder: Folder,
    workspace: &'static str,
    laptop: Laptop,
}

impl Personal {
    /// On a laptop of its own, from a folder of its own.
    fn new(workspace: &'static str, laptop: Laptop) -> Self {
        let folder = Folder::of_the_sandbox();
        folder.write("laptop.auto.tfvars", &laptop.values());
        Self {
            folder,
            workspace,
            laptop,
        }
    }

    /// Names the workspace with each command: what is destroyed must never be another one.
    fn run(&self, workspace: &str, arguments: &[&str]) -> Said {
        let mut command = self.folder.command(arguments);
        Said::of(command.env("TF_WORKSPACE", workspace))
    }

    fn apply(&self) {
        // It is there when a run before this one was killed.
        let select = ["workspace", "select", "-no-color", "-or-create"];
        let select = [&select[..], &[self.workspace]].concat();
        self.folder.run(&select).succeeds();
        let apply = ["apply", "-no-color", "-auto-approve"];
        self.run(self.workspace, &apply).succeeds();
    }

    fn destroy(&self) -> [Said; 2] {
        let destroy = ["destroy", "-no-color", "-auto-approve"];
        let delete = ["workspace", "delete", "-no-color", self.workspace];
        [
            self.run(self.workspace, &destroy),
            self.run(WORKSPACE, &delete),
        ]
    }

    fn namespace(&self) -> String {
        format!("{PROJECT}-{}", self.workspace)
    }

    fn kubeconfig(&self) -> std::path::PathBuf {
        self.laptop.kubeconfig()
    }
}

impl Drop for Personal {
    fn drop(&mut self) {
        if thread::panicking() {
            // The test has failed already, and says why.
            drop(self.destroy());
        }
    }
}

/// Both at once, as on two laptops.
fn both(all: &[Personal; 2], work: impl Fn(&Personal) + Sync) {
    thread::scope(|scope| {
        for one in all {
            scope.spawn(|| work(one));
        }
    });
}

/// The types of what a state manages.
fn managed(state: &Value) -> Vec<&str> {
    let resources = state["resources"].as_array().unwrap();
    resources
        .iter()
        .filter(|resource| resource["mode"] == "managed")
        .map(|resource| text(&resource["type"]))
        .collect()
}

fn namespaces(kubeconfig: &Path) -> Vec<String> {
    let names = kubectl(kubeconfig, &["get", "namespaces", "--output=name"]);
    names.lines().map(str::to_owned).collect()
}

#[test]
#[ignore = "needs the sandbox"]
fn two_laptops_share_the_registry_of_the_environment_and_nothing_else() {
    let environment = object(&states(), &state_key(WORKSPACE), None);
    let of_dev = state(WORKSPACE)["outputs"]["hybrid"]["value"].clone();
    let [first, second] = WORKSPACES;
    let laptops = [
        Personal::new(first, Laptop::one()),
        Personal::new(second, Laptop::two()),
    ];
    both(&laptops, Personal::apply);

    for (one, other) in [(&laptops[0], &laptops[1]), (&laptops[1], &laptops[0])] {
        let state = state(one.workspace);
        let contract = &state["outputs"]["hybrid"]["value"];
        assert_eq!(contract["environment"], WORKSPACE);
        assert_eq!(contract["workspace"], one.workspace);
        assert_eq!(contract["aws"], of_dev["aws"]);
        assert_eq!(text(&contract["cluster"]["namespace"]), one.namespace());
        let repository = "repository_url";
        let ours = &contract["services"]["web"][repository];
        assert_eq!(ours, &of_dev["services"]["web"][repository]);

        let managed = managed(&state);
        assert!(managed.contains(&"kubernetes_deployment_v1"), "{managed:?}");
        let of_aws: Vec<_> = managed.iter().filter(|it| it.starts_with("aws_")).collect();
        assert!(of_aws.is_empty(), "{of_aws:?} belong to the environment");
        assert!(!state.to_string().contains(&other.namespace()));

        let there = namespaces(&one.kubeconfig());
        let name = |of: &Personal| format!("namespace/{}", of.namespace());
        assert!(there.contains(&name(one)), "{there:?}");
        assert!(!there.contains(&name(other)), "{there:?}");
    }
    // What the other has done since is nothing to take back.
    both(&laptops, |one| one.folder.assert_plan_is_empty());

    both(&laptops, |one| {
        for said in one.destroy() {
            said.succeeds();
        }
    });
    for one in &laptops {
        assert_eq!(object(&states(), &state_key(one.workspace), None), None);
        let there = namespaces(&one.kubeconfig());
        let name = format!("namespace/{}", one.namespace());
        assert!(!there.contains(&name), "{there:?}");
    }
    assert!(object(&states(), &state_key(WORKSPACE), None) == environment);
}
