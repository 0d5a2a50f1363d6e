//! What is asked of the AWS API beside Terraform: whether the state is there, who holds its lock,
//! and repositories in the other registries.

use serde_json::{Value, json};

use super::http::{Endpoint, Request};
use super::{Settings, TerraformError};
use crate::sandbox::endpoints::{ACCOUNT, OTHER_ACCOUNT, OTHER_REGION, PROJECT, REGION};

/// The key of the state in the root's `backend.tf`.
const KEY: &str = "hybrid/terraform.tfstate";
/// What bootstrap names the bucket and the table after.
const NAME: &str = "hybrid";

fn bucket() -> String {
    format!("{NAME}-tfstate-{ACCOUNT}")
}

/// The object that holds the state of the workspace.
pub(super) fn state_key(settings: &Settings) -> String {
    format!("env:/{}/{KEY}", settings.workspace)
}

/// Whether the workspace has a state, and something in it: after a destroy there is an empty one.
pub(super) fn has_state(settings: &Settings, endpoint: Endpoint) -> Result<bool, TerraformError> {
    let body = object(endpoint, &state_key(settings))?;
    Ok(body.is_some_and(|body| names_resources(&body)))
}

fn names_resources(state: &[u8]) -> bool {
    serde_json::from_slice(state).is_ok_and(|state: Value| {
        state["resources"]
            .as_array()
            .is_some_and(|all| !all.is_empty())
    })
}

/// The lock's JSON in the lock file beside the state.
pub(super) fn lock_file(
    settings: &Settings,
    endpoint: Endpoint,
) -> Result<Option<Value>, TerraformError> {
    let body = object(endpoint, &format!("{}.tflock", state_key(settings)))?;
    Ok(body.and_then(|body| serde_json::from_slice(&body).ok()))
}

/// The lock's JSON in the row of the table.
pub(super) fn lock_row(
    settings: &Settings,
    endpoint: Endpoint,
) -> Result<Option<Value>, TerraformError> {
    let action = "read the lock table";
    let id = format!("{}/{}", bucket(), state_key(settings));
    let request = Request::json(
        "DynamoDB_20120810.GetItem",
        "dynamodb",
        REGION,
        &json!({
            "TableName": format!("{NAME}-tflock"),
            "Key": {"LockID": {"S": id}},
            "ConsistentRead": true,
        }),
    );
    let answer = endpoint.expect(action, &request)?;
    let item: Value = serde_json::from_slice(&answer.body)
        .map_err(|error| endpoint.refused(action, error.to_string()))?;
    Ok(item["Item"]["Info"]["S"]
        .as_str()
        .and_then(|info| serde_json::from_str(info).ok()))
}

fn object(endpoint: Endpoint, key: &str) -> Result<Option<Vec<u8>>, TerraformError> {
    let path = format!("/{}/{}", bucket(), key.replace(':', "%3A"));
    // The bucket is private, for the emulator too.
    let request = Request::new("GET", path).scope("s3", REGION);
    let answer = endpoint.send("read the state's bucket", &request)?;
    match answer.status {
        200 => Ok(Some(answer.body)),
        404 => Ok(None),
        status => Err(endpoint.refused("read the state's bucket", format!("status {status}"))),
    }
}

/// Repositories in the registries that the configuration knows nothing of, so that there is more
/// than one to push to and pull from.
pub(super) fn create_other_repositories(endpoint: Endpoint) -> Result<(), TerraformError> {
    for (account, region) in [
        (ACCOUNT, OTHER_REGION),
        (OTHER_ACCOUNT, REGION),
        (OTHER_ACCOUNT, OTHER_REGION),
    ] {
        let action = format!("create a repository of {account} in {region}");
        let request = Request::json(
            "AmazonEC2ContainerRegistry_V20150921.CreateRepository",
            "ecr",
            region,
            &json!({"repositoryName": format!("{PROJECT}-dev/web")}),
        )
        .header("x-moto-account-id", account);
        let answer = endpoint.send(&action, &request)?;
        let body = String::from_utf8_lossy(&answer.body);
        if answer.status != 200 && !body.contains("RepositoryAlreadyExistsException") {
            return Err(endpoint.refused(&action, body.into_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_was_destroyed_is_none() {
        assert!(names_resources(br#"{"resources": [{"type": "x"}]}"#));
        assert!(!names_resources(br#"{"resources": []}"#));
        assert!(!names_resources(b"{}"));
        assert!(!names_resources(b"not a state"));
    }
}
