//! Digests that are not those of the state, as Terraform itself makes them.

use kubectl_hybrid::project::config::ContractSource;
use kubectl_hybrid::terraform::contract::ReadError;
use kubectl_hybrid::terraform::lock::{Finding, Repair, Repaired, repair};
use kubectl_hybrid::terraform::state::StateError;

use crate::setting::{Mode, Setting};

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_state_that_was_written_without_the_table_is_repaired() {
    let setting = Setting::with_state(Mode::Both).await;
    // Someone's backend has no table: the state changes, the digest does not.
    let file = setting.dir.path().join("backend.hcl");
    let with_table = std::fs::read_to_string(&file).unwrap();
    let without = with_table
        .lines()
        .filter(|line| !line.starts_with("dynamodb_table"))
        .collect::<Vec<_>>()
        .join("\n");
    let reconfigure = |text: &str| {
        std::fs::write(&file, text).unwrap();
        // Terraform's init reads the selected workspace, and stops at its digest as well.
        std::fs::remove_file(setting.root.data_dir().join("environment")).ok();
        setting.terraform_ok(
            None,
            &["init", "-reconfigure", "-backend-config=backend.hcl"],
        );
    };
    reconfigure(&without);
    setting.terraform_ok(
        Some("dev"),
        &["apply", "-auto-approve", "-var=project=other"],
    );
    reconfigure(&with_table);

    let refused = setting.terraform(Some("dev"), &["plan", "-no-color"]);
    assert!(!refused.status.success());
    let error = setting.read(ContractSource::Auto).await.unwrap_err();
    assert!(
        matches!(error, ReadError::State(StateError::WrongDigest { .. })),
        "{error}"
    );
    let seen = setting.locks().await;
    assert!(
        matches!(seen.findings()[..], [Finding::WrongDigest { .. }]),
        "{:?}",
        seen.findings()
    );
    let wanted = Repair::of(&seen).unwrap();
    let done = repair(&setting.access, &setting.backend, &seen, &wanted).await;
    assert_eq!(done.unwrap(), Repaired::Done);
    assert_eq!(setting.locks().await.findings(), []);
    setting.terraform_ok(Some("dev"), &["plan", "-var=project=other"]);
    // The digest that was seen is gone: what is there now is left alone.
    let again = repair(&setting.access, &setting.backend, &seen, &wanted).await;
    assert_eq!(again.unwrap(), Repaired::Changed);
}

#[tokio::test]
#[ignore = "needs the sandbox"]
async fn a_digest_row_alone_stops_terraform_and_is_removed() {
    let setting = Setting::with_state(Mode::Both).await;
    let address = setting.backend.address(&setting.dev);
    setting
        .access
        .s3
        .delete_object()
        .bucket(&address.bucket)
        .key(&address.key)
        .send()
        .await
        .unwrap();
    let seen = setting.locks().await;
    assert!(seen.is_free());
    assert_eq!(seen.findings(), [Finding::DigestAlone]);
    let wanted = Repair::of(&seen).unwrap();
    let done = repair(&setting.access, &setting.backend, &seen, &wanted).await;
    assert_eq!(done.unwrap(), Repaired::Done);
    assert_eq!(setting.locks().await.findings(), []);
    setting.make_state();
}
