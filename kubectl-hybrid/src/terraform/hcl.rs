//! As much HCL as a backend configuration needs: literal attributes, blocks and comments.
//!
//! Terraform allows no expressions in a backend block. Everything else in a `.tf` file is only
//! walked over, so an expression is skipped instead of understood.

mod lexer;

use serde_json::{Map, Value};

use lexer::{Lexer, Token};

/// How deep blocks and values may be nested; deeper text is not read, so that no file can exhaust
/// the stack.
const MAX_DEPTH: usize = 64;

/// Text that is no HCL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub(super) struct HclError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub message: &'static str,
}

/// A block `backend "KIND" { ... }`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct BackendBlock {
    pub(super) kind: String,
    pub(super) config: Map<String, Value>,
}

/// The attributes of a file such as `backend.hcl`; nested blocks become objects.
pub(super) fn attributes(text: &str) -> Result<Map<String, Value>, HclError> {
    Ok(into_map(parse(text)?))
}

/// The backend block of a configuration file; `cloud` and `state_store` blocks count as such.
pub(super) fn backend_block(text: &str) -> Result<Option<BackendBlock>, HclError> {
    for item in parse(text)? {
        let Item::Block { name, body, .. } = item else {
            continue;
        };
        if name != "terraform" {
            continue;
        }
        for inner in body {
            let Item::Block { name, labels, body } = inner else {
                continue;
            };
            let kind = match name.as_str() {
                "backend" => labels.into_iter().next().unwrap_or_default(),
                "cloud" | "state_store" => name,
                _ => continue,
            };
            return Ok(Some(BackendBlock {
                kind,
                config: into_map(body),
            }));
        }
    }
    Ok(None)
}

#[derive(Debug)]
enum Item {
    /// `None` where the value is more than a literal.
    Attribute { name: String, value: Option<Value> },
    Block {
        name: String,
        labels: Vec<String>,
        body: Vec<Item>,
    },
}

fn into_map(items: Vec<Item>) -> Map<String, Value> {
    let mut map = Map::new();
    for item in items {
        match item {
            Item::Attribute {
                name,
                value: Some(value),
            } => {
                map.insert(name, value);
            }
            Item::Attribute { value: None, .. } => {}
            Item::Block { name, body, .. } => {
                map.insert(name, Value::Object(into_map(body)));
            }
        }
    }
    map
}

fn parse(text: &str) -> Result<Vec<Item>, HclError> {
    let mut parser = Parser {
        tokens: Lexer::new(text).run()?,
        at: 0,
    };
    let items = parser.body(0)?;
    if parser.peek().is_some() {
        return Err(parser.error("there is a `}` too many"));
    }
    Ok(items)
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += 1;
        token
    }

    fn take(&mut self, mark: char) -> bool {
        let found = self.peek() == Some(&Token::Mark(mark));
        self.at += usize::from(found);
        found
    }

    fn skip_new_lines(&mut self) {
        while self.peek() == Some(&Token::NewLine) {
            self.at += 1;
        }
    }

    fn error(&self, message: &'static str) -> HclError {
        let line = self
            .tokens
            .get(self.at)
            .or(self.tokens.last())
            .map_or(1, |(_, line)| *line);
        HclError { line, message }
    }

    /// Up to the closing brace, which stays, or the end.
    fn body(&mut self, depth: usize) -> Result<Vec<Item>, HclError> {
        if depth > MAX_DEPTH {
            return Err(self.error("it is nested too deeply"));
        }
        let mut items = Vec::new();
        loop {
            self.skip_new_lines();
            match self.peek() {
                None | Some(Token::Mark('}')) => return Ok(items),
                Some(Token::Word(_)) => items.push(self.item(depth)?),
                Some(_) => return Err(self.error("a name was expected")),
            }
        }
    }

    fn item(&mut self, depth: usize) -> Result<Item, HclError> {
        let Some(Token::Word(name)) = self.next() else {
            return Err(self.error("a name was expected"));
        };
        if self.take('=') {
            let value = self.attribute_value(depth)?;
            return Ok(Item::Attribute { name, value });
        }
        let mut labels = Vec::new();
        loop {
            match self.next() {
                Some(Token::Word(label) | Token::Text(Some(label))) => labels.push(label),
                Some(Token::Mark('{')) => break,
                _ => {
                    self.at -= 1;
                    return Err(self.error("`=` or `{` was expected after the name"));
                }
            }
        }
        let body = self.body(depth + 1)?;
        if !self.take('}') {
            return Err(self.error("a block is not closed"));
        }
        Ok(Item::Block { name, labels, body })
    }

    /// A literal that ends where the line does, or whatever else stands there as `None`.
    fn attribute_value(&mut self, depth: usize) -> Result<Option<Value>, HclError> {
        let start = self.at;
        if let Some(value) = self.literal(depth)?
            && matches!(self.peek(), None | Some(Token::NewLine | Token::Mark('}')))
        {
            return Ok(Some(value));
        }
        self.at = start;
        let mut open = 0_usize;
        loop {
            match self.peek() {
                None => break,
                Some(Token::NewLine | Token::Mark('}')) if open == 0 => break,
                Some(Token::Mark('(' | '[' | '{')) => open += 1,
                Some(Token::Mark(')' | ']' | '}')) => open = open.saturating_sub(1),
                Some(_) => {}
            }
            self.at += 1;
        }
        Ok(None)
    }

    /// `None` when it is no literal; the position is then the caller's to restore.
    fn literal(&mut self, depth: usize) -> Result<Option<Value>, HclError> {
        if depth > MAX_DEPTH {
            return Err(self.error("it is nested too deeply"));
        }
        match self.next() {
            Some(Token::Text(text)) => Ok(text.map(Value::String)),
            Some(Token::Word(word)) => Ok(match word.as_str() {
                "true" => Some(Value::Bool(true)),
                "false" => Some(Value::Bool(false)),
                "null" => Some(Value::Null),
                number => number.parse::<i64>().ok().map(Value::from),
            }),
            Some(Token::Mark('{')) => self.object(depth + 1),
            Some(Token::Mark('[')) => self.list(depth + 1),
            _ => Ok(None),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Option<Value>, HclError> {
        let mut map = Map::new();
        loop {
            self.skip_new_lines();
            if self.take('}') {
                return Ok(Some(Value::Object(map)));
            }
            let Some(Token::Word(name) | Token::Text(Some(name))) = self.next() else {
                return Ok(None);
            };
            if !self.take('=') && !self.take(':') {
                return Ok(None);
            }
            let Some(value) = self.literal(depth)? else {
                return Ok(None);
            };
            map.insert(name, value);
            if !self.take(',') && !matches!(self.peek(), Some(Token::NewLine | Token::Mark('}'))) {
                return Ok(None);
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Option<Value>, HclError> {
        let mut values = Vec::new();
        loop {
            self.skip_new_lines();
            if self.take(']') {
                return Ok(Some(Value::Array(values)));
            }
            let Some(value) = self.literal(depth)? else {
                return Ok(None);
            };
            values.push(value);
            self.skip_new_lines();
            if !self.take(',') && self.peek() != Some(&Token::Mark(']')) {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn attributes_are_read_with_comments_and_nesting() {
        let text = r#"
            # The state.
            bucket = "tf-123456789012" // main
            key="hybrid/terraform.tfstate"
            use_lockfile = true /* since
            1.11 */
            encrypt = false
            max_retries = 5
            assume_role = {
              role_arn = "arn:aws:iam::123456789012:role/read", "session_name" : "x"
              transitive_tag_keys = ["a", "b",]
            }
            endpoints { s3 = "http://127.0.0.1:9000" }
            odd = "a\"b\\c $${x} $1 %%{y}"
            nothing = null
        "#;
        assert_eq!(
            Value::Object(attributes(text).unwrap()),
            json!({
                "bucket": "tf-123456789012",
                "key": "hybrid/terraform.tfstate",
                "use_lockfile": true,
                "encrypt": false,
                "max_retries": 5,
                "assume_role": {
                    "role_arn": "arn:aws:iam::123456789012:role/read",
                    "session_name": "x",
                    "transitive_tag_keys": ["a", "b"]
                },
                "endpoints": {"s3": "http://127.0.0.1:9000"},
                "odd": "a\"b\\c ${x} $1 %{y}",
                "nothing": null
            })
        );
    }

    #[test]
    fn the_backend_is_found_between_other_things() {
        let text = r#"
            variable "note" {
              default = "}} ${join("}", ["a"])} {"
            }
            locals {
              long = <<-EOT
                backend "s3" { }
              EOT
              computed = var.x ? { a = 1 } : {
                b = "}"
              }
              call = merge(
                { a = 1 },
                local.b,
              )
            }
            terraform {
              required_version = ">= 1.11"
              required_providers {
                aws = { source = "hashicorp/aws" }
              }
              backend "s3" {
                key     = "hybrid/terraform.tfstate"
                encrypt = true
                bucket  = var.bucket
              }
            }
        "#;
        let block = backend_block(text).unwrap().unwrap();
        assert_eq!(block.kind, "s3");
        assert_eq!(
            Value::Object(block.config),
            json!({"key": "hybrid/terraform.tfstate", "encrypt": true})
        );
    }

    #[test]
    fn other_backends_are_named() {
        let kind = |text: &str| backend_block(text).unwrap().map(|block| block.kind);
        assert_eq!(
            kind("terraform {\n backend \"gcs\" {}\n}"),
            Some("gcs".to_owned())
        );
        assert_eq!(
            kind("terraform {\n cloud {\n}\n}"),
            Some("cloud".to_owned())
        );
        assert_eq!(kind("terraform {\n}\nbackend \"s3\" {}\n"), None);
        assert_eq!(kind(""), None);
    }

    #[test]
    fn broken_text_is_an_error_with_its_line() {
        for (text, line) in [
            ("a = 1\nb = \"x", 2),
            ("a {\n", 1),
            ("a = 1\n}\n", 2),
            ("\n/* x", 2),
            ("x = <<E\nabc", 1),
            ("= 3", 1),
            ("x = \"${", 1),
        ] {
            assert_eq!(attributes(text).unwrap_err().line, line, "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_not_followed() {
        for text in [
            "a = ".to_owned() + &"[".repeat(100_000),
            "a {\n".repeat(100_000),
            "a = \"".to_owned() + &"${\"".repeat(100_000),
        ] {
            assert!(attributes(&text).is_err());
        }
    }
}
