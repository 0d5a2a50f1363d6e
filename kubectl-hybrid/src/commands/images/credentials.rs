//! Why Docker had no credentials: asked again of the one who could not give them.
//!
//! Of what a credential helper says Docker shows one stream. The hint is on the other, and which kind
//! of failure it was is on neither.

use ecr_hybrid::aws;
use ecr_hybrid::cache::TokenSource;
use ecr_hybrid::host::Registry;

use crate::docker::command::Failure;
use crate::error::CommandError;
use crate::exit::Exit;

/// How our helper's sentence begins, and what it names the registry after.
const OUR_WORDS: &str = "ecr-hybrid: ";
const BEFORE_THE_REGISTRY: &str = "ECR token for ";

/// The error of a command of Docker's, as what it was when our helper had no token: with the exit
/// code and the hint of that.
pub(super) async fn explained(error: CommandError, failure: Option<&Failure>) -> CommandError {
    let Some(registry) = failure.and_then(|failure| refused(&failure.tail)) else {
        return error;
    };
    // Those that this process began with may still do.
    aws::forget_credentials();
    let asked =
        tokio::task::spawn_blocking(move || TokenSource::from_environment().token(&registry));
    match asked.await {
        Ok(Err(why)) => {
            let exit = if why.is_authentication() {
                Exit::AwsAuthentication
            } else {
                error.exit()
            };
            error.really(exit, why.hint())
        }
        // By now there is one.
        _ => error,
    }
}

/// The registry that our helper had no token for, by its own sentence.
fn refused(tail: &[String]) -> Option<Registry> {
    tail.iter().find_map(|line| {
        let (_, said) = line.split_once(OUR_WORDS)?;
        let (_, rest) = said.split_once(BEFORE_THE_REGISTRY)?;
        let end = rest.find([' ', ':']).unwrap_or(rest.len());
        Registry::parse(&rest[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_read_from_what_docker_shows_of_our_helper() {
        let host = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
        let of = |line: &str| {
            let registry = refused(&["something".to_owned(), line.to_owned()]);
            registry.map(|registry| registry.host().to_owned())
        };
        let sentence = format!(
            "error getting credentials - err: exit status 1, out: `ecr-hybrid: Cannot get an ECR \
             token for {host}: the login session of AWS profile `team` has expired.`"
        );
        assert_eq!(of(&sentence).as_deref(), Some(host));
        let from = sentence.replace(&format!("{host}:"), &format!("{host} from http://x:"));
        assert_eq!(of(&from).as_deref(), Some(host));
        assert_eq!(of("error getting credentials: ecr-login: no token"), None);
        assert_eq!(
            of("ecr-hybrid: Cannot get an ECR token for example.com: x"),
            None
        );
        assert_eq!(of("ecr-hybrid: ECR token for "), None);
    }
}
