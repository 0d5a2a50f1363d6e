//! Which profile a registry is given, and how the choice is explained.

use jiff::SignedDuration;

use crate::api::{Api, Manner, password};
use crate::home::Home;
use crate::{HOST, NEIGHBOUR};

const CONFIG: &str = "\
[profile one]\naws_access_key_id = AKIDONE\naws_secret_access_key = x\n\
[profile two]\naws_access_key_id = AKIDTWO\naws_secret_access_key = x\n";

fn home(api: &Api) -> Home {
    let home = Home::of(api)
        .without("AWS_ACCESS_KEY_ID")
        .without("AWS_SECRET_ACCESS_KEY");
    home.write(".aws/config", CONFIG);
    home
}

#[test]
fn a_profile_is_found_again_by_the_account_that_its_token_named() {
    let api = Api::giving();
    let home = home(&api);
    let unknown = home.run(&["which", HOST], "");
    assert!(unknown.stdout.contains("no AWS credentials"), "{unknown:?}");
    let home = home.with("AWS_PROFILE", "two");
    assert_eq!(home.get(HOST).password(), password(1));
    let home = home.without("AWS_PROFILE");
    let shown = home.run(&["which", HOST], "").stdout;
    assert!(shown.contains("profile two"), "{shown}");
    let because = "because   the only profile of account 111122223333, as an earlier token said";
    assert!(shown.contains(because), "{shown}");
    assert_eq!(home.get(HOST).password(), password(1));
    // A token of another account is not what was asked for, and is remembered as what it is.
    let elsewhere = HOST.replace("111122223333", "444455556666");
    let refused = home.run(&["which", &elsewhere], "");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert_eq!(api.calls(), 1);
}

#[test]
fn a_profile_that_turns_out_to_act_elsewhere_gives_no_token() {
    let api = Api::giving();
    let home = home(&api);
    let elsewhere = HOST.replace("111122223333", "444455556666");
    let told = CONFIG.replace("AKIDONE\n", "AKIDONE\naws_account_id = 444455556666\n");
    home.write(".aws/config", &told);
    let outcome = home.get(&elsewhere);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome
            .stdout
            .contains("acts in account 111122223333, not in 444455556666"),
        "{outcome:?}"
    );
    assert!(home.files_with("password-").is_empty());
}

#[test]
fn a_token_that_another_host_left_is_no_way_round_the_check_of_the_account() {
    let api = Api::giving();
    let home = home(&api);
    let told = CONFIG.replace("AKIDONE\n", "AKIDONE\naws_account_id = 444455556666\n");
    home.write(".aws/config", &told);
    let refused = "acts in account 111122223333, not in 444455556666";
    // The keys act in the account of HOST, whatever the profile declares.
    let home = home.with("AWS_PROFILE", "one");
    assert_eq!(home.get(HOST).password(), password(1));
    let home = home.without("AWS_PROFILE");
    let outcome = home.get(NEIGHBOUR);
    assert!(outcome.stdout.contains(refused), "{outcome:?}");
    let hour = SignedDuration::from_hours(1);
    let home = home.with("AWS_PROFILE", "one");
    assert_eq!(home.get(HOST).password(), password(1), "it is kept on");
    // In the second half of its life, and with an API that gives no other.
    home.keep_of("111122223333", HOST, "old", -hour * 7, hour * 5);
    let home = home.without("AWS_PROFILE");
    api.becomes(Manner::Refuse("ThrottlingException", "Rate exceeded"));
    let outcome = home.get(NEIGHBOUR);
    assert!(outcome.stdout.contains("slow down"), "{outcome:?}");
    let home = home.with("AWS_PROFILE", "one");
    assert_eq!(home.get(HOST).password(), "old");
}

#[test]
fn a_rule_of_the_settings_chooses_profile_and_region() {
    let api = Api::giving();
    let home = home(&api);
    home.write_settings(
        "[[registry]]\nhost = \"1111*.dkr.ecr.*.amazonaws.com\"\nprofile = \"one\"\nregion = \"us-east-1\"\n",
    );
    let home = home.with("AWS_PROFILE", "two");
    let shown = home.run(&["which", HOST], "").stdout;
    for line in [
        "region    us-east-1",
        "identity  profile one (access key AKIDONE)",
        "because   the settings file names it for `1111*.dkr.ecr.*.amazonaws.com`",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    let home = home.without("AWS_ENDPOINT_URL");
    let shown = home.run(&["which", HOST], "").stdout;
    assert!(
        shown.contains("asks      https://api.ecr.us-east-1.amazonaws.com"),
        "{shown}"
    );
    home.write_settings("[[registry]]\nhost = \"*\"\nregion = \"cn-north-1\"\n");
    let refused = home.get(HOST);
    assert!(
        refused.stdout.contains("another partition of AWS"),
        "{refused:?}"
    );
}
