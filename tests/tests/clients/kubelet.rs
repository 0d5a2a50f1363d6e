//! The kubelet with the helper as its credential provider.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::person::{Person, Said, front};
use crate::{MAIN, OF_THE_PROVIDER};

/// How long the cluster may take for one thing.
const PATIENCE: Duration = Duration::from_mins(1);

/// A namespace that goes with the test.
struct Namespace(String);

fn kubectl(words: &[&str]) -> Said {
    Said::of(Command::new("kubectl").args(words))
}

impl Namespace {
    fn new() -> Self {
        let namespace = Self(format!("clients-{}", std::process::id()));
        kubectl(&["create", "namespace", &namespace.0]).succeeds();
        // Pods are refused before their service account is there.
        namespace.until("the default service account", || {
            namespace.kubectl(&["get", "serviceaccount", "default"]).ok
        });
        namespace
    }

    fn kubectl(&self, words: &[&str]) -> Said {
        kubectl(&[&["--namespace", &self.0], words].concat())
    }

    fn start(&self, pod: &str, image: &str) {
        let image = format!("--image={image}");
        let words = [
            "run",
            pod,
            &image,
            "--restart=Never",
            "--image-pull-policy=Always",
        ];
        let what = ["--command", "--", "sleep", "600"];
        self.kubectl(&[&words[..], &what].concat()).succeeds();
    }

    fn state(&self, pod: &str) -> String {
        let path =
            "-o=jsonpath={.status.phase} {.status.containerStatuses[0].state.waiting.message}";
        self.kubectl(&["get", "pod", pod, path]).succeeds()
    }

    #[track_caller]
    fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(
                begun.elapsed() < PATIENCE,
                "{what} did not come about in {}",
                self.0
            );
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A test that has failed says why itself.
        let _ = kubectl(&["delete", "namespace", &self.0, "--wait=false"]);
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn a_pod_without_any_pull_secret_pulls_where_the_provider_answers_and_nowhere_else() {
    let _front = front();
    let served = Person::new("provider", OF_THE_PROVIDER);
    let image = served.push("1");
    let unserved = Person::new("no-provider", MAIN);
    let other = unserved.push("1");
    let namespace = Namespace::new();
    namespace.start("served", &image);
    namespace.start("unserved", &other);
    namespace.until("a running pod", || {
        namespace.state("served").starts_with("Running")
    });
    // The provider must not hide what a missing pull secret does.
    namespace.until("a refused pull", || {
        let state = namespace.state("unserved");
        // containerd before its second version gives the registry's answer.
        let words = ["no basic auth credentials", "401 Unauthorized"];
        words.iter().any(|words| state.contains(words))
    });
    let secrets = namespace.kubectl(&["get", "secrets", "--output=name"]);
    assert_eq!(secrets.succeeds(), "");
    let path = "-o=jsonpath={.spec.imagePullSecrets}";
    let of_pod = namespace.kubectl(&["get", "pod", "served", path]);
    assert_eq!(of_pod.succeeds(), "");
}
