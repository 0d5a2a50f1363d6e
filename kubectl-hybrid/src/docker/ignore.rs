//! The rules of `.dockerignore`: which files of a build context Docker sees.
//!
//! The language is that of moby's `patternmatcher`: shell wildcards that stop at `/`, `**` for any
//! number of folders, `!` for exceptions, and the last rule that matches decides. A rule that
//! matches a folder matches all that is in it.

/// The rules of one file, in order.
#[derive(Debug, Clone, Default)]
pub struct IgnoreRules {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    tokens: Vec<Token>,
    is_exception: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// This byte.
    Byte(u8),
    /// One character other than `/`.
    One,
    /// Any run of characters other than `/`.
    Star,
    /// Anything.
    Deep,
    /// Nothing, or anything that ends with `/`.
    Folders,
    /// One byte out of, or not out of, these ranges.
    Class {
        negated: bool,
        ranges: Vec<(u8, u8)>,
    },
}

impl IgnoreRules {
    /// Reads the rules. A rule that Docker refuses matches nothing here: the build says it better.
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let rules = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let line = line.trim();
                let (pattern, is_exception) = match line.strip_prefix('!') {
                    Some(rest) => (rest.trim(), true),
                    None => (line, false),
                };
                let pattern = clean(pattern)?;
                Some(Rule {
                    tokens: tokens(&pattern)?,
                    is_exception,
                })
            })
            .collect();
        Self { rules }
    }

    /// Whether Docker leaves this path out. The path is relative to the context, with `/` between
    /// its parts.
    pub fn excludes(&self, path: &[u8]) -> bool {
        let mut excluded = false;
        for rule in &self.rules {
            // A rule that would not change the answer need not be matched.
            if rule.is_exception == excluded && rule.matches(path) {
                excluded = !rule.is_exception;
            }
        }
        excluded
    }

    /// Whether something under an excluded folder may be seen after all.
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.is_exception)
    }
}

impl Rule {
    fn matches(&self, path: &[u8]) -> bool {
        let folders = path
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(end, _)| &path[..end]);
        matches(&self.tokens, path) || folders.into_iter().any(|f| matches(&self.tokens, f))
    }
}

/// The pattern without `.`, `..`, doubled and outer slashes; `None` when nothing is left.
fn clean(pattern: &str) -> Option<String> {
    let pattern = if cfg!(windows) {
        pattern.replace('\\', "/")
    } else {
        pattern.to_owned()
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if pattern.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

fn tokens(pattern: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut bytes = pattern.bytes().peekable();
    while let Some(byte) = bytes.next() {
        tokens.push(match byte {
            b'*' if bytes.next_if_eq(&b'*').is_some() => {
                bytes.next_if_eq(&b'/');
                if bytes.peek().is_none() {
                    Token::Deep
                } else {
                    Token::Folders
                }
            }
            b'*' => Token::Star,
            b'?' => Token::One,
            b'[' => class(&mut bytes)?,
            b'\\' => Token::Byte(bytes.next()?),
            byte => Token::Byte(byte),
        });
    }
    Some(tokens)
}

fn class(bytes: &mut impl Iterator<Item = u8>) -> Option<Token> {
    let mut ranges: Vec<(u8, u8)> = Vec::new();
    let mut negated = false;
    let mut is_range = false;
    for position in 0.. {
        let byte = match bytes.next()? {
            b'^' if position == 0 => {
                negated = true;
                continue;
            }
            b']' if !ranges.is_empty() => break,
            b'-' if !ranges.is_empty() && !is_range => {
                is_range = true;
                continue;
            }
            b'\\' => bytes.next()?,
            byte => byte,
        };
        match ranges.last_mut() {
            Some(last) if is_range => last.1 = byte,
            _ => ranges.push((byte, byte)),
        }
        is_range = false;
    }
    Some(Token::Class { negated, ranges })
}

/// Follows all ways through the pattern at once, so that no pattern takes long.
fn matches(tokens: &[Token], path: &[u8]) -> bool {
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    for token in tokens {
        let mut next = vec![false; path.len() + 1];
        let mut seen_any = false;
        for at in 0..=path.len() {
            let byte = path.get(at).copied();
            match token {
                Token::Byte(expected) if reached[at] && byte == Some(*expected) => {
                    next[at + 1] = true;
                }
                Token::One if reached[at] && byte.is_some_and(|b| b != b'/') => {
                    next[at + character_len(&path[at..])] = true;
                }
                Token::Class { negated, ranges } if reached[at] => {
                    if let Some(byte) = byte
                        && ranges
                            .iter()
                            .any(|(from, to)| (*from..=*to).contains(&byte))
                            != *negated
                    {
                        next[at + 1] = true;
                    }
                }
                Token::Star => {
                    next[at] = next[at] || reached[at];
                    if next[at] && byte.is_some_and(|b| b != b'/') {
                        next[at + 1] = true;
                    }
                }
                Token::Deep => {
                    seen_any = seen_any || reached[at];
                    next[at] = seen_any;
                }
                Token::Folders => {
                    next[at] = reached[at] || (seen_any && path[at - 1] == b'/');
                    seen_any = seen_any || reached[at];
                }
                _ => {}
            }
        }
        reached = next;
    }
    reached[path.len()]
}

/// The length of the first character, one byte for what is not UTF-8.
fn character_len(bytes: &[u8]) -> usize {
    let len = match bytes.first() {
        Some(0xC0..=0xDF) => 2,
        Some(0xE0..=0xEF) => 3,
        Some(0xF0..=0xF7) => 4,
        _ => 1,
    };
    len.min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_decide_as_docker_s_do() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            (
                "node_modules",
                &["node_modules", "node_modules/a/b"],
                &["web/node_modules", "node_modules2"],
            ),
            (
                "**/node_modules",
                &["node_modules", "a/b/node_modules/c"],
                &["a/node_modulesx"],
            ),
            ("*.md", &["README.md"], &["docs/README.md", "README.mdx"]),
            ("*.md\n!README.md", &["NOTES.md"], &["README.md"]),
            ("!README.md\n*.md", &["README.md"], &[]),
            ("/dist/", &["dist", "dist/x"], &["web/dist"]),
            ("./dist//x/../y", &["dist/y"], &["dist/x"]),
            ("**", &["a", "a/b"], &[]),
            ("**\n!src", &["a", "b/src"], &["src", "src/main.rs"]),
            ("a/**/z", &["a/z", "a/b/z", "a/b/c/z"], &["a/bz", "z"]),
            ("a/**", &["a/b", "a/b/c"], &["b"]),
            ("**/*.log", &["x.log", "a/b/x.log"], &["x.logs"]),
            (
                "file?.txt",
                &["file1.txt", "fileä.txt"],
                &["file.txt", "file/.txt", "file12.txt"],
            ),
            ("[a-c]x", &["ax", "cx"], &["dx"]),
            ("[^a-c]x", &["dx"], &["ax"]),
            (r"\#x", &["#x"], &["x"]),
            ("# comment\n\n  x  ", &["x"], &["# comment"]),
            ("a.b", &["a.b"], &["axb"]),
            (".", &[], &["a"]),
            ("[", &[], &["["]),
            ("!", &[], &["a"]),
            ("\u{feff}x", &["x"], &[]),
        ];
        for (text, excluded, seen) in cases {
            if cfg!(windows) && text.contains('\\') {
                continue;
            }
            let rules = IgnoreRules::parse(text);
            for path in *excluded {
                assert!(
                    rules.excludes(path.as_bytes()),
                    "{text:?} should exclude {path}"
                );
            }
            for path in *seen {
                assert!(
                    !rules.excludes(path.as_bytes()),
                    "{text:?} should not exclude {path}"
                );
            }
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let pattern = "*a".repeat(200);
        let path = "a".repeat(4000);
        let rules = IgnoreRules::parse(&format!("{pattern}b"));
        assert!(!rules.excludes(path.as_bytes()));
    }
}
