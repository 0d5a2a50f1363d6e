//! The same with `OpenTofu`, and what it has of its own: states that are encrypted by the client.

use std::path::PathBuf;

use kubectl_hybrid::project::config::ContractSource;
use kubectl_hybrid::terraform::contract::{Provenance, ReadError};
use kubectl_hybrid::terraform::lock::{Here, Liveness, Outcome, of_holder};
use kubectl_hybrid::terraform::state::StateError;

use crate::setting::{Mode, Setting};

async fn setting() -> Setting {
    let program = PathBuf::from(std::env::var_os("HYBRID_TEST_TOFU").unwrap());
    Setting::with_backend(Mode::Both, "", Some(&program)).await
}

#[tokio::test]
#[ignore = "needs the sandbox and OpenTofu"]
async fn the_state_and_opentofu_say_the_same() {
    let setting = setting().await;
    setting.make_state();
    let read = setting.read(ContractSource::State).await.unwrap();
    assert!(matches!(read.provenance, Provenance::State(_)));
    let asked = setting.read(ContractSource::Cli).await.unwrap();
    assert_eq!(asked.contract, read.contract);

    let mut apply = setting.waiting_apply();
    let seen = setting.locks().await;
    assert_eq!(seen.findings(), []);
    let info = seen.held().next().unwrap().info.clone().unwrap();
    let judged = || {
        let dir = Some(setting.root.dir());
        of_holder(&info, &Here::of_process(), dir, &setting.backend)
    };
    assert_eq!(judged(), Liveness::Alive { pid: apply.id() });
    apply.kill().unwrap();
    apply.wait().unwrap();
    assert_eq!(judged(), Liveness::Dead);
    let outcomes = setting.release(&seen, &info.id).await;
    assert!(
        matches!(outcomes[..], [Outcome::Released, Outcome::Released]),
        "{outcomes:?}"
    );
    setting.terraform_ok(Some("dev"), &["plan"]);
}

#[tokio::test]
#[ignore = "needs the sandbox and OpenTofu"]
async fn an_encrypted_state_is_left_to_opentofu() {
    let setting = setting().await;
    let encryption = r#"terraform {
  encryption {
    key_provider "pbkdf2" "ours" {
      passphrase = "a passphrase of the test"
    }
    method "aes_gcm" "ours" {
      keys = key_provider.pbkdf2.ours
    }
    state {
      method = method.aes_gcm.ours
    }
  }
}
"#;
    std::fs::write(setting.dir.path().join("encryption.tofu"), encryption).unwrap();
    setting.terraform_ok(
        None,
        &["init", "-reconfigure", "-backend-config=backend.hcl"],
    );
    setting.make_state();
    let error = setting.read(ContractSource::State).await.unwrap_err();
    assert!(
        matches!(
            error,
            ReadError::NeedsTerraform { .. } | ReadError::State(StateError::Encrypted(_))
        ),
        "{error}"
    );
    let read = setting.read(ContractSource::Auto).await.unwrap();
    let Provenance::Cli { because } = read.provenance else {
        unreachable!("only OpenTofu can read it");
    };
    let because = because.unwrap();
    assert!(because.ends_with("is encrypted by OpenTofu"), "{because}");
}
