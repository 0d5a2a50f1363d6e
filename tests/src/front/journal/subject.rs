//! What a record is about, and which records need not be told again.

use serde_json::Value;

use super::super::operation::{Operation, Protocol, form_value};
use super::super::s3::Object;
use super::record::Record;

/// What a record is about, and what it does to earlier records about the same.
#[derive(Debug, PartialEq, Eq)]
struct Subject {
    /// From the general to the particular; whatever begins with it is about a part of it.
    path: Vec<String>,
    effect: Effect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Builds on what was there.
    Adds,
    /// Makes earlier records about it or a part of it needless.
    Replaces,
    /// The same, and leaves nothing: not even this record is needed.
    Erases,
}

/// Leaves out what later records make needless; the order stays.
pub(super) fn compact(records: Vec<Record>) -> Vec<Record> {
    let subjects: Vec<Option<Subject>> = records.iter().map(subject).collect();
    let mut replaced: Vec<&[String]> = Vec::new();
    let mut kept = vec![false; records.len()];
    for (keep, subject) in kept.iter_mut().zip(&subjects).rev() {
        let Some(subject) = subject else {
            *keep = true;
            continue;
        };
        let gone = replaced.iter().any(|path| subject.path.starts_with(path));
        *keep = !gone && subject.effect != Effect::Erases;
        if !gone && subject.effect != Effect::Adds {
            replaced.push(&subject.path);
        }
    }
    records
        .into_iter()
        .zip(kept)
        .filter_map(|(record, keep)| keep.then_some(record))
        .collect()
}

fn subject(record: &Record) -> Option<Subject> {
    let (head, operation) = record.operation()?;
    match (operation.protocol, operation.service.as_str()) {
        (Protocol::S3, _) => Some(of_s3(&Object::of(head.uri.path()), &operation.action)),
        (Protocol::Query, "iam") => of_iam(record, &operation),
        (_, "dynamodb") => of_dynamodb(record, &operation),
        (_, "ecr") => of_ecr(record, &operation),
        _ => None,
    }
}

fn of_s3(object: &Object, action: &str) -> Subject {
    let bucket = object.bucket.clone();
    let on = |level: &str, name: &str| {
        vec![
            "s3".to_owned(),
            bucket.clone(),
            level.to_owned(),
            name.to_owned(),
        ]
    };
    let (path, effect) = match action {
        "DeleteBucket" => (vec!["s3".to_owned(), bucket.clone()], Effect::Erases),
        "CreateBucket" => (vec!["s3".to_owned(), bucket.clone()], Effect::Adds),
        "PutObject" => (on("object", &object.key), Effect::Replaces),
        "DeleteObject" => (on("object", &object.key), Effect::Erases),
        _ if object.key.is_empty() => {
            let name = action
                .trim_start_matches("Put")
                .trim_start_matches("Delete");
            (on("setting", name), Effect::Replaces)
        }
        _ => (on("object", &object.key), Effect::Adds),
    };
    Subject { path, effect }
}

fn of_iam(record: &Record, operation: &Operation) -> Option<Subject> {
    let body = record.body();
    let (kind, name) = ["RoleName", "UserName"]
        .iter()
        .find_map(|kind| Some((*kind, form_value(&body, kind)?)))?;
    let effect = match operation.action.as_str() {
        "DeleteRole" | "DeleteUser" => Effect::Erases,
        _ => Effect::Adds,
    };
    let path = ["iam", &record.account, kind, &name];
    Some(Subject {
        path: path.map(str::to_owned).to_vec(),
        effect,
    })
}

fn of_dynamodb(record: &Record, operation: &Operation) -> Option<Subject> {
    let body: Value = serde_json::from_slice(&record.body()).ok()?;
    let table = body.get("TableName")?.as_str()?;
    let region = &operation.scope.as_ref()?.region;
    let mut path = ["dynamodb", &record.account, region, table]
        .map(str::to_owned)
        .to_vec();
    let id = |field: &str| body.get(field)?.get("LockID")?.get("S")?.as_str();
    let (row, effect) = match operation.action.as_str() {
        "DeleteTable" => (None, Effect::Erases),
        "PutItem" => (Some(id("Item")?), Effect::Replaces),
        "DeleteItem" => (Some(id("Key")?), Effect::Erases),
        "UpdateItem" => (Some(id("Key")?), Effect::Adds),
        _ => (None, Effect::Adds),
    };
    path.extend(row.map(str::to_owned));
    Some(Subject { path, effect })
}

fn of_ecr(record: &Record, operation: &Operation) -> Option<Subject> {
    let body: Value = serde_json::from_slice(&record.body()).ok()?;
    let text = |field: &str| body.get(field).and_then(Value::as_str);
    let region = &operation.scope.as_ref()?.region;
    let repository = text("repositoryName")?;
    let mut path = ["ecr", &record.account, region, repository]
        .map(str::to_owned)
        .to_vec();
    let effect = match operation.action.as_str() {
        "DeleteRepository" => Effect::Erases,
        "PutImage" => {
            // The manifest stands for its digest where none is given.
            let digest = text("imageDigest").or_else(|| text("imageManifest"))?;
            path.extend(["image", digest, text("imageTag").unwrap_or_default()].map(str::to_owned));
            Effect::Replaces
        }
        action if action.starts_with("Put") || action.starts_with("Set") => {
            path.extend(["setting", action].map(str::to_owned));
            Effect::Replaces
        }
        _ => Effect::Adds,
    };
    Some(Subject { path, effect })
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    fn s3(method: &str, path: &str, body: &str) -> Record {
        record(method, path, "s3", &[], body)
    }

    fn json(service: &str, target: &str, body: &str) -> Record {
        record("POST", "/", service, &[("x-amz-target", target)], body)
    }

    fn row(action: &str, body: &str) -> Record {
        json("dynamodb", &format!("DynamoDB_20120810.{action}"), body)
    }

    fn ecr(action: &str, body: &str) -> Record {
        json(
            "ecr",
            &format!("AmazonEC2ContainerRegistry_V20150921.{action}"),
            body,
        )
    }

    fn iam(form: &str) -> Record {
        record(
            "POST",
            "/",
            "iam",
            &[("content-type", "application/x-www-form-urlencoded")],
            form,
        )
    }

    /// Which of the records are kept, by their number.
    fn kept(records: &[Record]) -> Vec<usize> {
        let compacted = compact(records.to_vec());
        let mut numbers = Vec::new();
        let mut next = compacted.iter();
        let mut wanted = next.next();
        for (number, record) in records.iter().enumerate() {
            if wanted == Some(record) {
                numbers.push(number);
                wanted = next.next();
            }
        }
        assert_eq!(numbers.len(), compacted.len());
        numbers
    }

    #[test]
    fn only_the_last_write_of_an_object_is_kept() {
        let records = [
            s3("PUT", "/tf", ""),
            s3("PUT", "/tf/env%3A/dev/state", "1"),
            s3("PUT", "/tf/env%3A/dev/state.tflock", "lock"),
            s3("PUT", "/tf/env:/dev/state", "2"),
            s3("DELETE", "/tf/env%3A/dev/state.tflock", ""),
            s3("PUT", "/tf/other", "3"),
        ];
        assert_eq!(kept(&records), [0, 3, 5]);
    }

    #[test]
    fn a_deleted_bucket_takes_all_with_it_and_a_new_one_stays() {
        let records = [
            s3("PUT", "/tf", "first"),
            s3("PUT", "/tf?versioning", "first"),
            s3("PUT", "/tf/a", "1"),
            s3("DELETE", "/tf", ""),
            s3("PUT", "/tf", "second"),
            s3("PUT", "/tf?versioning", "off"),
            s3("PUT", "/tf?versioning", "on"),
        ];
        assert_eq!(kept(&records), [4, 6]);
    }

    #[test]
    fn only_the_last_state_of_a_row_is_kept() {
        let records = [
            row("CreateTable", r#"{"TableName":"t"}"#),
            row(
                "PutItem",
                r#"{"TableName":"t","Item":{"LockID":{"S":"a"},"Info":{"S":"1"}}}"#,
            ),
            row(
                "PutItem",
                r#"{"TableName":"t","Item":{"LockID":{"S":"a-md5"},"Digest":{"S":"1"}}}"#,
            ),
            row(
                "DeleteItem",
                r#"{"TableName":"t","Key":{"LockID":{"S":"a"}}}"#,
            ),
            row(
                "PutItem",
                r#"{"TableName":"t","Item":{"LockID":{"S":"a-md5"},"Digest":{"S":"2"}}}"#,
            ),
            row(
                "PutItem",
                r#"{"TableName":"u","Item":{"LockID":{"S":"a-md5"},"Digest":{"S":"2"}}}"#,
            ),
        ];
        assert_eq!(kept(&records), [0, 4, 5]);
    }

    #[test]
    fn a_tag_that_moves_and_comes_back_ends_where_it_was() {
        let image = |digest: &str| {
            ecr(
                "PutImage",
                &format!(
                    r#"{{"repositoryName":"r","imageManifest":"{{}}","imageTag":"dev","imageDigest":"{digest}"}}"#
                ),
            )
        };
        let records = [
            ecr("CreateRepository", r#"{"repositoryName":"r"}"#),
            image("sha256:a"),
            image("sha256:b"),
            image("sha256:a"),
            ecr(
                "PutLifecyclePolicy",
                r#"{"repositoryName":"r","lifecyclePolicyText":"1"}"#,
            ),
            ecr(
                "PutLifecyclePolicy",
                r#"{"repositoryName":"r","lifecyclePolicyText":"2"}"#,
            ),
        ];
        assert_eq!(
            compact(records.to_vec()),
            [0, 2, 3, 5].map(|at| records[at].clone())
        );
    }

    #[test]
    fn a_deleted_role_takes_its_policies_with_it() {
        let records = [
            iam("Action=CreateRole&RoleName=pull"),
            iam("Action=PutRolePolicy&RoleName=pull&PolicyName=p"),
            iam("Action=CreateRole&RoleName=pull-2"),
            iam("Action=DeleteRolePolicy&RoleName=pull&PolicyName=p"),
            iam("Action=DeleteRole&RoleName=pull"),
            iam("Action=CreatePolicy&PolicyName=p"),
        ];
        assert_eq!(kept(&records), [2, 5]);
    }
}
