//! What IAM policy documents allow, as far as the registry asks. Conditions are not looked at.

use serde_json::Value;

/// Whether the documents allow an action on a resource: a denial wins, and what nobody allows is
/// denied.
pub(super) fn allows(documents: &[Value], action: &str, resource: &str) -> bool {
    let mut allowed = false;
    for statement in documents
        .iter()
        .flat_map(|document| each(document.get("Statement")))
    {
        let meant = names(
            statement,
            "Action",
            "NotAction",
            &action.to_ascii_lowercase(),
            true,
        ) && names(statement, "Resource", "NotResource", resource, false);
        match statement.get("Effect").and_then(Value::as_str) {
            Some("Deny") if meant => return false,
            Some("Allow") if meant => allowed = true,
            _ => {}
        }
    }
    allowed
}

fn names(statement: &Value, field: &str, negated: &str, text: &str, fold: bool) -> bool {
    let listed = |value: &Value| {
        each(Some(value)).filter_map(Value::as_str).any(|pattern| {
            if fold {
                is_like(&pattern.to_ascii_lowercase(), text)
            } else {
                is_like(pattern, text)
            }
        })
    };
    match (statement.get(field), statement.get(negated)) {
        (Some(value), _) => listed(value),
        (None, Some(value)) => !listed(value),
        (None, None) => false,
    }
}

/// One or many: IAM writes both.
fn each(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    match value {
        Some(Value::Array(many)) => many.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    }
    .iter()
}

/// Whether a text fits a pattern with `*` and `?`.
pub(super) fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut star) = ((0, 0), None);
    while at.1 < text.len() {
        match pattern.get(at.0) {
            Some(b'*') => {
                star = Some(at);
                at.0 += 1;
            }
            Some(byte) if *byte == b'?' || Some(byte) == text.get(at.1) => {
                at = (at.0 + 1, at.1 + 1);
            }
            _ => match star {
                None => return false,
                // The last star takes one byte more.
                Some((in_pattern, in_text)) => {
                    star = Some((in_pattern, in_text + 1));
                    at = (in_pattern + 1, in_text + 1);
                }
            },
        }
    }
    pattern.iter().skip(at.0).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const WEB: &str = "arn:aws:ecr:eu-central-1:123456789012:repository/knowledge-repo-dev/web";

    #[test]
    fn patterns_are_matched_as_iam_does() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("ecr:Get*", "ecr:GetAuthorizationToken", true),
            ("ecr:Get*", "ecr:PutImage", false),
            ("a*b*c", "axxbyybzc", true),
            ("a*b*c", "axxbyybz", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(is_like(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pull_only_policy_allows_pulls_and_no_push() {
        let documents = [json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
            {"Effect": "Allow",
             "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
             "Resource": "arn:aws:ecr:eu-central-1:123456789012:repository/knowledge-repo-dev/*"},
        ]})];
        assert!(allows(&documents, "ecr:GetAuthorizationToken", "*"));
        assert!(allows(&documents, "ecr:BatchGetImage", WEB));
        assert!(!allows(&documents, "ecr:InitiateLayerUpload", WEB));
        let other = WEB.replace("-dev/", "-prod/");
        assert!(!allows(&documents, "ecr:BatchGetImage", &other));
    }

    #[test]
    fn a_denial_wins_and_nothing_is_allowed_by_default() {
        let all = json!({"Statement": {"Effect": "Allow", "Action": "ECR:*", "Resource": "*"}});
        let deny =
            json!({"Statement": [{"Effect": "Deny", "NotAction": "ecr:Get*", "Resource": "*"}]});
        assert!(allows(std::slice::from_ref(&all), "ecr:PutImage", WEB));
        assert!(!allows(&[all.clone(), deny.clone()], "ecr:PutImage", WEB));
        assert!(allows(&[all, deny], "ecr:GetAuthorizationToken", "*"));
        assert!(!allows(&[], "ecr:PutImage", WEB));
        assert!(!allows(&[json!("broken")], "ecr:PutImage", WEB));
    }
}
