//! The shape of JSON documents: their keys and the kinds of their values. Programs that read them
//! rely on it, so it is kept in files beside this one.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use hybrid_tests::source_tree;
use serde_json::Value;

/// With this variable the files are written anew instead of being compared.
const UPDATE: &str = "HYBRID_UPDATE_SHAPES";

/// The shapes of one test, and the file that keeps them.
pub(crate) struct Shapes {
    file: PathBuf,
    text: String,
}

impl Shapes {
    pub(crate) fn kept_in(file: &str) -> Self {
        Self {
            file: source_tree().join("tests/tests/manners").join(file),
            text: String::new(),
        }
    }

    /// Notes the shape of a document under this title.
    pub(crate) fn note(&mut self, title: &str, document: &Value) {
        let _ = writeln!(self.text, "{title}");
        for line in lines(document) {
            let _ = writeln!(self.text, "    {line}");
        }
    }

    /// Asserts that all of them are as they were.
    #[track_caller]
    pub(crate) fn assert_kept(self) {
        if env::var_os(UPDATE).is_some() {
            fs::write(&self.file, self.text).unwrap();
            return;
        }
        let kept = fs::read_to_string(&self.file).unwrap_or_default();
        let changes = changes(&kept, &self.text);
        assert!(
            kept == self.text,
            "documents have another shape than in {}:\n{changes}\nWhen that is meant, write it anew \
             with {UPDATE}=1 and say it to those who read them.",
            self.file.display()
        );
    }
}

/// `.services[].name: text` for each value. A list is as its first element.
fn lines(document: &Value) -> Vec<String> {
    fn add(path: &str, value: &Value, lines: &mut Vec<String>) {
        let kind = match value {
            Value::Object(members) if !members.is_empty() => {
                for (key, value) in members {
                    add(&format!("{path}.{key}"), value, lines);
                }
                return;
            }
            Value::Array(elements) if !elements.is_empty() => {
                return add(&format!("{path}[]"), &elements[0], lines);
            }
            Value::Object(_) => "empty object",
            Value::Array(_) => "empty list",
            Value::String(_) => "text",
            Value::Number(_) => "number",
            Value::Bool(_) => "true or false",
            Value::Null => "null",
        };
        lines.push(format!("{path}: {kind}"));
    }
    let mut all = Vec::new();
    add("", document, &mut all);
    all.sort();
    all
}

/// Lines that are gone, and lines that are new, each with its document.
fn changes(kept: &str, found: &str) -> String {
    let entries = |text: &str| -> Vec<String> {
        let mut title = "";
        text.lines()
            .filter_map(|line| {
                let entry = line.strip_prefix("    ");
                if entry.is_none() {
                    title = line;
                }
                entry.map(|entry| format!("{title}: {entry}"))
            })
            .collect()
    };
    let (kept, found) = (entries(kept), entries(found));
    let gone = kept.iter().filter(|it| !found.contains(it));
    let new = found.iter().filter(|it| !kept.contains(it));
    gone.map(|it| format!("- {it}\n"))
        .chain(new.map(|it| format!("+ {it}\n")))
        .collect()
}

#[test]
fn a_shape_has_keys_and_kinds_and_no_values() {
    let document = serde_json::json!({
        "name": "web", "ready": 2, "ok": true, "why": null, "locks": [], "more": {},
        "services": [{ "b": "x", "a": { "c": 1 } }, { "other": 1 }],
    });
    assert_eq!(
        lines(&document),
        [
            ".locks: empty list",
            ".more: empty object",
            ".name: text",
            ".ok: true or false",
            ".ready: number",
            ".services[].a.c: number",
            ".services[].b: text",
            ".why: null",
        ]
    );
    assert_eq!(lines(&serde_json::json!(["dev"])), ["[]: text"]);
}

#[test]
fn a_renamed_key_is_told_with_its_document() {
    assert_eq!(
        changes(
            "status\n    .a: text\n    .b: text\n",
            "status\n    .a: text\n    .c: text\n"
        ),
        "- status: .b: text\n+ status: .c: text\n"
    );
    assert_eq!(
        changes("status\n    .a: text\n", "status\n    .a: text\n"),
        ""
    );
}
