//! The agent, under a real service manager.

use std::fs;
use std::path::Path;
use std::process::Command;

use hybrid_tests::said::Said;
use hybrid_tests::source_tree;

use super::Namespaces;

/// Runs in a mount namespace of its own: `/run` is empty there, and no systemd of the machine is
/// disturbed.
const AGENT: &str = r#"set -eu
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/user/0
chmod 700 /run/user/0
export XDG_RUNTIME_DIR=/run/user/0 XDG_CONFIG_HOME="$FOLDER/config"
mkdir -p "$XDG_CONFIG_HOME"
"$SYSTEMD" --user >"$FOLDER/systemd.log" 2>&1 &
manager=$!
trap 'systemctl --user exit 2>/dev/null || kill $manager; wait $manager' EXIT
for try in $(seq 100); do
  systemctl --user is-system-running >/dev/null 2>&1 && break
  sleep 0.1
done
kubectl-hybrid regcred agent status
kubectl-hybrid regcred agent install "$NAMESPACE"
kubectl-hybrid regcred agent status
for try in $(seq 200); do
  kubectl -n "$NAMESPACE" get secret regcred -o name 2>/dev/null && break
  sleep 0.1
done
cat "$XDG_CONFIG_HOME"/systemd/user/*.service
systemctl --user show -p NRestarts 'kubectl-hybrid-*'
kubectl-hybrid regcred agent remove
kubectl-hybrid regcred agent status
"#;

#[test]
#[ignore = "needs the sandbox"]
fn an_agent_keeps_the_secret_under_a_real_systemd_and_goes_without_a_trace() {
    let systemd = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    let can_mount = Command::new("unshare").args(["--mount", "true"]).status();
    let (Some(systemd), true) = (systemd, can_mount.is_ok_and(|status| status.success())) else {
        eprintln!("skipped: there is no systemd on this machine, or no right to mount");
        return;
    };
    let made = Namespaces::made(&["agent"]);
    let folder = tempfile::tempdir().unwrap();
    // The keys of the environment do not get into the unit: the agent has a profile.
    let credentials = folder.path().join("credentials");
    let profile = "[default]\naws_access_key_id = testing\naws_secret_access_key = testing\n";
    fs::write(&credentials, profile).unwrap();
    let mut command = Command::new("unshare");
    command
        .env("AWS_SHARED_CREDENTIALS_FILE", &credentials)
        .args(["--mount", "sh", "-c", AGENT])
        .current_dir(source_tree().join("examples/knowledge-repo"))
        .env("FOLDER", folder.path())
        .env("SYSTEMD", systemd)
        .env("NAMESPACE", made.name(0));
    let said = Said::of(&mut command).ends(0);
    let lines: Vec<&str> = said
        .stdout
        .lines()
        .filter(|line| line.starts_with("systemd user unit") || line.starts_with("secret/"))
        .collect();
    let agent = "systemd user unit kubectl-hybrid-knowledge-repo-dev";
    assert_eq!(
        lines,
        [
            format!("{agent}: not installed"),
            format!("{agent}: running"),
            "secret/regcred".to_owned(),
            format!("{agent}: not installed"),
        ],
        "{}{}",
        said.stdout,
        said.stderr
    );
    assert!(said.stdout.contains("NRestarts=0"), "{}", said.stdout);
    for key in ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"] {
        assert!(!said.stdout.contains(key), "the unit holds {key}");
    }
    let left = fs::read_dir(folder.path().join("config/systemd/user")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().ends_with(".service")),
        "{left:?}"
    );
}
