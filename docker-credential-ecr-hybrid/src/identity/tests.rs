use super::*;

const CONFIG: &str = r"
[default]
region = eu-west-1

[profile dev]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = Admin

[profile dev-again]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = Admin

[profile dev-read]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = ReadOnly

[profile legacy]
sso_start_url = https://corp.awsapps.com/start/#/
sso_region = eu-west-1
sso_account_id = 111122223333
sso_role_name = Admin

[profile keys]
aws_access_key_id = AKIDPROFILE
aws_secret_access_key = x

[profile deploy]
role_arn = arn:aws:iam::444455556666:role/deploy
source_profile = dev
external_id = 42

[profile far]
role_arn = arn:aws:iam::777788889999:role/far
source_profile = deploy

[profile self]
role_arn = arn:aws:iam::444455556666:role/self
source_profile = self
aws_access_key_id = AKIDSELF

[profile loop-a]
role_arn = arn:aws:iam::1:role/a
source_profile = loop-b

[profile loop-b]
role_arn = arn:aws:iam::1:role/b
source_profile = loop-a

[profile dangling]
role_arn = arn:aws:iam::1:role/a
source_profile = nobody

[profile mfa]
role_arn = arn:aws:iam::1:role/a
source_profile = keys
mfa_serial = arn:aws:iam::1:mfa/ada

[profile process]
credential_process = /opt/creds --token hunter2

[profile web]
role_arn = arn:aws:iam::444455556666:role/web
web_identity_token_file = /var/run/token

[profile from-env]
role_arn = arn:aws:iam::444455556666:role/env
credential_source = Environment

[profile metadata]
ec2_metadata_service_endpoint = http://127.0.0.1:7

[profile instance-role]
role_arn = arn:aws:iam::444455556666:role/instance
credential_source = Ec2InstanceMetadata

[profile both]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = Admin
aws_access_key_id = AKIDBOTH
aws_secret_access_key = x

[profile on-both]
role_arn = arn:aws:iam::444455556666:role/deploy
source_profile = both

[profile odd]
credential_source = Elsewhere

[profile half]
sso_session = nowhere
sso_account_id = 111122223333

[sso-session corp]
sso_start_url = https://corp.awsapps.com/start
sso_region = eu-west-1
";

fn resolve(variables: &[(&str, &str)]) -> Result<Identity, IdentityError> {
    let environment = Environment::given(variables.iter().copied());
    Identity::resolve_with(&environment, &AwsFiles::parse(CONFIG, ""))
}

fn profile(name: &str) -> Result<Identity, IdentityError> {
    resolve(&[("AWS_PROFILE", name)])
}

fn shown(name: &str) -> String {
    match profile(name) {
        Ok(identity) => identity.to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn each_kind_of_profile_is_named_for_people() {
    #[rustfmt::skip]
    let rows = [
        ("dev", "profile dev (SSO session corp, account 111122223333, role Admin)"),
        ("legacy", "profile legacy (SSO at https://corp.awsapps.com/start, account 111122223333, role Admin)"),
        ("keys", "profile keys (access key AKIDPROFILE)"),
        ("deploy", "profile deploy (SSO session corp, account 111122223333, role Admin, role arn:aws:iam::444455556666:role/deploy)"),
        ("both", "profile both (SSO session corp, account 111122223333, role Admin)"),
        ("on-both", "profile on-both (access key AKIDBOTH, role arn:aws:iam::444455556666:role/deploy)"),
        ("far", "profile far (SSO session corp, account 111122223333, role Admin, role arn:aws:iam::444455556666:role/deploy, role arn:aws:iam::777788889999:role/far)"),
        ("self", "profile self (access key AKIDSELF, role arn:aws:iam::444455556666:role/self)"),
        ("process", "profile process (credential process)"),
        ("web", "profile web (web identity, role arn:aws:iam::444455556666:role/web)"),
        ("loop-a", "The AWS profile `loop-a` cannot be used: its role chain comes back to `loop-a`."),
        ("dangling", "The AWS profile `dangling` cannot be used: its `source_profile` is `nobody`, which does not exist."),
        ("mfa", "The AWS profile `mfa` asks for an MFA code (`mfa_serial`), and a credential helper cannot ask for one."),
        ("from-env", "The AWS profile `from-env` cannot be used: its `credential_source` offers no credentials here."),
        ("half", "The AWS profile `half` cannot be used: its `sso_session` has no section of its own."),
        ("nobody", "The AWS profile `nobody` does not exist (there are 22 others)."),
    ];
    for (name, expected) in rows {
        assert_eq!(shown(name), expected);
    }
    assert!(shown("odd").contains("none of Environment"));
}

#[test]
fn the_order_is_that_of_the_sdk() {
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIDENV"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
    ];
    let web = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"),
        ("AWS_ROLE_ARN", "arn:aws:iam::444455556666:role/w"),
    ];
    let container = [("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x")];
    let dev = [("AWS_PROFILE", "dev")];
    let off = [("AWS_EC2_METADATA_DISABLED", "true")];
    let all = |parts: &[&[(&'static str, &'static str)]]| resolve(&parts.concat());

    let identity = all(&[&keys, &dev, &web, &container]).unwrap();
    assert_eq!(
        identity.to_string(),
        "access key AKIDENV from the environment"
    );
    assert_eq!(all(&[&dev, &web]).unwrap().profile(), Some("dev"));
    let identity = all(&[&web, &container]).unwrap();
    assert_eq!(identity.account(), Some("444455556666"));
    assert_eq!(
        all(&[&container]).unwrap().to_string(),
        "container credentials"
    );
    assert_eq!(all(&[]).unwrap().to_string(), "instance role");
    assert_eq!(all(&[&off]), Err(IdentityError::NoCredentials));
    assert_eq!(
        all(&[&keys[..1], &off]),
        Err(IdentityError::NoCredentials),
        "a key id without its secret is nothing"
    );
    assert!(matches!(
        resolve(&[("AWS_DEFAULT_PROFILE", "nobody")]),
        Err(IdentityError::ProfileMissing { .. })
    ));
}

#[test]
fn one_principal_has_one_set_of_parts_and_two_principals_have_two() {
    let dev = profile("dev").unwrap();
    assert_eq!(dev.parts(), profile("dev-again").unwrap().parts());
    assert_eq!(dev.parts(), profile("legacy").unwrap().parts());
    assert_ne!(dev.parts(), profile("dev-read").unwrap().parts());
    assert_ne!(dev.parts(), profile("deploy").unwrap().parts());
    let pull = dev.clone().assuming("arn:aws:iam::111122223333:role/pull");
    assert_ne!(dev.parts(), pull.parts());
}

#[test]
fn services_that_answer_at_one_place_for_several_roles_are_told_apart() {
    type Variables<'a> = &'a [(&'a str, &'a str)];
    const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
    const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
    let container = (
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "http://127.0.0.1:9099/",
    );
    let profile = |name| [("AWS_PROFILE", name)];
    #[rustfmt::skip]
    let rows: [(Variables<'_>, Variables<'_>, bool); 9] = [
        (&[], &[(ENDPOINT, "http://127.0.0.1:1")], false),
        (&[(ENDPOINT, "http://127.0.0.1:2")], &[(ENDPOINT, "http://127.0.0.1:1")], false),
        (&[], &profile("metadata"), false),
        // The variable goes before the profile.
        (&[(ENDPOINT, "http://127.0.0.1:7")], &profile("metadata"), true),
        (&[(ENDPOINT, "http://127.0.0.1:8"), ("AWS_PROFILE", "metadata")], &[(ENDPOINT, "http://127.0.0.1:8")], true),
        (&[container], &[container, (TOKEN, "one")], false),
        (&[container, (TOKEN, "two")], &[container, (TOKEN, "one")], false),
        (&[container, (TOKEN_FILE, "/one")], &[container, (TOKEN_FILE, "/two")], false),
        (&[container, (TOKEN_FILE, "/one"), (TOKEN, "two")], &[container, (TOKEN_FILE, "/one")], true),
    ];
    for (one, other, are_same) in rows {
        let parts = |variables| {
            let identity = resolve(variables).unwrap();
            identity
                .parts()
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(parts(one) == parts(other), are_same, "{one:?} {other:?}");
    }
    let role = |variables| resolve(variables).unwrap();
    assert_ne!(
        role(&[("AWS_PROFILE", "instance-role")]).parts(),
        role(&[
            ("AWS_PROFILE", "instance-role"),
            (ENDPOINT, "http://127.0.0.1:1")
        ])
        .parts(),
    );
    let shown = role(&[container, (TOKEN, "hunter2")]).to_string();
    assert!(!shown.contains("hunter2"));
}

#[test]
fn the_account_is_told_where_it_is_declared() {
    assert_eq!(profile("dev").unwrap().account(), Some("111122223333"));
    assert_eq!(profile("far").unwrap().account(), Some("777788889999"));
    assert_eq!(profile("keys").unwrap().account(), None);
}

#[test]
fn a_credential_process_is_never_shown() {
    assert!(!shown("process").contains("hunter2"));
}
