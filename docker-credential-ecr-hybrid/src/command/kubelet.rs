//! `kubelet`: answers as an image credential provider.

use std::io::{self, Read, Write};

use jiff::Timestamp;

use super::{FAILED, NAME, OK, say};
use crate::cache::TokenSource;
use crate::configure::Server;
use crate::kubelet::{Answer, Request, provider_config};

/// The kubelet's requests are far smaller.
const LARGEST_REQUEST: u64 = 1024 * 1024;

fn usage() -> String {
    format!(
        "Usage: {NAME} kubelet\n\
         \x20      {NAME} kubelet --print-config [HOST...]\n\n\
         Answers the kubelet's CredentialProviderRequest on standard input.\n\n\
         Options:\n  --print-config  Print a CredentialProviderConfig for these registries, or for all of ECR"
    )
}

pub(super) fn run(
    words: &[&str],
    stdin: &mut dyn Read,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> io::Result<u8> {
    match words {
        [] => answer(stdin, stdout, stderr),
        ["--help" | "-h"] => say(stdout, &usage()).map(|()| OK),
        ["--print-config", hosts @ ..] => {
            let servers: Result<Vec<Server>, _> = hosts.iter().map(|host| host.parse()).collect();
            match servers {
                Ok(servers) => say(stdout, provider_config(&servers).trim_end()).map(|()| OK),
                Err(error) => say(stderr, &format!("ecr-hybrid: {error}")).map(|()| FAILED),
            }
        }
        _ => say(stderr, &usage()).map(|()| FAILED),
    }
}

/// The kubelet reads standard output when the exit code is 0, and otherwise logs standard error.
fn answer(stdin: &mut dyn Read, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
    let mut text = Vec::new();
    // An input that breaks off is no JSON, and the kubelet hears so.
    let _ = stdin.take(LARGEST_REQUEST).read_to_end(&mut text);
    let request = match Request::parse(&text) {
        Ok(request) => request,
        Err(error) => return say(stderr, &format!("ecr-hybrid: {error}")).map(|()| FAILED),
    };
    // `matchImages` may be wider than ECR: such an image is pulled without a login.
    let Some((registry, key)) = request.registry() else {
        return Answer::anonymous().write(stdout).map(|()| OK);
    };
    let source = TokenSource::from_environment();
    let error = match source.token(&registry) {
        Ok(token) => {
            let answer = Answer::login(&key, &token, Timestamp::now());
            return answer.write(stdout).map(|()| OK);
        }
        Err(error) => error,
    };
    source.log().line(|| format!("kubelet {registry}: {error}"));
    // The public gallery also serves the anonymous.
    if registry.is_public() {
        return Answer::anonymous().write(stdout).map(|()| OK);
    }
    let hint = error
        .hint()
        .map_or(String::new(), |hint| format!(" {hint}"));
    say(stderr, &format!("ecr-hybrid: {error}{hint}")).map(|()| FAILED)
}
