//! Where credentials come from: the key that signs the call tells.

use jiff::SignedDuration;

use crate::HOST;
use crate::api::{Api, LOGIN, password};
use crate::home::Home;

fn home(api: &Api) -> Home {
    Home::of(api).without("AWS_ACCESS_KEY_ID")
}

#[test]
fn a_web_identity_signs_the_call() {
    let api = Api::giving();
    let home = home(&api);
    let token = home.write("token", "a token of the cluster");
    let home = home
        .with("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap())
        .with("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/web");
    assert_eq!(home.get(HOST).password(), password(1));
    assert_eq!(api.signer(), "ASIAWEB");
}

#[test]
fn a_role_of_a_container_signs_the_call() {
    let api = Api::giving();
    let uri = format!("{}/container", api.url());
    let home = home(&api).with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri);
    assert_eq!(home.get(HOST).password(), password(1));
    assert_eq!(api.signer(), "ASIACONTAINER");
}

#[test]
fn a_role_of_an_instance_signs_the_call() {
    let api = Api::giving();
    let home = home(&api)
        .without("AWS_EC2_METADATA_DISABLED")
        .with("AWS_EC2_METADATA_SERVICE_ENDPOINT", api.url());
    assert_eq!(home.get(HOST).password(), password(1));
    assert_eq!(api.signer(), "ASIAINSTANCE");
}

#[test]
fn a_role_taken_by_a_profile_signs_the_call() {
    let api = Api::giving();
    let home = home(&api).with("AWS_PROFILE", "there");
    home.write(
        ".aws/config",
        "[profile there]\nrole_arn = arn:aws:iam::111122223333:role/pull\nsource_profile = base\n\
         [profile base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = s\n",
    );
    assert_eq!(home.get(HOST).password(), password(1));
    assert_eq!(api.signer(), "ASIAEXAMPLE");
}

#[test]
fn an_sso_login_signs_the_call() {
    let api = Api::giving();
    let home = home(&api).with_sso();
    home.login(LOGIN, SignedDuration::from_hours(8));
    assert_eq!(home.get(HOST).password(), password(1));
    assert_eq!(api.signer(), "ASIASSO");
}

#[test]
fn an_sso_login_that_is_over_is_renewed_by_its_refresh_token() {
    let api = Api::giving();
    let home = home(&api).with_sso();
    home.login("an-older-login", -SignedDuration::from_mins(1));
    assert_eq!(home.get(HOST).password(), password(1));
    assert_eq!(api.signer(), "ASIASSORENEWED");
}

#[test]
fn an_sso_login_that_the_portal_has_ended_names_the_command_to_run() {
    let api = Api::giving();
    let home = home(&api).with_sso();
    home.login("revoked", SignedDuration::from_hours(8));
    let outcome = home.get(HOST);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(
        outcome.stdout.contains("aws sso login --profile dev"),
        "{outcome:?}"
    );
    assert!(
        outcome.stderr.contains("aws sso login --profile dev"),
        "{outcome:?}"
    );
    assert_eq!(api.calls(), 0);
}

#[test]
fn the_public_gallery_gives_a_token_of_its_own() {
    let api = Api::giving();
    let home = Home::of(&api);
    assert_eq!(home.get("public.ecr.aws").password(), password(1));
    assert_eq!(home.get(HOST).password(), password(2));
    assert_eq!(home.get("ecr-public.aws.com").password(), password(1));
    assert_eq!(api.signer(), "AKIDEXAMPLE");
}
