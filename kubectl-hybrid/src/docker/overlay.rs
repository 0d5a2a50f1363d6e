//! The user's Docker configuration with our registries routed to our helper, as a value.

use serde_json::{Map, Value};

use super::helper::HELPER;

/// Why a configuration cannot be laid over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// The file holds something else than an object.
    #[error("expected an object at the top")]
    Top,
    /// A key holds something else than an object.
    #[error("expected an object under `{0}`")]
    Key(&'static str),
}

/// Whether Docker asks our helper for this host already: by `credHelpers`, which comes first, or
/// by `credsStore`.
pub fn is_routed(config: &Value, host: &str) -> bool {
    match config
        .get("credHelpers")
        .and_then(|helpers| helpers.get(host))
    {
        Some(helper) => helper == HELPER,
        None => config
            .get("credsStore")
            .is_some_and(|store| store == HELPER),
    }
}

/// Routes these hosts to our helper and leaves out credentials that were stored for them. Order
/// and unknown keys stay as they are.
pub fn route(config: &mut Value, hosts: &[String]) -> Result<(), ShapeError> {
    let top = config.as_object_mut().ok_or(ShapeError::Top)?;
    let helpers = object(top, "credHelpers")?;
    for host in hosts {
        helpers.insert(host.clone(), Value::from(HELPER));
    }
    forget(top, hosts)
}

/// Leaves out the stored credentials of these hosts.
pub fn forget(top: &mut Map<String, Value>, hosts: &[String]) -> Result<(), ShapeError> {
    if top.contains_key("auths") {
        object(top, "auths")?.retain(|key, _| !hosts.iter().any(|host| host == host_of(key)));
    }
    Ok(())
}

fn object<'a>(
    top: &'a mut Map<String, Value>,
    key: &'static str,
) -> Result<&'a mut Map<String, Value>, ShapeError> {
    let value = top.entry(key).or_insert_with(|| Value::Object(Map::new()));
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().ok_or(ShapeError::Key(key))
}

/// The host of a key under `auths`, which may have a scheme and a path, as Docker reads it.
fn host_of(key: &str) -> &str {
    let bare = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    bare.split('/').next().unwrap_or(bare)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

    #[test]
    fn a_host_is_routed_by_its_own_entry_or_by_the_store() {
        let cases = [
            (json!({}), false),
            (json!({"credHelpers": {HOST: "ecr-hybrid"}}), true),
            (json!({"credHelpers": {HOST: "ecr-login"}}), false),
            (json!({"credsStore": "ecr-hybrid"}), true),
            (
                json!({"credsStore": "ecr-hybrid", "credHelpers": {HOST: "ecr-login"}}),
                false,
            ),
            (
                json!({"credHelpers": {"other.example": "ecr-hybrid"}}),
                false,
            ),
            (json!({"credHelpers": null, "credsStore": "desktop"}), false),
        ];
        for (config, routed) in cases {
            assert_eq!(is_routed(&config, HOST), routed, "{config}");
        }
    }

    #[test]
    fn everything_but_our_hosts_stays_as_it_was_and_where_it_was() {
        let text = format!(
            r#"{{"zeta":1,"auths":{{"ghcr.io":{{"auth":"eA=="}},"{HOST}":{{"auth":"old"}},"https://{HOST}/v2/":{{"auth":"old"}}}},"credsStore":"desktop","credHelpers":{{"gcr.io":"gcloud"}},"currentContext":"colima","alpha":{{"b":[1]}}}}"#
        );
        let mut config: Value = serde_json::from_str(&text).unwrap();
        route(&mut config, &[HOST.to_owned()]).unwrap();
        assert_eq!(
            config.to_string(),
            format!(
                r#"{{"zeta":1,"auths":{{"ghcr.io":{{"auth":"eA=="}}}},"credsStore":"desktop","credHelpers":{{"gcr.io":"gcloud","{HOST}":"ecr-hybrid"}},"currentContext":"colima","alpha":{{"b":[1]}}}}"#
            )
        );
        assert!(is_routed(&config, HOST));
    }

    #[test]
    fn a_configuration_of_the_wrong_shape_is_refused() {
        let hosts = [HOST.to_owned()];
        assert_eq!(route(&mut json!([]), &hosts), Err(ShapeError::Top));
        assert_eq!(
            route(&mut json!({"credHelpers": []}), &hosts),
            Err(ShapeError::Key("credHelpers"))
        );
        assert_eq!(
            route(&mut json!({"auths": "x"}), &hosts),
            Err(ShapeError::Key("auths"))
        );
        assert_eq!(route(&mut json!({"credHelpers": null}), &hosts), Ok(()));
    }
}
