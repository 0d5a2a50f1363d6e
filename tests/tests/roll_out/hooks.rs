//! Hooks around a deploy that is all or none, and the plugin that a hook starts.

use std::fs;

use hybrid_tests::said::{list, text};
use serde_json::Value;

use super::deployed::{
    NAMESPACE, Project, assert_web_shows, image_of, in_the_registry, kubectl_json,
};

/// What the contract calls it.
const PROJECT: &str = "knowledge-repo";
/// Each says that it ran. The last ones start the plugin: from another folder, and
/// with variables that are read as flags.
const HOOKS: &str = r#"
[hooks]
before_build = ["echo before_build >> ran"]
after_build = ["echo after_build >> ran"]
before_deploy = ["echo before_deploy >> ran"]
after_deploy = [
    "echo after_deploy >> ran",
    "cd / && kubectl hybrid status --output=json > \"$OLDPWD/status.json\"",
    "unset TF_DATA_DIR HYBRID_TERRAFORM_DIR HYBRID_WORKSPACE; kubectl hybrid init new --yes --until=files --region=eu-central-1",
]
"#;

fn ran(project: &Project) -> Vec<String> {
    let file = project.path("ran");
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
#[ignore = "needs the sandbox"]
fn a_failed_atomic_deploy_ran_the_hooks_before_it_and_a_hook_may_start_the_plugin() {
    let project = Project::deployed();
    // A file that names no project: the contract does.
    let file = project.path("hybrid.toml");
    let config = fs::read_to_string(&file).unwrap();
    let config: Vec<&str> = config
        .lines()
        .filter(|line| !line.starts_with("project ="))
        .collect();
    fs::write(&file, config.join("\n") + HOOKS).unwrap();
    let (web, search) = (image_of("web"), image_of("search"));
    let page = project.change_web();
    let dockerfile = project.path("search/Dockerfile");
    let good = fs::read_to_string(&dockerfile).unwrap();
    let broken = good.replace("CMD [\"httpd\"", "CMD [\"/no/such/command\"");
    assert_ne!(broken, good);
    // Of its own, so that the registry does not have it from another time.
    let broken = format!("{broken}# {page}\n");
    fs::write(&dockerfile, broken).unwrap();

    let shown = project.hybrid(&["deploy", "--dry-run", "--output=json"]);
    let plan = &shown.succeeds().json()["plan"];
    let hooks = list(&plan["hooks"]).iter();
    let hooks: Vec<_> = hooks
        .map(|hook| (text(&hook["moment"]), hook["runs"].as_bool()))
        .collect();
    let after = ("after_deploy", None);
    let before = ["before_build", "after_build", "before_deploy"].map(|it| (it, Some(true)));
    assert_eq!(hooks, [&before[..], &[after, after, after]].concat());
    assert_eq!(plan["complete"], Value::Bool(false));
    assert!(!project.path("ran").exists());

    let sentence = project.hybrid(&["deploy", "--atomic"]).fails(7);
    assert!(sentence.contains("deployment/search"), "{sentence}");
    assert_eq!(
        ran(&project),
        ["before_build", "after_build", "before_deploy"]
    );
    assert_eq!((image_of("web"), image_of("search")), (web, search));

    fs::write(&dockerfile, good).unwrap();
    project.hybrid(&["deploy", "--atomic"]).succeeds();
    // The image of `web` is in the registry since the first try, so that nothing was built.
    assert_eq!(
        ran(&project),
        ["before_build", "before_deploy", "after_deploy"]
    );
    assert_web_shows(&page);

    let status = fs::read_to_string(project.path("status.json")).unwrap();
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(text(&status["namespace"]), NAMESPACE);
    assert_eq!(list(&status["services"]).len(), 3);
    let read = |path: &str| fs::read_to_string(project.path(path)).unwrap();
    let config = read("new/hybrid.toml");
    assert!(
        config.contains(&format!("project = \"{PROJECT}\"")),
        "{config}"
    );
    let variables = read("new/terraform/environments/dev.tfvars");
    for service in ["api", "search", "web"] {
        let is_there = |line: &str| line.trim().starts_with(&format!("{service} "));
        assert!(variables.lines().any(is_there), "{variables}");
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn all_or_none_is_refused_where_there_is_no_way_back() {
    let project = Project::deployed();
    project.change_web();
    let written = || {
        let secret = kubectl_json(&["get", "secret", "regcred"]);
        (
            text(&secret["metadata"]["resourceVersion"]).to_owned(),
            image_of("web"),
            in_the_registry("web"),
        )
    };
    let before = written();
    let sentence = project
        .hybrid(&["deploy", "--atomic", "--strategy=restart"])
        .fails(2);
    assert_eq!(
        sentence,
        "--atomic needs --strategy digest: a tag that was moved leads back to nothing"
    );
    assert_eq!(written(), before);
}

#[test]
#[ignore = "needs the sandbox"]
fn a_hook_that_fails_at_the_end_does_not_hide_what_was_done() {
    let project = Project::deployed();
    let file = project.path("hybrid.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, config + "[hooks]\nafter_deploy = [\"exit 3\"]\n").unwrap();
    let page = project.change_web();
    let done = project.hybrid(&["deploy", "web", "--output=json"]);
    let sentence = done.fails(7);
    assert!(sentence.contains("after_deploy"), "{sentence}");
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    let web = &report["services"][0];
    assert_eq!(
        (text(&web["name"]), &web["rolled"], &web["error"]),
        ("web", &Value::Bool(true), &Value::Null)
    );
    assert_web_shows(&page);
}

#[test]
#[ignore = "needs the sandbox"]
fn a_restart_is_refused_where_the_node_keeps_the_image_that_it_has_of_the_tag() {
    let project = Project::deployed();
    project.change_web();
    let before = (image_of("web"), in_the_registry("web"));
    let sentence = project
        .hybrid(&["deploy", "web", "--strategy=restart"])
        .fails(2);
    assert!(
        sentence.contains("with `imagePullPolicy: IfNotPresent` a node"),
        "{sentence}"
    );
    assert_eq!((image_of("web"), in_the_registry("web")), before);
}
