//! What is answered from the cache, and for whom.

use jiff::SignedDuration;

use crate::api::{Api, Manner, password};
use crate::home::Home;
use crate::{HOST, NEIGHBOUR};

#[test]
fn the_second_get_makes_no_call_and_echoes_its_own_form_of_the_host() {
    let api = Api::giving();
    let home = Home::of(&api);
    assert_eq!(home.get(HOST).password(), password(1));
    for form in [
        format!("https://{HOST}"),
        format!("http://{HOST}:443/v2/\n"),
        format!("{HOST}/team/app"),
    ] {
        let outcome = home.get(&form);
        assert_eq!(outcome.password(), password(1));
        let server = format!("\"ServerURL\":\"{}\"", form.trim());
        assert!(outcome.stdout.contains(&server), "{}", outcome.stdout);
    }
    assert_eq!(api.calls(), 1);
}

#[test]
fn one_principal_needs_one_token_for_two_accounts_in_a_region() {
    let api = Api::giving();
    let home = Home::of(&api);
    assert_eq!(home.get(HOST).password(), home.get(NEIGHBOUR).password());
    assert_eq!(api.calls(), 1);
    let other_region = HOST.replace("eu-west-1", "us-east-1");
    assert_eq!(home.get(&other_region).password(), password(2));
}

#[test]
fn two_principals_have_two_tokens() {
    let api = Api::giving();
    let home = Home::of(&api);
    home.get(HOST);
    let home = home.with("AWS_ACCESS_KEY_ID", "AKIDOTHER");
    assert_eq!(home.get(HOST).password(), password(2));
    let home = home.with("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
    assert_eq!(home.get(HOST).password(), password(1));
}

#[test]
fn a_kept_token_serves_an_sso_profile_whose_session_is_over() {
    let api = Api::start(Manner::Refuse("AccessDeniedException", "nobody may"));
    let home = Home::of(&api).with_sso();
    let hour = SignedDuration::from_hours(1);
    home.keep(HOST, "kept", -hour, hour * 11);
    assert_eq!(home.get(HOST).password(), "kept");
    assert_eq!(api.calls(), 0);
}

#[test]
fn list_names_live_entries_of_the_present_identity_without_a_call() {
    let api = Api::giving();
    let home = Home::of(&api);
    assert_eq!(home.run(&["list"], "unused").stdout, "{}\n");
    home.get(HOST);
    home.get(NEIGHBOUR);
    let hour = SignedDuration::from_hours(1);
    let dead = HOST.replace("eu-west-1", "us-east-1");
    home.keep(&dead, "dead", -hour * 13, -hour);
    let expected = format!("{{\"{HOST}\":\"AWS\",\"{NEIGHBOUR}\":\"AWS\"}}\n");
    assert_eq!(home.run(&["list"], "unused").stdout, expected);
    let home = home.with("AWS_ACCESS_KEY_ID", "AKIDOTHER");
    assert_eq!(home.run(&["list"], "").stdout, "{}\n");
    assert_eq!(api.calls(), 1);
}

#[test]
fn erase_forgets_so_that_the_next_get_asks_again() {
    let api = Api::giving();
    let home = Home::of(&api);
    home.get(HOST);
    for form in [HOST.to_owned(), format!("http://{HOST}")] {
        let erased = home.run(&["erase"], &form);
        assert_eq!((erased.code, erased.stdout.as_str()), (Some(0), ""));
    }
    assert_eq!(home.run(&["list"], "").stdout, "{}\n");
    assert_eq!(home.get(HOST).password(), password(2));
}

#[test]
fn the_cache_commands_show_entries_without_secrets() {
    let api = Api::giving();
    let home = Home::of(&api);
    home.get(HOST);
    let listed = home.run(&["cache", "list"], "").stdout;
    assert!(
        listed.contains(HOST) && listed.contains("AKIDEXAMPLE"),
        "{listed}"
    );
    assert!(!listed.contains("password"));
    assert_eq!(
        home.run(&["cache", "clear"], "").stdout,
        "1 entry removed.\n"
    );
    assert_eq!(
        home.run(&["cache", "list"], "").stdout,
        "Nothing is kept.\n"
    );
    let path = home.run(&["cache", "path"], "").stdout;
    assert!(path.starts_with(home.path().to_str().unwrap()));
}

#[test]
fn which_explains_the_identity_without_a_call() {
    let api = Api::giving();
    let home = Home::of(&api)
        .without("AWS_ACCESS_KEY_ID")
        .without("AWS_SECRET_ACCESS_KEY");
    home.write(
        ".aws/config",
        "[profile dev]\nrole_arn = arn:aws:iam::111122223333:role/dev\ncredential_process = /none\nsource_profile = base\n\
         [profile base]\ncredential_process = /none\n",
    );
    let shown = home.run(&["which", HOST], "");
    assert_eq!(shown.code, Some(0));
    assert!(shown.stdout.contains("profile dev"), "{}", shown.stdout);
    assert!(
        shown
            .stdout
            .contains("the only profile of account 111122223333")
    );
    assert_eq!(home.run(&["which", "docker.io"], "").code, Some(1));
    assert_eq!(api.calls(), 0);
}
