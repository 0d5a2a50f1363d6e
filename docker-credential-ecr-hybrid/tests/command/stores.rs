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

#[test]
fn with_wrong_settings_nobody_is_told_that_nothing_is_kept() {
    let api = Api::giving();
    let home = Home::of(&api);
    home.get(HOST);
    home.write_settings("colour = 1\n");
    for words in [["cache", "list"], ["cache", "clear"]] {
        let outcome = home.run(&words, "");
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""));
        assert!(outcome.stderr.contains("line 1"), "{outcome:?}");
    }
    let home = home.with("HYBRID_LOG", "on");
    let erased = home.run(&["erase"], HOST);
    assert_eq!((erased.code, erased.stderr.as_str()), (Some(0), ""));
    assert_eq!(home.files_with("is not forgotten"), ["log"]);
    assert_eq!(home.files_with("password-1"), ["json"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_chosen_store_that_does_not_answer_is_named_and_once_only() {
    let api = Api::giving();
    let home = Home::of(&api)
        .with("HYBRID_STORE", "secret-service")
        .with("DBUS_SESSION_BUS_ADDRESS", "nonsense");
    for (words, stdout) in [("list", ""), ("clear", "0 entries removed.\n")] {
        let outcome = home.run(&["cache", words], "");
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), stdout));
        let sentence = "The store `secret-service` is not available";
        assert!(outcome.stderr.starts_with(sentence), "{outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1);
    }
    // What is not there is passed over where nobody asked for it.
    let home = home.with("HYBRID_STORE", "auto");
    assert_eq!(home.run(&["cache", "clear"], "").code, Some(0));
    let home = home
        .with("HYBRID_STORE", "secret-service")
        .with("HYBRID_LOG", "on");
    home.get(HOST);
    let files = home.files();
    let log = files.iter().find(|(path, _)| path.ends_with("helper.log"));
    let log = String::from_utf8(log.unwrap().1.clone()).unwrap();
    assert_eq!(log.matches("is not available").count(), 1, "{log}");
}

#[test]
fn the_password_of_an_endpoint_is_not_shown() {
    let api = Api::giving();
    let home = Home::of(&api).with("AWS_ENDPOINT_URL", "https://ada:hunter2@ecr.example.com/x");
    let shown = home.run(&["which", HOST], "").stdout;
    assert!(shown.contains("asks      ecr.example.com/x\n"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
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
