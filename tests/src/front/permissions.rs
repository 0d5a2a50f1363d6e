//! What a principal may do, as the emulator's IAM knows it.
//!
//! Assumed roles are judged by their policies. Users may do everything: the emulator's own user is
//! the administrator of the sandbox. A role that the emulator does not know may do everything
//! unless its name ends with `-pull`.

use std::collections::HashMap;
use std::sync::Mutex;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::lock;
use super::moto::{Moto, MotoError, own_scope};
use super::policy;
use super::xml;

/// What a pull needs; a role of unknown policies whose name ends with `-pull` may do this.
const OF_A_PULL: [&str; 6] = [
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:DescribeImages",
    "ecr:GetAuthorizationToken",
    "ecr:GetDownloadUrlForLayer",
    "ecr:ListImages",
];

/// The policies of a role; none when the emulator does not know the role.
type Policies = Option<Vec<Value>>;

/// Policies of roles that were asked for, until something changes in IAM.
#[derive(Debug, Default)]
pub(super) struct Permissions {
    known: Mutex<HashMap<(String, String), Policies>>,
}

impl Permissions {
    /// Something changed in IAM.
    pub(super) fn forget(&self) {
        lock(&self.known).clear();
    }

    /// Whether the principal may perform the action on the resource.
    pub(super) async fn allow(
        &self,
        moto: &Moto,
        principal: &str,
        action: &str,
        resource: &str,
    ) -> Result<bool, MotoError> {
        let Some((account, role)) = assumed_role(principal) else {
            return Ok(true);
        };
        let key = (account.to_owned(), role.to_owned());
        let known = lock(&self.known).get(&key).cloned();
        let policies = if let Some(policies) = known {
            policies
        } else {
            let policies = policies_of(moto, account, role).await?;
            lock(&self.known).insert(key, policies.clone());
            policies
        };
        Ok(match policies {
            Some(documents) => policy::allows(&documents, action, resource),
            None => !role.ends_with("-pull") || OF_A_PULL.contains(&action),
        })
    }
}

/// Account and role of `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
fn assumed_role(principal: &str) -> Option<(&str, &str)> {
    let mut parts = principal.splitn(6, ':');
    let account = parts.nth(4)?;
    let role = parts.next()?.strip_prefix("assumed-role/")?;
    Some((account, role.split('/').next()?))
}

async fn policies_of(moto: &Moto, account: &str, role: &str) -> Result<Policies, MotoError> {
    let ask = async |form: String| {
        let scope = own_scope("us-east-1", "iam");
        moto.query(account, &scope, &form).await
    };
    let inline = match ask(format!("Action=ListRolePolicies&RoleName={role}")).await {
        Ok(answer) => answer,
        Err(error) if error.names("NoSuchEntity") => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut documents = Vec::new();
    for name in xml::all(&inline, "member") {
        let answer = ask(format!(
            "Action=GetRolePolicy&RoleName={role}&PolicyName={name}"
        ))
        .await?;
        documents.extend(document(&answer, "PolicyDocument"));
    }
    let attached = ask(format!("Action=ListAttachedRolePolicies&RoleName={role}")).await?;
    for arn in xml::all(&attached, "PolicyArn") {
        let policy = ask(format!("Action=GetPolicy&PolicyArn={arn}")).await?;
        let version = xml::first(&policy, "DefaultVersionId").unwrap_or_else(|| "v1".to_owned());
        let answer = ask(format!(
            "Action=GetPolicyVersion&PolicyArn={arn}&VersionId={version}"
        ))
        .await?;
        documents.extend(document(&answer, "Document"));
    }
    Ok(Some(documents))
}

/// A policy document out of IAM's XML: JSON, percent-encoded.
fn document(answer: &str, tag: &str) -> Option<Value> {
    let text = xml::first(answer, tag)?;
    let decoded = percent_decode_str(&text).decode_utf8_lossy();
    serde_json::from_str(&decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_read_from_its_sessions_arn() {
        assert_eq!(
            assumed_role("arn:aws:sts::123456789012:assumed-role/knowledge-repo-dev-pull/me"),
            Some(("123456789012", "knowledge-repo-dev-pull"))
        );
        for arn in [
            "arn:aws:sts::123456789012:user/moto",
            "arn:aws:iam::1:role/r",
            "",
            "a:b",
        ] {
            assert_eq!(assumed_role(arn), None, "{arn}");
        }
    }

    #[test]
    fn a_document_is_percent_encoded_json() {
        let answer = "<R><PolicyDocument>%7B%22Statement%22%3A%20%5B%5D%7D</PolicyDocument></R>";
        assert_eq!(
            document(answer, "PolicyDocument"),
            Some(serde_json::json!({"Statement": []}))
        );
        assert_eq!(document("<R/>", "PolicyDocument"), None);
    }
}
