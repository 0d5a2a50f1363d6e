//! Where tokens are kept for real.

use crate::HOST;
use crate::api::Api;
use crate::home::Home;

#[test]
fn the_file_store_keeps_a_token_in_one_file_and_nowhere_else() {
    let api = Api::giving();
    let home = Home::of(&api);
    home.get(HOST);
    assert_eq!(home.files_with("password-1"), ["json"]);
}

#[test]
fn no_store_means_a_call_each_time_and_nothing_on_the_disk() {
    let api = Api::giving();
    for (name, value) in [("HYBRID_STORE", "none"), ("AWS_ECR_DISABLE_CACHE", "true")] {
        let home = Home::of(&api).without("HYBRID_STORE").with(name, value);
        let before = api.calls();
        home.get(HOST);
        home.get(HOST);
        assert_eq!(api.calls(), before + 2);
        assert!(home.files_with("password-").is_empty());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_kernel_keeps_a_token_off_the_disk() {
    use ecr_hybrid::key::Key;
    use ecr_hybrid::store::{KeyutilsStore, Store as _};

    use crate::api::password;

    if let Err(error) = KeyutilsStore.keys() {
        eprintln!("skipped: {error}");
        return;
    }
    let api = Api::giving();
    for store in ["keyutils", "auto"] {
        let home = Home::of(&api).with("HYBRID_STORE", store);
        let before = api.calls();
        let first = home.get(HOST).password();
        assert_eq!(home.get(HOST).password(), first);
        assert_eq!(api.calls(), before + 1, "{store}");
        assert_eq!(first, password(before + 1));
        assert!(home.files_with("password-").is_empty());
        // The port of the API makes the key this test's own.
        let shown = home.run(&["which", HOST], "").stdout;
        let key = shown.lines().find_map(|line| line.strip_prefix("key"));
        let key = Key::from_text(key.unwrap().trim()).unwrap();
        assert!(KeyutilsStore.keys().unwrap().contains(&key));
        assert_eq!(home.run(&["erase"], HOST).code, Some(0));
        assert!(!KeyutilsStore.keys().unwrap().contains(&key));
    }
}

#[cfg(windows)]
#[test]
fn the_credential_manager_keeps_a_token_off_the_disk() {
    use crate::api::password;

    let api = Api::giving();
    for store in ["credential-manager", "auto"] {
        let home = Home::of(&api).with("HYBRID_STORE", store);
        let before = api.calls();
        let first = home.get(HOST).password();
        assert_eq!(first, password(before + 1));
        assert_eq!(home.get(HOST).password(), first);
        assert_eq!(api.calls(), before + 1, "{store}");
        assert!(home.files_with("password-").is_empty());
        let listed = home.run(&["cache", "list"], "").stdout;
        assert!(listed.contains("credential-manager"), "{listed}");
        assert_eq!(home.run(&["erase"], HOST).code, Some(0));
        assert_eq!(home.get(HOST).password(), password(before + 2));
        let cleared = home.run(&["cache", "clear"], "").stdout;
        assert_eq!(cleared, "1 entry removed.\n");
    }
}
