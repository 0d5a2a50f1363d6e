//! A configuration that is not the project's own, with the same output.

use std::fs;
use std::process::Command;

use hybrid_tests::source_tree;

use super::folder::{Folder, kubectl, variable};
use hybrid_tests::bucket::{object, states};
use hybrid_tests::said::Said;

const NAMESPACE: &str = "shop-dev";

/// Removes what the test has made, whether it went well or not.
struct Shop(Folder);

impl Shop {
    /// The tool, in the folder of the example.
    fn hybrid(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new("kubectl");
        command
            .arg("hybrid")
            .args(arguments)
            .current_dir(self.0.above().join("shop"))
            // The example says itself where its configuration is.
            .env_remove("HYBRID_TERRAFORM_DIR")
            .env_remove("TF_DATA_DIR");
        Said::of(&mut command)
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let destroyed = self.0.run(&["destroy", "-no-color", "-auto-approve"]);
        let mut command = Command::new("kubectl");
        command.args(["delete", "namespace", NAMESPACE, "--ignore-not-found"]);
        drop(command.arg("--wait=false").output());
        if !std::thread::panicking() {
            destroyed.succeeds();
        }
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn a_configuration_of_ones_own_is_deployed_and_left_alone() {
    let example = source_tree().join("examples/own-terraform");
    let folder = Folder::copied(&example.join("terraform"), "shop/terraform");
    let top = folder.above().join("shop");
    super::folder::copy(&example, &top, &|name| name != "terraform");
    let shop = Shop(folder);
    let bucket = format!("-backend-config=bucket={}", states());
    shop.0.run(&["init", "-no-color", &bucket]).succeeds();
    // It is there when a run before this one has made it.
    let select = ["workspace", "select", "-no-color", "-or-create", "dev"];
    shop.0.run(&select).succeeds();
    let apply = ["apply", "-no-color", "-auto-approve"];
    shop.0.run(&apply).succeeds();
    let manifests = top.join("kubernetes.yaml");
    let manifests = format!("--filename={}", manifests.display());
    kubectl(&variable("KUBECONFIG"), &["apply", &manifests]);

    let deployed = shop.hybrid(&["deploy", "--output=json"]).succeeds().json();
    assert_eq!(deployed["services"][0]["name"], "web", "{deployed}");
    let jsonpath = "--output=jsonpath={.spec.template.spec.containers[0].image}";
    let image = kubectl(
        &variable("KUBECONFIG"),
        &["--namespace", NAMESPACE, "get", "deployment/web", jsonpath],
    );
    assert!(image.contains("/shop-dev/web@sha256:"), "{image}");
    shop.0.assert_plan_is_empty();

    let key = "env:/dev/shop/terraform.tfstate";
    let state = object(&states(), key, None).expect("a state");
    let secret = fs::read_to_string(top.join("kubernetes.yaml")).unwrap();
    assert!(!secret.contains("kind: Secret"), "the tool owns it");
    assert!(!String::from_utf8_lossy(&state).contains("authorization_token"));
}
