//! Whether a tag of a repository may be moved.

use serde::Serialize;

use super::reference::Tag;

/// The rule of a repository, as ECR keeps it.
///
/// The exclusion lists are wildcard filters: `*` stands for any run of characters, and a tag that
/// one of them matches follows the opposite rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "rule", content = "except", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Mutability {
    /// Each tag may be moved.
    Mutable,
    /// Each tag stays where it was pushed first.
    Immutable,
    /// Tags may be moved, except those that match.
    MutableExcept(Vec<String>),
    /// Tags stay, except those that match.
    ImmutableExcept(Vec<String>),
}

impl Mutability {
    /// Whether this tag may be moved to another image.
    pub fn may_move(&self, tag: &Tag) -> bool {
        let listed = |filters: &[String]| filters.iter().any(|f| matches(f, tag.as_str()));
        match self {
            Self::Mutable => true,
            Self::Immutable => false,
            Self::MutableExcept(filters) => !listed(filters),
            Self::ImmutableExcept(filters) => listed(filters),
        }
    }
}

/// Greedy wildcard match: the first part must start the text, the last must end it, and the parts
/// between are found from left to right.
fn matches(filter: &str, text: &str) -> bool {
    let Some((first, rest)) = filter.split_once('*') else {
        return filter == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_ecr_describes_them() {
        let cases = [
            ("dev", "dev", true),
            ("dev", "dev2", false),
            ("dev*", "dev2", true),
            ("*dev", "my-dev", true),
            ("*", "anything", true),
            ("a*b*c", "a--b--c", true),
            ("a*b*c", "a--c--b", false),
            ("a*a", "a", false),
            ("**", "x", true),
        ];
        for (filter, text, expected) in cases {
            assert_eq!(matches(filter, text), expected, "{filter} {text}");
        }
    }

    #[test]
    fn exclusions_turn_the_rule_round() {
        let tag: Tag = "dev".parse().unwrap();
        let other: Tag = "v1".parse().unwrap();
        let except = || vec!["dev*".to_owned()];
        assert!(Mutability::Mutable.may_move(&tag));
        assert!(!Mutability::Immutable.may_move(&tag));
        assert!(!Mutability::MutableExcept(except()).may_move(&tag));
        assert!(Mutability::MutableExcept(except()).may_move(&other));
        assert!(Mutability::ImmutableExcept(except()).may_move(&tag));
        assert!(!Mutability::ImmutableExcept(except()).may_move(&other));
    }
}
