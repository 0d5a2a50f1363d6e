//! Where in a JSON text each value stands.

use std::ops::Range;

use serde_json::Value;

/// A text that is not JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {why}")]
pub(crate) struct JsonError {
    /// The line, counted from one.
    pub(crate) line: usize,
    /// The column in bytes, counted from one.
    pub(crate) column: usize,
    /// What is wrong, as a clause.
    pub(crate) why: String,
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// The bytes of the value, brackets and quotes included.
    pub(crate) span: Range<usize>,
    pub(crate) kind: Kind,
}

/// What a value is, as far as an edit must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Object(Vec<Member>),
    Array(Vec<Node>),
    Text(String),
    Null,
    /// A number, or true or false.
    Plain,
}

/// A key of an object, with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) key: String,
    /// The bytes of the key, quotes included.
    pub(crate) key_span: Range<usize>,
    pub(crate) value: Node,
}

impl Node {
    /// The members of an object; of anything else, none.
    pub(crate) fn members(&self) -> &[Member] {
        match &self.kind {
            Kind::Object(members) => members,
            _ => &[],
        }
    }

    /// The value of a key. Of a key that stands twice the last one counts, as for Docker.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        let found = self.members().iter().rev().find(|member| member.key == key);
        found.map(|member| &member.value)
    }

    /// The text of a string.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Reads a text.
pub(crate) fn parse(text: &str) -> Result<Node, JsonError> {
    if let Err(error) = serde_json::from_str::<Value>(text) {
        let whole = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        return Err(JsonError {
            line: error.line(),
            column: error.column().max(1),
            why: whole.strip_suffix(&place).unwrap_or(&whole).to_owned(),
        });
    }
    // From here on the text is known to be JSON, no deeper than the reader above allows.
    let mut scan = Scan { text, at: 0 };
    scan.value().ok_or_else(|| JsonError {
        line: 1,
        column: 1,
        why: "it cannot be read".to_owned(),
    })
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Passes a punctuation mark and the space before it, if it is next.
    fn pass(&mut self, mark: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(mark);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self) -> Option<Node> {
        self.skip_space();
        let start = self.at;
        let kind = match self.peek()? {
            b'{' => Kind::Object(self.members()?),
            b'[' => Kind::Array(self.items()?),
            b'"' => Kind::Text(self.string()?),
            first => {
                while self
                    .peek()
                    .is_some_and(|byte| !b" \t\r\n,]}".contains(&byte))
                {
                    self.at += 1;
                }
                if first == b'n' {
                    Kind::Null
                } else {
                    Kind::Plain
                }
            }
        };
        let span = start..self.at;
        Some(Node { span, kind })
    }

    fn members(&mut self) -> Option<Vec<Member>> {
        self.at += 1;
        let mut members = Vec::new();
        if self.pass(b'}') {
            return Some(members);
        }
        loop {
            self.skip_space();
            let start = self.at;
            let key = self.string()?;
            let key_span = start..self.at;
            if !self.pass(b':') {
                return None;
            }
            let value = self.value()?;
            members.push(Member {
                key,
                key_span,
                value,
            });
            if self.pass(b'}') {
                return Some(members);
            }
            if !self.pass(b',') {
                return None;
            }
        }
    }

    fn items(&mut self) -> Option<Vec<Node>> {
        self.at += 1;
        let mut items = Vec::new();
        if self.pass(b']') {
            return Some(items);
        }
        loop {
            items.push(self.value()?);
            if self.pass(b']') {
                return Some(items);
            }
            if !self.pass(b',') {
                return None;
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return None;
        }
        self.at += 1;
        loop {
            match self.peek()? {
                b'\\' => self.at += 2,
                b'"' => break,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        serde_json::from_str(self.text.get(start..self.at)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_value_knows_its_place() {
        let text = " { \"a\" : [1, {\"\\u0062\":\"x\\\"y\"}], \"n\":null,\"a\":true } \n";
        let root = parse(text).unwrap();
        let shown = |node: &Node| text[node.span.clone()].to_owned();
        assert_eq!(shown(&root), text.trim());
        assert_eq!(shown(root.get("a").unwrap()), "true");
        assert_eq!(root.get("n").unwrap().kind, Kind::Null);
        let Kind::Array(items) = &root.members()[0].value.kind else {
            panic!("not a list");
        };
        assert_eq!(shown(&items[0]), "1");
        assert_eq!(items[1].get("b").unwrap().text(), Some("x\"y"));
    }

    #[test]
    fn what_is_not_json_is_named_with_line_and_column() {
        let error = parse("{\n  \"a\": 1,\n  oops\n}").unwrap_err();
        assert_eq!((error.line, error.column), (3, 3));
        assert!(!error.why.contains("line"), "{}", error.why);
        assert!(parse("{\"a\":1} x").is_err());
        assert_eq!(parse("").unwrap_err().column, 1);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn same(text: &str, node: &Node, value: &Value) -> bool {
        let own: Value = serde_json::from_str(&text[node.span.clone()]).unwrap();
        let inner = match (&node.kind, value) {
            (Kind::Object(members), Value::Object(map)) => {
                members.len() == map.len()
                    && members
                        .iter()
                        .all(|member| same(text, &member.value, &map[&member.key]))
            }
            (Kind::Array(items), Value::Array(list)) => {
                items.len() == list.len()
                    && items
                        .iter()
                        .zip(list)
                        .all(|(item, value)| same(text, item, value))
            }
            (Kind::Text(text), Value::String(other)) => text == other,
            (Kind::Null, Value::Null) | (Kind::Plain, Value::Bool(_) | Value::Number(_)) => true,
            _ => false,
        };
        inner && own == *value
    }

    proptest! {
        #[test]
        fn the_tree_is_the_text_s_own_value(value in json(), pretty in any::<bool>()) {
            let text = if pretty {
                serde_json::to_string_pretty(&value).unwrap()
            } else {
                value.to_string()
            };
            let node = parse(&text).unwrap();
            prop_assert!(same(&text, &node, &value));
        }

        #[test]
        fn no_text_is_a_reason_for_a_panic(text in "[\\[\\]{}\",:\\\\a-c0-9 \n]{0,40}") {
            let _ = parse(&text);
        }
    }
}
