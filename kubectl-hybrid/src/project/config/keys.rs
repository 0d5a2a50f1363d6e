//! The names that a table may hold, and the one that a wrong name may have meant.

use serde_json::{Map, Value};

use super::schema;

/// The known key that is nearest to the last part of `key`, a key with dots.
pub(super) fn nearest(key: &str) -> Option<String> {
    let schema = schema();
    let mut parts: Vec<&str> = key.split('.').collect();
    let last = parts.pop()?;
    let mut table = &schema;
    for part in parts {
        table = resolve(&schema, member(table, part)?)?;
    }
    properties(table)?
        .keys()
        .map(|name| (strsim::damerau_levenshtein(name, last), name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .map(|(_, name)| name.clone())
}

fn properties(table: &Value) -> Option<&Map<String, Value>> {
    table.get("properties")?.as_object()
}

/// The schema of a key: by its name, or of any name in a table of the user's names.
fn member<'a>(table: &'a Value, name: &str) -> Option<&'a Value> {
    properties(table)
        .and_then(|properties| properties.get(name))
        .or_else(|| table.get("additionalProperties"))
}

/// Follows a reference, also one of an optional table or of one with a description of its own.
fn resolve<'a>(schema: &'a Value, table: &'a Value) -> Option<&'a Value> {
    let table = table
        .get("anyOf")
        .or_else(|| table.get("allOf"))
        .and_then(|choices| choices.as_array()?.first())
        .unwrap_or(table);
    match table.get("$ref") {
        Some(reference) => schema.pointer(reference.as_str()?.strip_prefix('#')?),
        None => Some(table),
    }
}
