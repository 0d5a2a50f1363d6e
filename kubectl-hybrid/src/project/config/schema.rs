//! The JSON schema of `hybrid.toml`, for editors.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::file::ConfigFile;

/// The schema, made from the types that parse the file.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = Value::from(generator.into_root_schema_for::<ConfigFile>());
    close(&mut schema);
    schema
}

/// A key that is not listed is an error, unless its name begins with `x-`.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            for value in object.values_mut() {
                close(value);
            }
            if object.contains_key("properties") && !object.contains_key("additionalProperties") {
                object.insert("patternProperties".to_owned(), json!({ "^x-": true }));
                object.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
        }
        Value::Array(values) => values.iter_mut().for_each(close),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn document(name: &str) -> String {
        let path = format!("{}/../docs/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn the_schema_in_the_documents_is_the_one_of_the_types() {
        let written: Value =
            serde_json::from_str(&document("hybrid.schema.json")).unwrap_or_default();
        assert!(
            written == schema(),
            "write it again: kubectl hybrid config schema > docs/hybrid.schema.json"
        );
    }

    /// Every name that the schema knows in a table.
    fn names(schema: &Value, found: &mut BTreeSet<String>) {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            found.extend(properties.keys().cloned());
        }
        for value in schema.as_object().into_iter().flat_map(|it| it.values()) {
            names(value, found);
        }
    }

    #[test]
    fn the_reference_names_every_key() {
        let reference = document("configuration.md");
        let mut found = BTreeSet::new();
        names(&schema(), &mut found);
        assert!(found.contains("cache_from") && found.contains("use_lockfile"));
        let missing: Vec<_> = found
            .iter()
            .filter(|name| !reference.contains(&format!("`{name}`")))
            .collect();
        assert!(
            missing.is_empty(),
            "docs/configuration.md lacks {missing:?}"
        );
    }
}
