//! One member more or one member less, in the style of its surroundings.

use super::tree::{JsonError, Kind, Member, Node, parse};

/// How Docker writes its own file.
const INDENT: &str = "\t";

/// Sets `outer.inner` to a string. The rest of the text stays as it is, and a new member goes to
/// the end of its object.
///
/// `outer` must be an object, null, or not there; anything else is left alone, and `None` says so.
pub(crate) fn set(
    text: &str,
    outer: &str,
    inner: &str,
    value: &str,
) -> Result<Option<String>, JsonError> {
    let root = parse(text)?;
    let Kind::Object(_) = root.kind else {
        return Ok(None);
    };
    let (key, value) = (quoted(inner), quoted(value));
    let Some(object) = root.get(outer) else {
        let style = Style::of(text, &root);
        let nested = style.object(&key, &value);
        return Ok(Some(insert(text, &root, &quoted(outer), &nested, &style)));
    };
    let changed = match &object.kind {
        Kind::Null => {
            let style = Style::of(text, &root);
            replace(text, object, &style.object(&key, &value))
        }
        Kind::Object(members) if members.is_empty() => {
            // On one line: an object that was there and empty is so told from one that is ours.
            replace(text, object, &format!("{{{key}: {value}}}"))
        }
        Kind::Object(_) => match object.get(inner) {
            Some(old) => replace(text, old, &value),
            None => insert(text, object, &key, &value, &Style::of(text, object)),
        },
        _ => return Ok(None),
    };
    Ok(Some(changed))
}

/// Takes `outer.inner` out, wherever it stands. With `and_empty` an object that is then empty goes
/// too, unless it stands on one line of several and as [`set`] would not write it: it was there
/// before.
pub(crate) fn remove(
    text: &str,
    outer: &str,
    inner: &str,
    and_empty: bool,
) -> Result<String, JsonError> {
    let mut text = text.to_owned();
    loop {
        let root = parse(&text)?;
        let found = root
            .members()
            .iter()
            .enumerate()
            .filter(|(_, member)| member.key == outer)
            .find_map(|(at, member)| {
                let inside = member.value.members();
                let place = inside.iter().position(|member| member.key == inner)?;
                Some((at, member, place))
            });
        let Some((at, member, place)) = found else {
            return Ok(text);
        };
        let object = &member.value;
        let is_last = object.members().len() == 1;
        let without_object = cut(&text, &root, at);
        let is_ours = text[object.span.clone()].contains('\n')
            || !text.trim().contains('\n')
            || object.members()[place].value.text().is_some_and(|value| {
                set(&without_object, outer, inner, value) == Ok(Some(text.clone()))
            });
        text = if is_last && and_empty && is_ours {
            without_object
        } else {
            cut(&text, object, place)
        };
    }
}

/// How the members of an object are set apart.
struct Style {
    /// What stands before a further member, its comma included.
    gap: String,
    /// What stands between key and value.
    colon: String,
    /// The line break and the indentation of the members, when each has a line.
    line: Option<(&'static str, String)>,
}

impl Style {
    fn of(text: &str, object: &Node) -> Self {
        let members = object.members();
        let Some(last) = members.last() else {
            return Self {
                gap: format!(",\n{INDENT}"),
                colon: ": ".to_owned(),
                line: Some(("\n", INDENT.to_owned())),
            };
        };
        let gap = match members {
            [.., before, last] => text[before.value.span.end..last.key_span.start].to_owned(),
            _ => format!(",{}", &text[object.span.start + 1..last.key_span.start]),
        };
        let line = gap.rsplit_once('\n').map(|(before, indent)| {
            let line_break = if before.ends_with('\r') { "\r\n" } else { "\n" };
            let indent: String = indent.chars().filter(|c| c.is_whitespace()).collect();
            (line_break, indent)
        });
        Self {
            gap,
            colon: colon(text, last),
            line,
        }
    }

    /// An object of one member, as the value of a member in this style.
    fn object(&self, key: &str, value: &str) -> String {
        let colon = &self.colon;
        let Some((line_break, indent)) = &self.line else {
            return format!("{{{key}{colon}{value}}}");
        };
        // The members of the outermost object are one step in.
        let step = if indent.is_empty() { INDENT } else { indent };
        format!("{{{line_break}{indent}{step}{key}{colon}{value}{line_break}{indent}}}")
    }
}

fn colon(text: &str, member: &Member) -> String {
    text[member.key_span.end..member.value.span.start].to_owned()
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn replace(text: &str, node: &Node, new: &str) -> String {
    let mut text = text.to_owned();
    text.replace_range(node.span.clone(), new);
    text
}

fn insert(text: &str, object: &Node, key: &str, value: &str, style: &Style) -> String {
    let Style { gap, colon, .. } = style;
    match object.members().last() {
        Some(last) => {
            let mut text = text.to_owned();
            text.insert_str(last.value.span.end, &format!("{gap}{key}{colon}{value}"));
            text
        }
        None => replace(
            text,
            object,
            &format!("{{\n{INDENT}{key}{colon}{value}\n}}"),
        ),
    }
}

/// Takes the member at a place out of an object.
fn cut(text: &str, object: &Node, place: usize) -> String {
    let members = object.members();
    let (before, rest) = members.split_at(place.min(members.len()));
    let range = match (before.last(), rest) {
        (Some(before), [member, ..]) => before.value.span.end..member.value.span.end,
        (None, [member, next, ..]) => member.key_span.start..next.key_span.start,
        _ => return replace(text, object, "{}"),
    };
    let mut text = text.to_owned();
    text.replace_range(range, "");
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with(text: &str) -> String {
        set(text, "credHelpers", "h", "x").unwrap().unwrap()
    }

    fn without(text: &str) -> String {
        remove(text, "credHelpers", "h", true).unwrap()
    }

    #[test]
    fn a_new_member_takes_on_the_style_of_its_neighbours() {
        #[rustfmt::skip]
        let rows = [
            ("{}", "{\n\t\"credHelpers\": {\n\t\t\"h\": \"x\"\n\t}\n}"),
            ("{}\n", "{\n\t\"credHelpers\": {\n\t\t\"h\": \"x\"\n\t}\n}\n"),
            ("{\"a\":1}", "{\"a\":1,\"credHelpers\":{\"h\":\"x\"}}"),
            ("{\"a\":[\n1]}", "{\"a\":[\n1],\"credHelpers\":{\"h\":\"x\"}}"),
            ("{ \"a\": 1 }", "{ \"a\": 1, \"credHelpers\": {\"h\": \"x\"} }"),
            ("{\n  \"a\": 1\n}\n", "{\n  \"a\": 1,\n  \"credHelpers\": {\n    \"h\": \"x\"\n  }\n}\n"),
            ("{\r\n\t\"a\": {}\r\n}\r\n", "{\r\n\t\"a\": {},\r\n\t\"credHelpers\": {\r\n\t\t\"h\": \"x\"\r\n\t}\r\n}\r\n"),
            ("{\n  \"credHelpers\": {\n    \"g\": \"y\"\n  },\n  \"a\": 1\n}", "{\n  \"credHelpers\": {\n    \"g\": \"y\",\n    \"h\": \"x\"\n  },\n  \"a\": 1\n}"),
            ("{\n  \"credHelpers\": {},\n  \"a\": 1\n}", "{\n  \"credHelpers\": {\"h\": \"x\"},\n  \"a\": 1\n}"),
            ("{\n  \"a\": 1\n  , \"b\": 2\n}", "{\n  \"a\": 1\n  , \"b\": 2\n  , \"credHelpers\": {\n     \"h\": \"x\"\n   }\n}"),
        ];
        for (before, after) in rows {
            let found = with(before);
            // A comma at the head of a line is rare; that the text stays JSON is enough there.
            if before.contains("\n  , ") {
                assert!(found.starts_with(&before[..before.len() - 2]), "{found}");
                assert!(parse(&found).is_ok());
            } else {
                assert_eq!(found, after, "{before}");
            }
            assert_eq!(without(&found), before);
            // Once more changes nothing.
            assert_eq!(with(&found), found);
        }
    }

    #[test]
    fn an_old_value_is_replaced_in_its_place() {
        let text = "{\"credHelpers\":{\"h\":\"ecr-login\",\"g\":\"y\"},\"auths\":null}";
        assert_eq!(with(text), text.replace("ecr-login", "x"));
        assert_eq!(
            with("{\"credHelpers\":null}"),
            "{\"credHelpers\":{\"h\":\"x\"}}"
        );
    }

    #[test]
    fn a_member_is_taken_out_with_its_comma_and_every_time_it_stands() {
        #[rustfmt::skip]
        let rows = [
            ("{\"credHelpers\":{\"h\":\"x\",\"g\":\"y\"}}", "{\"credHelpers\":{\"g\":\"y\"}}"),
            ("{\"credHelpers\":{\"h\":\"x\",\"g\":\"y\",\"h\":\"z\"}}", "{\"credHelpers\":{\"g\":\"y\"}}"),
            ("{\"credHelpers\":{\"h\":\"x\"},\"a\":1}", "{\"a\":1}"),
            ("{\"a\":1}", "{\"a\":1}"),
        ];
        for (before, after) in rows {
            assert_eq!(without(before), after);
        }
        let kept = remove(
            "{\n\t\"auths\": {\n\t\t\"h\": {}\n\t}\n}",
            "auths",
            "h",
            false,
        );
        assert_eq!(kept.unwrap(), "{\n\t\"auths\": {}\n}");
    }

    #[test]
    fn what_is_no_object_is_left_alone() {
        for text in ["[]", "{\"credHelpers\":7}", "\"x\""] {
            assert_eq!(set(text, "credHelpers", "h", "x").unwrap(), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_was_set_is_taken_out_again_to_the_letter(
            keys in prop::collection::btree_map("[a-z]{1,4}", "[a-z\\\\\"\u{e4}]{0,4}", 0..4),
            helpers in prop::option::of(prop::collection::btree_map("[a-g]{1,3}", "[a-z]{1,3}", 1..3)),
            pretty in any::<bool>(),
            end in "[\n ]{0,2}",
        ) {
            let mut object: serde_json::Map<String, serde_json::Value> =
                keys.into_iter().map(|(key, value)| (key, value.into())).collect();
            if let Some(helpers) = helpers {
                let helpers = helpers.into_iter().map(|(key, value)| (key, value.into()));
                object.insert("credHelpers".into(), serde_json::Value::Object(helpers.collect()));
            }
            let value = serde_json::Value::Object(object);
            let text = if pretty {
                serde_json::to_string_pretty(&value).unwrap()
            } else {
                value.to_string()
            } + &end;
            let changed = with(&text);
            let read: serde_json::Value = serde_json::from_str(&changed).unwrap();
            prop_assert_eq!(&read["credHelpers"]["h"], "x");
            prop_assert_eq!(without(&changed), text);
        }
    }
}
