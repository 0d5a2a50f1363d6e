//! The helper as a command: words in, streams out, an exit code.

mod configure;
mod kubelet;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Read, Write};

use jiff::Timestamp;

use crate::cache::TokenSource;
use crate::environment::{Environment, HOME_OF_CACHES};
use crate::host::Registry;
use crate::mint::without_user;
use crate::protocol::{self, Action, NOT_FOUND};
use crate::token::USERNAME;

/// The name that Docker knows the helper by, `docker-credential-` included.
pub const NAME: &str = "docker-credential-ecr-hybrid";

const OK: u8 = 0;
const FAILED: u8 = 1;

/// Runs the helper with the words that follow its name. Returns the exit code: 0 or 1, the only
/// ones that the protocol knows.
///
/// Of the words of the protocol only `get` writes to `stderr`, when there is no token, and never when
/// the host is not ours: some clients mix the streams. The streams must not be locked ones of the process.
pub fn run(
    words: impl IntoIterator<Item = OsString>,
    stdin: &mut dyn Read,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> u8 {
    let words: Vec<String> = words
        .into_iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let code = match *words.as_slice() {
        ["--help" | "-h"] => say(stdout, &usage()).map(|()| OK),
        ["--version" | "-v"] => version(stdout),
        ["which", host] => which(stdout, host),
        ["cache", "list"] => cache_list(stdout, stderr),
        ["cache", "clear"] => cache_clear(stdout, stderr),
        ["cache", "path"] => cache_path(stdout),
        ["configure", ref words @ ..] => configure::run(words, stdout, stderr),
        ["kubelet", ref words @ ..] => kubelet::run(words, stdin, stdout, stderr),
        [word] => match Action::from_word(word) {
            Some(action) => act(action, stdin, stdout, stderr),
            None if matches!(word, "cache" | "which") => say(stdout, &usage()).map(|()| FAILED),
            None => say(stdout, &format!("{NAME}: unknown action: {word}")).map(|()| FAILED),
        },
        _ => say(stdout, &usage()).map(|()| FAILED),
    };
    // A closed standard output is the client's own affair, and no reason for a panic.
    code.unwrap_or(FAILED)
}

fn usage() -> String {
    format!(
        "Usage: {NAME} <store|get|erase|list|version|which HOST|cache list|clear|path|configure HOST...|kubelet>"
    )
}

fn say(stdout: &mut dyn Write, text: &str) -> io::Result<()> {
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

fn act(
    action: Action,
    stdin: &mut dyn Read,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> io::Result<u8> {
    match action {
        Action::Get => get(stdin, stdout, stderr),
        Action::Store => match protocol::read_credentials(stdin) {
            Ok(url) => store(&url, stdout),
            Err(text) => say(stdout, &text).map(|()| FAILED),
        },
        Action::Erase => match protocol::read_server_url(stdin) {
            Ok(url) => {
                if let Some(registry) = Registry::parse(&url) {
                    TokenSource::from_environment().forget(&registry);
                }
                Ok(OK)
            }
            Err(text) => say(stdout, text).map(|()| FAILED),
        },
        Action::List => {
            let kept = TokenSource::from_environment().kept();
            let servers: BTreeMap<String, &str> =
                kept.into_iter().map(|(host, _)| (host, USERNAME)).collect();
            protocol::write_list(stdout, &servers).map(|()| OK)
        }
        Action::Version => version(stdout),
    }
}

/// Takes a login for one of our registries, and keeps nothing: `docker login` hands back what `get`
/// gave it, or a token that will be out of date in hours, and the next `get` has its own.
///
/// Any other login would be lost, so whoever brings it is told. That happens where the helper is
/// the `credsStore`.
fn store(url: &str, stdout: &mut dyn Write) -> io::Result<u8> {
    let is_wanted_silent = || Environment::of_process().is_on("AWS_ECR_IGNORE_CREDS_STORAGE");
    if Registry::parse(url).is_some() || is_wanted_silent() {
        return Ok(OK);
    }
    let shown: String = url.escape_debug().take(200).collect();
    let sentence = format!(
        "ecr-hybrid keeps no login for {shown}: it answers for ECR alone, so make another helper the `credsStore` and name ECR's hosts in `credHelpers`, as `{NAME} configure HOST` does."
    );
    say(stdout, &sentence).map(|()| FAILED)
}

fn get(stdin: &mut dyn Read, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
    let url = match protocol::read_server_url(stdin) {
        Ok(url) => url,
        Err(text) => return say(stdout, text).map(|()| FAILED),
    };
    // Not ours: the exact text, at once, without a look at any file.
    let Some(registry) = Registry::parse(&url) else {
        return say(stdout, NOT_FOUND).map(|()| FAILED);
    };
    let source = TokenSource::from_environment();
    let error = match source.token(&registry) {
        Ok(token) => return protocol::write_credentials(stdout, &url, &token).map(|()| OK),
        Err(error) => error,
    };
    source.log().line(|| format!("get {registry}: {error}"));
    // The public gallery also serves the anonymous.
    if registry.is_public() || source.environment().is_on("HYBRID_NOT_FOUND_ONLY") {
        return say(stdout, NOT_FOUND).map(|()| FAILED);
    }
    let hint = error.hint();
    let hint_behind = hint
        .as_ref()
        .map_or(String::new(), |hint| format!(" {hint}"));
    // Docker shows standard output from version 29 on, and only standard error before that.
    let shown = say(stdout, &format!("{error}{hint_behind}"));
    let _ = writeln!(stderr, "ecr-hybrid: {error}");
    if let Some(hint) = hint {
        let _ = writeln!(stderr, "hint: {hint}");
    }
    shown.map(|()| FAILED)
}

fn version(stdout: &mut dyn Write) -> io::Result<u8> {
    let version = env!("CARGO_PKG_VERSION");
    say(stdout, &format!("{NAME} (ecr-hybrid) {version}")).map(|()| OK)
}

/// Explains which identity a host would be asked for with, without a network call.
fn which(stdout: &mut dyn Write, host: &str) -> io::Result<u8> {
    let Some(registry) = Registry::parse(host) else {
        return say(stdout, &format!("`{host}` is not a host of ECR.")).map(|()| FAILED);
    };
    let source = TokenSource::from_environment();
    let (plan, stores) = match source.plan(&registry).and_then(|plan| {
        let stores = source.store_names()?;
        Ok((plan, stores))
    }) {
        Ok(found) => found,
        Err(error) => {
            let hint = error
                .hint()
                .map_or(String::new(), |hint| format!("\n{hint}"));
            return say(stdout, &format!("{error}{hint}")).map(|()| FAILED);
        }
    };
    let endpoint = plan.endpoint.as_deref().map_or_else(
        || format!("https://{}", plan.asked.api_host()),
        |endpoint| without_user(endpoint).to_owned(),
    );
    let stores = if stores.is_empty() {
        "none".to_owned()
    } else {
        stores.join(", ")
    };
    say(
        stdout,
        &format!(
            "registry  {registry}\naccount   {}\nregion    {}\nidentity  {}\nbecause   {}\nasks      {endpoint}\nstores    {stores}\nkey       {}",
            registry.account().unwrap_or("public"),
            plan.asked.region(),
            plan.choice.identity,
            plan.choice.reason,
            plan.key.as_str(),
        ),
    )
    .map(|()| OK)
}

fn cache_list(stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
    let now = Timestamp::now();
    let swept = match TokenSource::from_environment().entries() {
        Ok(swept) => swept,
        Err(error) => return refuse(stderr, &[error]),
    };
    if swept.found.is_empty() && swept.errors.is_empty() {
        return say(stdout, "Nothing is kept.").map(|()| OK);
    }
    for (store, key, envelope) in swept.found {
        let state = if envelope.token.is_alive(now) {
            "expires"
        } else {
            "expired"
        };
        let line = format!(
            "{}  {store}  {state} {}  {}  {}",
            key.as_str(),
            envelope.token.expires_at(),
            envelope.identity,
            envelope.hosts.join(" "),
        );
        say(stdout, &line)?;
    }
    refuse(stderr, &swept.errors)
}

fn cache_clear(stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<u8> {
    let swept = match TokenSource::from_environment().forget_all() {
        Ok(swept) => swept,
        Err(error) => return refuse(stderr, &[error]),
    };
    let removed = swept.found;
    let entries = if removed == 1 { "entry" } else { "entries" };
    say(stdout, &format!("{removed} {entries} removed."))?;
    refuse(stderr, &swept.errors)
}

/// Tells what went wrong, if anything did.
fn refuse(stderr: &mut dyn Write, errors: &[impl Display]) -> io::Result<u8> {
    for error in errors {
        writeln!(stderr, "{error}")?;
    }
    Ok(if errors.is_empty() { OK } else { FAILED })
}

fn cache_path(stdout: &mut dyn Write) -> io::Result<u8> {
    match TokenSource::from_environment().environment().cache_folder() {
        Some(folder) => say(stdout, &folder.display().to_string()).map(|()| OK),
        None => say(
            stdout,
            &format!(
                "There is no cache folder: {HOME_OF_CACHES} and HYBRID_CACHE_DIR are not set."
            ),
        )
        .map(|()| FAILED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(words: &[&str], input: &str) -> (u8, String, String) {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let words = words.iter().map(OsString::from);
        let code = run(words, &mut input.as_bytes(), &mut stdout, &mut stderr);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (code, text(stdout), text(stderr))
    }

    #[test]
    fn a_host_that_is_not_ours_gets_the_exact_text_and_a_silent_stderr() {
        for host in ["docker.io", "https://not.a.real.registry/url", "\u{0}"] {
            let (code, stdout, stderr) = answer(&["get"], host);
            assert_eq!((code, stderr.as_str()), (1, ""));
            assert_eq!(stdout, "credentials not found in native keychain\n");
        }
    }

    #[test]
    fn words_are_answered_as_the_reference_does() {
        let usage = usage() + "\n";
        assert_eq!(answer(&[], ""), (1, usage.clone(), String::new()));
        assert_eq!(answer(&["--help"], ""), (0, usage.clone(), String::new()));
        assert_eq!(answer(&["get", "x"], ""), (1, usage, String::new()));
        let (code, stdout, _) = answer(&["boil"], "");
        assert_eq!(code, 1);
        assert_eq!(stdout, format!("{NAME}: unknown action: boil\n"));
        let (code, stdout, _) = answer(&["version"], "");
        assert_eq!(code, 0);
        assert!(stdout.starts_with(&format!("{NAME} (ecr-hybrid) ")));
        assert_eq!(answer(&["--version"], "").1, stdout);
    }

    #[test]
    fn an_empty_input_is_named() {
        for word in ["get", "erase"] {
            let (code, stdout, _) = answer(&[word], " \n");
            assert_eq!((code, stdout.as_str()), (1, "no credentials server URL\n"));
        }
    }

    #[test]
    fn a_login_of_ours_is_taken_in_silence_and_another_is_not_lost_in_silence() {
        let login = |host: &str| format!(r#"{{"ServerURL":"{host}","Username":"a","Secret":"s"}}"#);
        let ours = answer(&["store"], &login("public.ecr.aws"));
        assert_eq!(ours, (0, String::new(), String::new()));
        let (code, stdout, stderr) = answer(&["store"], &login("https://index.docker.io/v1/"));
        assert_eq!((code, stderr.as_str()), (1, ""));
        assert!(stdout.contains("no login for https://index.docker.io/v1/"));
        assert_eq!(stdout.lines().count(), 1);
        let erased = answer(&["erase"], "https://docker.io");
        assert_eq!(erased, (0, String::new(), String::new()));
    }
}
