//! A deploy that is killed, wherever it is.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use hybrid_tests::said::{Said, list};
use serde_json::Value;

use super::deployed::{
    PATIENCE, Project, assert_web_shows, front, image_of, in_the_registry, kubectl, kubectl_json,
};
use super::{start, step};

/// Where the deploy is killed.
#[derive(Debug)]
enum Place {
    /// When it says that it has come to this step.
    Step(&'static str),
    /// While it waits for the answer to this call.
    Call(&'static str),
}

use Place::{Call, Step};

/// Every boundary that a deploy crosses, in their order.
const PLACES: [Place; 10] = [
    Step("contract"),
    Step("plan"),
    Step("regcred"),
    Step("build"),
    Step("built"),
    Call("registry:StartUpload"),
    Step("pushed"),
    // It moves the workspace's tag.
    Call("ecr:PutImage"),
    Step("roll-out"),
    Step("ready"),
];

/// Starts a deploy and kills it there: nothing can be tidied up.
#[track_caller]
fn kill_at(project: &Project, arguments: &[&str], place: &Place) {
    let mut faults = front().faulty();
    let called = |call| front().count(call).unwrap();
    let before = match place {
        Step(_) => 0,
        Call(call) => {
            faults = faults.delaying(call, 2_000).unwrap();
            called(call)
        }
    };
    let (mut child, mut lines) = start(project, arguments);
    let is_there = match place {
        Step(name) => lines.any(|line| step(&line) == *name),
        Call(call) => {
            let end = Instant::now() + PATIENCE;
            while called(call) == before && Instant::now() < end {
                thread::sleep(Duration::from_millis(20));
            }
            called(call) > before
        }
    };
    child.kill().unwrap();
    let ended = child.wait().unwrap();
    drop(faults);
    assert!(is_there, "it did not come to {place:?}");
    let may_be_done = matches!(place, Step("ready"));
    assert!(!ended.success() || may_be_done, "{place:?}: {ended}");
}

#[test]
#[ignore = "needs the sandbox"]
fn a_deploy_that_is_killed_anywhere_is_finished_by_the_next() {
    let project = Project::deployed();
    for place in &PLACES {
        let page = project.change_web();
        let before = image_of("web");
        if matches!(place, Step("regcred")) {
            // So that there is one to write.
            kubectl(&["delete", "secret", "regcred"]);
        }
        kill_at(&project, &["deploy", "web"], place);

        // Whole or not at all: the image is the one before or one that the registry has.
        let after = image_of("web");
        if after != before {
            assert!(
                after.ends_with(&in_the_registry("web")),
                "{place:?}: {after}"
            );
        }
        let said: Said = project.hybrid(&["deploy", "web"]).succeeds();
        assert_web_shows(&page);
        assert!(
            image_of("web").ends_with(&in_the_registry("web")),
            "{place:?}: {}",
            said.stderr
        );
        // Nothing is left to do.
        let plan = project
            .hybrid(&["deploy", "web", "--dry-run", "--output=json"])
            .succeeds()
            .json();
        let planned = &plan["plan"]["services"][0];
        assert_eq!(
            (&planned["builds"], &planned["rolls"]),
            (&Value::Bool(false), &Value::Bool(false)),
            "{place:?}: {planned}"
        );
        let secret = kubectl_json(&["get", "secret", "regcred"]);
        assert!(secret["data"][".dockerconfigjson"].is_string(), "{place:?}");
    }
}

/// Gives each service something that no run has had before.
fn change_all(project: &Project) -> String {
    let page = project.change_web();
    for service in ["api", "search"] {
        fs::write(project.path(service).join("www/edition.txt"), &page).unwrap();
    }
    page
}

/// What each service runs is what its moving tag means, and there is nothing left to do.
#[track_caller]
fn assert_done(project: &Project, place: &Place) {
    for service in ["web", "api", "search"] {
        let image = image_of(service);
        assert!(
            image.ends_with(&in_the_registry(service)),
            "{place:?}: {image}"
        );
    }
    let plan = project
        .hybrid(&["deploy", "--dry-run", "--output=json"])
        .succeeds()
        .json();
    for planned in list(&plan["plan"]["services"]) {
        assert_eq!(
            (&planned["builds"], &planned["rolls"]),
            (&Value::Bool(false), &Value::Bool(false)),
            "{place:?}: {planned}"
        );
    }
}

#[test]
#[ignore = "needs the sandbox"]
fn a_deploy_of_all_or_none_that_is_killed_is_finished_by_the_next() {
    const DEPLOY: [&str; 2] = ["deploy", "--atomic"];
    let project = Project::deployed();
    // Some are further than others then.
    for place in &[
        Step("built"),
        Step("pushed"),
        Step("roll-out"),
        Step("ready"),
        Call("ecr:PutImage"),
    ] {
        let page = change_all(&project);
        kill_at(&project, &DEPLOY, place);
        project.hybrid(&DEPLOY).succeeds();
        assert_web_shows(&page);
        assert_done(&project, place);
    }

    // On the way back, because one does not start.
    let place = Step("roll-back");
    let page = change_all(&project);
    let dockerfile = project.path("search/Dockerfile");
    let good = fs::read_to_string(&dockerfile).unwrap();
    fs::write(
        &dockerfile,
        good.replace("\"httpd\"", "\"/no/such/command\""),
    )
    .unwrap();
    kill_at(&project, &DEPLOY, &place);
    fs::write(&dockerfile, good).unwrap();
    project.hybrid(&DEPLOY).succeeds();
    assert_web_shows(&page);
    assert_done(&project, &place);
}
