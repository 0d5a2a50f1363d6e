//! The little XML that S3, STS and IAM speak: pulling a few elements out, putting text in.

/// The unescaped text of the first `<tag>` element.
pub(super) fn first(text: &str, tag: &str) -> Option<String> {
    all(text, tag).next()
}

/// The unescaped text of every `<tag>` element, in order; elements of that name do not nest.
pub(super) fn all<'a>(text: &'a str, tag: &str) -> impl Iterator<Item = String> + use<'a> {
    let open = format!("<{tag}>");
    let close = format!("</{tag}>");
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(&open)? + open.len();
        let end = start + rest.get(start..)?.find(&close)?;
        let inner = rest.get(start..end)?;
        rest = rest.get(end + close.len()..)?;
        Some(unescape(inner))
    })
}

/// Replaces the text of the first `<tag>` element.
pub(super) fn with_first(text: &str, tag: &str, value: &str) -> String {
    let open = format!("<{tag}>");
    let found = text
        .find(&open)
        .map(|at| at + open.len())
        .and_then(|start| {
            let end = start + text.get(start..)?.find(&format!("</{tag}>"))?;
            Some((text.get(..start)?, text.get(end..)?))
        });
    found.map_or_else(
        || text.to_owned(),
        |(before, after)| format!("{before}{}{after}", escape(value)),
    )
}

/// Makes a text fit for an element's content.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn unescape(text: &str) -> String {
    // The ampersand comes last, or `&amp;lt;` would be unescaped twice.
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#xD;", "\r")
        .replace("&#xA;", "\n")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_in_order_and_unescaped() {
        let text = "<r><Key>a&amp;lt;b</Key><x/><Key>c</Key></r>";
        assert_eq!(all(text, "Key").collect::<Vec<_>>(), ["a&lt;b", "c"]);
        assert_eq!(first(text, "Nope"), None);
        assert_eq!(first("<Key>never closed", "Key"), None);
    }

    #[test]
    fn the_first_element_is_replaced_and_the_rest_is_kept() {
        let text = "<a><Arn>old</Arn><Arn>two</Arn></a>";
        assert_eq!(
            with_first(text, "Arn", "n&w"),
            "<a><Arn>n&amp;w</Arn><Arn>two</Arn></a>"
        );
        assert_eq!(with_first(text, "Nope", "x"), text);
    }
}
