//! Locks: of Terraform runs that were killed at every point, and what only others leave behind.

use std::process::Stdio;
use std::time::Instant;

use kubectl_hybrid::project::config::ContractSource;
use kubectl_hybrid::terraform::lock::{Finding, Here, Liveness, Outcome, of_holder};

use crate::holding_proxy::HoldingProxy;
use crate::setting::{Mode, Setting, lock_body};

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn the_lock_of_a_killed_apply_is_released_in_every_mode() {
    for mode in [Mode::Table, Mode::File, Mode::Both] {
        let setting = Setting::with_state(mode).await;
        assert!(setting.locks().await.is_free(), "{mode:?}");
        let mut apply = setting.waiting_apply();
        let seen = setting.locks().await;
        assert_eq!(seen.dynamodb.is_some(), mode != Mode::File, "{mode:?}");
        assert_eq!(seen.lock_file.is_some(), mode != Mode::Table, "{mode:?}");
        assert_eq!(seen.findings(), [], "{mode:?}");
        let id = seen.ids().first().copied().unwrap().to_owned();
        let info = seen.held().next().unwrap().info.clone().unwrap();
        assert_eq!(info.doing(), "apply");
        let here = Here::of_process();
        let alive = of_holder(&info, &here, Some(setting.root.dir()), &setting.backend);
        assert_eq!(alive, Liveness::Alive { pid: apply.id() });
        apply.kill().unwrap();
        apply.wait().unwrap();
        assert_eq!(
            of_holder(&info, &here, Some(setting.root.dir()), &setting.backend),
            Liveness::Dead
        );

        let start = Instant::now();
        let blocked = setting.terraform(Some("dev"), &["plan", "-no-color"]);
        let by_plan = start.elapsed();
        let start = Instant::now();
        assert_eq!(setting.locks().await, seen);
        println!(
            "{mode:?}: locks {:?}, a plan that fails on them {by_plan:?}",
            start.elapsed()
        );
        let stderr = String::from_utf8_lossy(&blocked.stderr).into_owned();
        assert!(
            stderr.contains("Error acquiring the state lock") && stderr.contains(&id),
            "{stderr}"
        );
        assert!(
            setting.read(ContractSource::State).await.is_ok(),
            "reading needs no lock"
        );

        assert!(setting.release(&seen, "another-id").await.is_empty());
        let outcomes = setting.release(&seen, &id).await;
        assert_eq!(outcomes.len(), if mode == Mode::Both { 2 } else { 1 });
        assert!(
            outcomes.iter().all(|o| matches!(o, Outcome::Released)),
            "{outcomes:?}"
        );
        assert!(setting.locks().await.is_free(), "{mode:?}");
        setting.terraform_ok(Some("dev"), &["plan"]);
    }
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn half_a_lock_of_either_place_is_told_and_released() {
    let setting = Setting::with_state(Mode::Both).await;
    let path = setting.backend.address(&setting.dev).lock_id();
    for (in_table, in_file) in [(true, false), (false, true)] {
        setting
            .put_lock(
                in_table,
                in_file,
                &lock_body("half", "OperationTypePlan", &path),
            )
            .await;
        let seen = setting.locks().await;
        assert_eq!(
            seen.findings(),
            [Finding::Half {
                id: "half".to_owned()
            }]
        );
        assert!(!setting.terraform(Some("dev"), &["plan"]).status.success());
        let outcomes = setting.release(&seen, "half").await;
        assert!(matches!(outcomes[..], [Outcome::Released]), "{outcomes:?}");
        setting.terraform_ok(Some("dev"), &["plan"]);
    }
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn only_the_lock_that_was_seen_is_released() {
    let setting = Setting::with_state(Mode::Both).await;
    let path = setting.backend.address(&setting.dev).lock_id();
    let old = lock_body("old", "OperationTypeApply", &path);
    setting.put_lock(true, true, &old).await;
    let seen = setting.locks().await;
    // Someone else came in between, in both places.
    setting
        .put_lock(true, true, &lock_body("new", "OperationTypeApply", &path))
        .await;
    let outcomes = setting.release(&seen, "old").await;
    assert_eq!(outcomes.len(), 2);
    for outcome in outcomes {
        assert!(
            matches!(&outcome, Outcome::Changed { now } if now == "new"),
            "{outcome:?}"
        );
    }
    let now = setting.locks().await;
    assert_eq!(now.ids(), ["new"]);
    // The same id twice: the second time there is nothing left.
    assert_eq!(setting.release(&now, "new").await.len(), 2);
    let outcomes = setting.release(&now, "new").await;
    assert!(matches!(outcomes[0], Outcome::AlreadyGone), "{outcomes:?}");
    assert!(setting.locks().await.is_free());
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_plan_that_was_killed_between_the_two_places_leaves_half_a_lock() {
    let setting = Setting::with_state(Mode::Both).await;
    let proxy = HoldingProxy::before(|request| request.contains("DynamoDB_20120810.PutItem"));
    let mut plan = setting
        .command(Some("dev"), &["plan", "-no-color"])
        .env("AWS_ENDPOINT_URL", proxy.url())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    proxy.wait_for_the_request();
    plan.kill().unwrap();
    plan.wait().unwrap();
    let seen = setting.locks().await;
    assert!(seen.dynamodb.is_none() && seen.lock_file.is_some());
    let id = seen.ids()[0].to_owned();
    assert_eq!(seen.findings(), [Finding::Half { id: id.clone() }]);
    let blocked = setting.terraform(Some("dev"), &["plan", "-no-color"]);
    assert!(!blocked.status.success());
    let outcomes = setting.release(&seen, &id).await;
    assert!(matches!(outcomes[..], [Outcome::Released]), "{outcomes:?}");
    setting.terraform_ok(Some("dev"), &["plan"]);
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_killed_workspace_new_leaves_a_lock_that_terraform_cannot_release() {
    let setting = Setting::new(Mode::Both).await;
    let proxy = HoldingProxy::before(|request| {
        request.starts_with("PUT ") && request.lines().next().is_some_and(is_of_the_state)
    });
    let mut new = setting
        .command(None, &["workspace", "new", "dev"])
        .env("AWS_ENDPOINT_URL", proxy.url())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    proxy.wait_for_the_request();
    new.kill().unwrap();
    new.wait().unwrap();
    let seen = setting.locks().await;
    let id = seen.ids()[0].to_owned();
    assert_eq!(seen.findings(), [Finding::NoState { id: id.clone() }]);
    let info = seen.held().next().unwrap().info.clone().unwrap();
    assert!(!info.doing().starts_with("something unknown"), "{info:?}");
    let unlock = setting.terraform(Some("dev"), &["force-unlock", "-force", &id]);
    assert!(!unlock.status.success());
    assert_eq!(setting.locks().await.ids(), [id.as_str()]);
    assert_eq!(setting.release(&seen, &id).await.len(), 2);
    setting.terraform_ok(None, &["workspace", "new", "dev"]);
}

/// The request line that writes a state, and not its lock file.
fn is_of_the_state(line: &str) -> bool {
    line.split(['?', ' '])
        .any(|part| part.ends_with(".tfstate"))
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn unreadable_and_foreign_locks_are_told_and_released() {
    let setting = Setting::with_state(Mode::Both).await;
    setting.put_lock(true, true, "not json").await;
    let seen = setting.locks().await;
    let findings = seen.findings();
    assert!(
        findings
            .iter()
            .all(|f| matches!(f, Finding::Unreadable { .. })),
        "{findings:?}"
    );
    let id = seen.ids()[0].to_owned();
    assert_eq!(setting.release(&seen, &id).await.len(), 2);
    assert!(setting.locks().await.is_free());
    setting
        .put_lock(
            true,
            true,
            &lock_body("x", "OperationTypePlan", "other/state"),
        )
        .await;
    let findings = setting.locks().await.findings();
    assert!(
        findings
            .iter()
            .all(|f| matches!(f, Finding::ForeignPath { .. })),
        "{findings:?}"
    );
}
