//! Where an API is asked, by the rules of the AWS SDKs: what is configured goes before what the
//! host's name says.

use crate::aws_files::{AwsFiles, Section};
use crate::choice::Choice;
use crate::environment::Environment;
use crate::host::{Registry, Service};
use crate::identity::chosen_profile;

/// The endpoint that is configured for a service: the service's variable, the general one, the
/// profile's `services` section, the profile itself. None where those are to be ignored.
pub(crate) fn configured(
    environment: &Environment,
    files: &AwsFiles,
    choice: &Choice,
    service: Service,
) -> Option<String> {
    let name = profile_name(environment, choice);
    let ignored = is_on(
        environment,
        files.profile(&name),
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "ignore_configured_endpoint_urls",
    );
    if ignored {
        return None;
    }
    let (variable, section) = match service {
        Service::Private => ("AWS_ENDPOINT_URL_ECR", "ecr"),
        Service::Public => ("AWS_ENDPOINT_URL_ECR_PUBLIC", "ecr_public"),
    };
    environment
        .var(variable)
        .or_else(|| environment.var("AWS_ENDPOINT_URL"))
        .or_else(|| files.endpoint_url(&name, section).map(str::to_owned))
}

/// The registry as its API is asked: at the FIPS or the dual-stack endpoint where its name or the
/// configuration says so.
pub(crate) fn form(
    environment: &Environment,
    files: &AwsFiles,
    choice: &Choice,
    registry: &Registry,
) -> Registry {
    let profile = files.profile(&profile_name(environment, choice));
    let is_on = |variable, key| is_on(environment, profile, variable, key);
    registry.in_form(
        is_on("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"),
        is_on("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"),
    )
}

fn profile_name(environment: &Environment, choice: &Choice) -> String {
    let of_identity = choice.identity.profile().map(str::to_owned);
    of_identity
        .or_else(|| chosen_profile(environment))
        .unwrap_or_else(|| "default".to_owned())
}

/// A setting that the variable decides, and the profile where there is none.
fn is_on(environment: &Environment, profile: Option<&Section>, variable: &str, key: &str) -> bool {
    match environment.var(variable) {
        Some(_) => environment.is_on(variable),
        None => profile
            .and_then(|profile| profile.get(key))
            .is_some_and(|value| value.eq_ignore_ascii_case("true")),
    }
}
