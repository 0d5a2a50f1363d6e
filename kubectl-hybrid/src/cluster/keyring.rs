//! Which entries of a pull secret the kubelet uses for an image: its own rules, restated.
//!
//! Source: Kubernetes `pkg/credentialprovider/keyring.go`. The kubelet is stricter than Docker: the
//! number of dots must be equal, ports must be equal, case counts, and a path is a plain string
//! prefix.

/// An image reference without tag and digest, the way the kubelet looks it up.
///
/// `busybox:1.36` becomes `docker.io/library/busybox`.
pub fn repository_of(image: &str) -> String {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    let name = match name.rsplit_once(':') {
        // A colon before a slash belongs to the port.
        Some((before, tag)) if !tag.contains('/') => before,
        _ => name,
    };
    match name.split_once('/') {
        Some((first, _)) if is_registry(first) => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

/// The registry host of an image reference, with its port.
pub fn registry_of(image: &str) -> String {
    let repository = repository_of(image);
    repository
        .split_once('/')
        .map_or(repository.clone(), |(host, _)| host.to_owned())
}

fn is_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost"
}

/// Whether the kubelet uses the entry under `key` for `repository` (see [`repository_of`]).
pub fn key_matches(key: &str, repository: &str) -> bool {
    explain(key, repository).is_ok()
}

/// Why the kubelet passes an entry by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Mismatch {
    /// The key is not a URL: white space or a control character in it.
    #[error("the key is no URL, so the kubelet ignores it")]
    NotAUrl,
    /// Another host.
    #[error("the host is another one")]
    Host,
    /// `*` stands for one part between dots only.
    #[error("the number of parts between the dots differs")]
    Parts,
    /// The same host in other letters.
    #[error("upper and lower case count")]
    Case,
    /// One has a port that the other has not.
    #[error("the ports differ")]
    Port,
    /// The key's path is not a prefix of the image's.
    #[error("the path of the key does not begin the path of the image")]
    Path,
}

/// As [`key_matches`], with the reason.
///
/// # Errors
/// The first rule that speaks against it, the nearest last in [`Mismatch`]'s order.
pub fn explain(key: &str, repository: &str) -> Result<(), Mismatch> {
    let key = normal_key(key).ok_or(Mismatch::NotAUrl)?;
    let (key_host, key_port, key_path) = split(&key);
    let (host, port, path) = split(repository);
    let key_parts: Vec<&str> = key_host.split('.').collect();
    let parts: Vec<&str> = host.split('.').collect();
    let host_matches = |key_parts: &[&str], parts: &[&str]| {
        key_parts.len() == parts.len()
            && key_parts
                .iter()
                .zip(parts)
                .all(|(pattern, part)| glob(pattern, part) == Some(true))
    };
    if !host_matches(&key_parts, &parts) {
        let lower = key_host.to_ascii_lowercase();
        let lower_parts: Vec<&str> = lower.split('.').collect();
        return Err(if host_matches(&lower_parts, &parts) {
            Mismatch::Case
        } else if key_parts.len() != parts.len() && key_host.contains('*') {
            Mismatch::Parts
        } else {
            Mismatch::Host
        });
    }
    if key_port != port {
        return Err(Mismatch::Port);
    }
    if !path.starts_with(key_path) {
        return Err(Mismatch::Path);
    }
    Ok(())
}

/// The host that a key stands for: scheme and API version gone. `None` when it is no URL.
pub fn normal_key(key: &str) -> Option<String> {
    let rest = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    if rest.contains(|c: char| c.is_ascii_control()) {
        return None;
    }
    // Query and fragment are not part of the path.
    let rest = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    // User information is not part of the host.
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    if host.contains([' ', '\\', '^', '`', '{', '|', '}', '%']) {
        return None;
    }
    if let Some((_, port)) = host.rsplit_once(':')
        && !host.ends_with(']')
        && !port.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let path = if path.starts_with("/v1/") || path.starts_with("/v2/") {
        &path[3..]
    } else {
        path
    };
    Some(if path == "/" {
        host.to_owned()
    } else {
        format!("{host}{path}")
    })
}

fn split(url: &str) -> (&str, &str, &str) {
    let (authority, path) = match url.find('/') {
        Some(at) => url.split_at(at),
        None => (url, ""),
    };
    match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') => (host, port, path),
        _ => (authority, "", path),
    }
}

/// Go's `filepath.Match` on one part of a host name. `None` is a malformed pattern.
///
/// Of its special characters only `*` and `[a-z]` can stand in the host of a URL.
fn glob(pattern: &str, name: &str) -> Option<bool> {
    let pattern = tokens(pattern)?;
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut seen) = (0, 0);
    // Where to go on when a later token fails: after the last star, one character further.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let next = match (pattern.get(at), name.get(seen)) {
            (None, None) => return Some(true),
            (Some(Token::Star), _) => {
                retry = Some((at + 1, seen));
                at += 1;
                continue;
            }
            (Some(Token::OneOf(ranges)), Some(found)) => ranges
                .iter()
                .any(|(low, high)| low <= found && found <= high),
            _ => false,
        };
        if next {
            at += 1;
            seen += 1;
            continue;
        }
        match retry {
            Some((after_star, from)) if from < name.len() => {
                retry = Some((after_star, from + 1));
                at = after_star;
                seen = from + 1;
            }
            _ => return Some(false),
        }
    }
}

enum Token {
    Star,
    /// A character of one of these ranges; a plain character is a range of one.
    OneOf(Vec<(char, char)>),
}

fn tokens(pattern: &str) -> Option<Vec<Token>> {
    let mut rest = pattern.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(next) = rest.next() {
        tokens.push(match next {
            '*' => Token::Star,
            '[' => {
                let mut ranges = Vec::new();
                while ranges.is_empty() || rest.next_if_eq(&']').is_none() {
                    let low = rest.next().filter(|c| !matches!(c, '-' | ']'))?;
                    let high = match rest.next_if_eq(&'-') {
                        Some(_) => rest.next().filter(|c| !matches!(c, '-' | ']'))?,
                        None => low,
                    };
                    ranges.push((low, high));
                }
                Token::OneOf(ranges)
            }
            plain => Token::OneOf(vec![(plain, plain)]),
        });
    }
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

    #[test]
    fn keys_match_as_the_kubelet_does_it() {
        let image = format!("{HOST}/team/app");
        let table: [(&str, Result<(), Mismatch>); 30] = [
            ("HOST", Ok(())),
            ("https://HOST", Ok(())),
            ("http://HOST", Ok(())),
            ("https://HOST/", Ok(())),
            ("HOST/", Ok(())),
            ("https://HOST/v2/", Ok(())),
            ("https://HOST/v1/", Ok(())),
            ("https://HOST/v2", Err(Mismatch::Path)),
            ("HOST:443", Err(Mismatch::Port)),
            ("HOST/team", Ok(())),
            ("HOST/tea", Ok(())),
            ("HOST/team/", Ok(())),
            ("HOST/team/app", Ok(())),
            ("HOST/other", Err(Mismatch::Path)),
            ("HOST/team/app:latest", Err(Mismatch::Path)),
            ("*.dkr.ecr.eu-west-1.amazonaws.com", Ok(())),
            ("*.dkr.ecr.*.amazonaws.com", Ok(())),
            ("123456789012.dkr.ecr.eu-west-*.amazonaws.com", Ok(())),
            (
                "12345678901[0-9].dkr.ecr.eu-west-[1-3].amazonaws.com",
                Ok(()),
            ),
            // A question mark begins a query.
            (
                "12345678901?.dkr.ecr.eu-west-1.amazonaws.com",
                Err(Mismatch::Host),
            ),
            (
                "12345678901[^2].dkr.ecr.eu-west-1.amazonaws.com",
                Err(Mismatch::NotAUrl),
            ),
            ("*", Err(Mismatch::Parts)),
            ("*.amazonaws.com", Err(Mismatch::Parts)),
            (
                "123456789012.DKR.ecr.eu-west-1.amazonaws.com",
                Err(Mismatch::Case),
            ),
            ("HTTPS://HOST", Err(Mismatch::Host)),
            (" HOST", Err(Mismatch::NotAUrl)),
            ("HOST\n", Err(Mismatch::NotAUrl)),
            (
                "123456789012.dkr.ecr.eu-west-2.amazonaws.com",
                Err(Mismatch::Host),
            ),
            ("123456789012.dkr-ecr.eu-west-1.on.aws", Err(Mismatch::Host)),
            (
                "123456789012.dkr.ecr.eu-west-[.amazonaws.com",
                Err(Mismatch::Host),
            ),
        ];
        for (key, expected) in table {
            let key = key.replace("HOST", HOST);
            assert_eq!(explain(&key, &image), expected, "{key:?}");
        }
    }

    #[test]
    fn images_lose_tag_and_digest_and_gain_docker_hub() {
        let table = [
            ("busybox", "docker.io/library/busybox"),
            ("busybox:1.36", "docker.io/library/busybox"),
            ("team/app:1", "docker.io/team/app"),
            ("localhost/app", "localhost/app"),
            ("localhost:5000/app:1", "localhost:5000/app"),
            ("localhost:5000/app", "localhost:5000/app"),
            ("r.example/a/b@sha256:00", "r.example/a/b"),
            ("r.example:5000/a/b:1@sha256:00", "r.example:5000/a/b"),
        ];
        for (image, expected) in table {
            assert_eq!(repository_of(image), expected);
        }
        assert_eq!(registry_of("r.example:5000/a/b:1"), "r.example:5000");
        assert_eq!(registry_of("busybox"), "docker.io");
    }

    #[test]
    fn ports_must_be_equal_on_both_sides() {
        assert!(key_matches("r.example:5000", "r.example:5000/a"));
        assert!(!key_matches("r.example", "r.example:5000/a"));
        assert!(!key_matches("r.example:5000", "r.example/a"));
    }

    #[test]
    fn no_pattern_panics_or_runs_for_ever() {
        for pattern in [
            "",
            "[",
            "[]",
            "[a-",
            "[a-]",
            "[a-z",
            "*[",
            "[]a]",
            "**********a",
        ] {
            let _ = glob(pattern, "aaaaaaaaaaaaaaaaaaaaaaaaaaaa");
            let _ = glob(pattern, "");
        }
        // Stars are not tried in every combination.
        assert_eq!(
            glob(&format!("{}b", "*a".repeat(30)), &"a".repeat(63)),
            Some(false)
        );
        assert_eq!(glob("[a", "a"), None);
        assert_eq!(glob("*[", "a"), None);
        assert_eq!(glob("[0-9a]*", "7x"), Some(true));
        assert_eq!(glob("", ""), Some(true));
    }
}
