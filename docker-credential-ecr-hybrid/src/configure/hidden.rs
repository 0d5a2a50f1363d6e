//! A text that can be shown: the secrets in it are not.

use crate::json_text::{Kind, Node, parse};

/// The parts of the files in which every string may be a secret.
const SECRET: [&str; 3] = ["auths", "HttpHeaders", "proxies"];

/// The text with three dots in the place of each secret. Two different secrets look alike.
pub(super) fn hidden(text: &str) -> String {
    let Ok(root) = parse(text) else {
        return String::new();
    };
    let mut spans = Vec::new();
    for member in root.members() {
        if SECRET.contains(&member.key.as_str()) {
            strings(&member.value, &mut spans);
        }
    }
    let mut text = text.to_owned();
    // From the back, so that earlier places stay true.
    for span in spans.into_iter().rev() {
        text.replace_range(span, "\"...\"");
    }
    text
}

fn strings(node: &Node, spans: &mut Vec<std::ops::Range<usize>>) {
    match &node.kind {
        Kind::Object(members) => {
            for member in members {
                strings(&member.value, spans);
            }
        }
        Kind::Array(items) => {
            for item in items {
                strings(item, spans);
            }
        }
        Kind::Text(text) if !text.is_empty() => spans.push(node.span.clone()),
        Kind::Text(_) | Kind::Null | Kind::Plain => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_and_headers_are_not_shown_and_the_rest_is() {
        let text = r#"{"auths":{"h":{"auth":"c2VjcmV0","x":["y"]}},"HttpHeaders":{"Meta":"k"},"credHelpers":{"h":"gcr"}}"#;
        let expected = r#"{"auths":{"h":{"auth":"...","x":["..."]}},"HttpHeaders":{"Meta":"..."},"credHelpers":{"h":"gcr"}}"#;
        assert_eq!(hidden(text), expected);
    }
}
