//! S3's actions: what a method, a path and a sub-resource of the query amount to.

use http::{HeaderMap, Method, Uri};
use percent_encoding::percent_decode_str;

/// The object that a path-style request names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Object {
    /// The bucket's name.
    pub(super) bucket: String,
    /// The decoded key; empty when the request is about the bucket itself.
    pub(super) key: String,
}

impl Object {
    /// Reads a path-style path.
    pub(super) fn of(path: &str) -> Self {
        let path = path.strip_prefix('/').unwrap_or(path);
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let decode = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        Self {
            bucket: decode(bucket),
            key: decode(key),
        }
    }
}

/// Sub-resources whose Get, Put and Delete actions are named after them: as the query writes them,
/// as a bucket's action calls them, and as an object's does.
const SUB_RESOURCES: &[(&str, Names, Names)] = &[
    (
        "accelerate",
        Names(
            "GetBucketAccelerateConfiguration",
            "PutBucketAccelerateConfiguration",
            "DeleteBucketAccelerateConfiguration",
        ),
        NONE,
    ),
    (
        "acl",
        Names("GetBucketAcl", "PutBucketAcl", "DeleteBucketAcl"),
        Names("GetObjectAcl", "PutObjectAcl", "DeleteObjectAcl"),
    ),
    (
        "attributes",
        NONE,
        Names("GetObjectAttributes", "PutObject", "DeleteObject"),
    ),
    (
        "cors",
        Names("GetBucketCors", "PutBucketCors", "DeleteBucketCors"),
        NONE,
    ),
    (
        "encryption",
        Names(
            "GetBucketEncryption",
            "PutBucketEncryption",
            "DeleteBucketEncryption",
        ),
        NONE,
    ),
    (
        "legal-hold",
        NONE,
        Names("GetObjectLegalHold", "PutObjectLegalHold", "DeleteObject"),
    ),
    (
        "lifecycle",
        Names(
            "GetBucketLifecycleConfiguration",
            "PutBucketLifecycleConfiguration",
            "DeleteBucketLifecycle",
        ),
        NONE,
    ),
    (
        "location",
        Names(
            "GetBucketLocation",
            "PutBucketLocation",
            "DeleteBucketLocation",
        ),
        NONE,
    ),
    (
        "logging",
        Names(
            "GetBucketLogging",
            "PutBucketLogging",
            "DeleteBucketLogging",
        ),
        NONE,
    ),
    (
        "notification",
        Names(
            "GetBucketNotificationConfiguration",
            "PutBucketNotificationConfiguration",
            "DeleteBucketNotificationConfiguration",
        ),
        NONE,
    ),
    (
        "object-lock",
        Names(
            "GetObjectLockConfiguration",
            "PutObjectLockConfiguration",
            "DeleteObjectLockConfiguration",
        ),
        NONE,
    ),
    (
        "ownershipControls",
        Names(
            "GetBucketOwnershipControls",
            "PutBucketOwnershipControls",
            "DeleteBucketOwnershipControls",
        ),
        NONE,
    ),
    (
        "policy",
        Names("GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"),
        NONE,
    ),
    (
        "policyStatus",
        Names(
            "GetBucketPolicyStatus",
            "PutBucketPolicyStatus",
            "DeleteBucketPolicyStatus",
        ),
        NONE,
    ),
    (
        "publicAccessBlock",
        Names(
            "GetPublicAccessBlock",
            "PutPublicAccessBlock",
            "DeletePublicAccessBlock",
        ),
        NONE,
    ),
    (
        "replication",
        Names(
            "GetBucketReplication",
            "PutBucketReplication",
            "DeleteBucketReplication",
        ),
        NONE,
    ),
    (
        "requestPayment",
        Names(
            "GetBucketRequestPayment",
            "PutBucketRequestPayment",
            "DeleteBucketRequestPayment",
        ),
        NONE,
    ),
    (
        "retention",
        NONE,
        Names("GetObjectRetention", "PutObjectRetention", "DeleteObject"),
    ),
    (
        "tagging",
        Names(
            "GetBucketTagging",
            "PutBucketTagging",
            "DeleteBucketTagging",
        ),
        Names(
            "GetObjectTagging",
            "PutObjectTagging",
            "DeleteObjectTagging",
        ),
    ),
    (
        "versioning",
        Names(
            "GetBucketVersioning",
            "PutBucketVersioning",
            "DeleteBucketVersioning",
        ),
        NONE,
    ),
    (
        "website",
        Names(
            "GetBucketWebsite",
            "PutBucketWebsite",
            "DeleteBucketWebsite",
        ),
        NONE,
    ),
];

/// The action names for reading, writing and deleting.
#[derive(Clone, Copy, PartialEq)]
struct Names(&'static str, &'static str, &'static str);

/// A sub-resource that does not exist on this level.
const NONE: Names = Names("", "", "");

impl Names {
    fn of(self, method: &Method) -> &'static str {
        match *method {
            Method::GET | Method::HEAD => self.0,
            Method::DELETE => self.2,
            _ => self.1,
        }
    }
}

/// The action's name as S3's documentation and IAM spell it.
pub(super) fn action(method: &Method, uri: &Uri, headers: &HeaderMap) -> &'static str {
    let object = Object::of(uri.path());
    let names: Vec<&str> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name))
        .collect();
    let asks = |name: &str| names.contains(&name);
    let on_object = !object.key.is_empty();
    for (name, bucket_names, object_names) in SUB_RESOURCES {
        let actions = if on_object {
            *object_names
        } else {
            *bucket_names
        };
        if asks(name) && actions != NONE {
            return actions.of(method);
        }
    }
    if on_object {
        return object_action(method, headers, &asks);
    }
    match *method {
        Method::HEAD => "HeadBucket",
        Method::GET if object.bucket.is_empty() => "ListBuckets",
        Method::GET if asks("versions") => "ListObjectVersions",
        Method::GET if asks("uploads") => "ListMultipartUploads",
        Method::GET if asks("list-type") => "ListObjectsV2",
        Method::GET => "ListObjects",
        Method::POST if asks("delete") => "DeleteObjects",
        Method::POST => "PostObject",
        Method::DELETE => "DeleteBucket",
        _ => "CreateBucket",
    }
}

fn object_action(
    method: &Method,
    headers: &HeaderMap,
    asks: &dyn Fn(&str) -> bool,
) -> &'static str {
    match *method {
        Method::GET if asks("uploadId") => "ListParts",
        Method::GET => "GetObject",
        Method::HEAD => "HeadObject",
        Method::DELETE if asks("uploadId") => "AbortMultipartUpload",
        Method::DELETE => "DeleteObject",
        Method::POST if asks("uploads") => "CreateMultipartUpload",
        Method::POST if asks("uploadId") => "CompleteMultipartUpload",
        Method::POST if asks("restore") => "RestoreObject",
        Method::POST if asks("select") => "SelectObjectContent",
        Method::PUT if asks("partNumber") => "UploadPart",
        _ if headers.contains_key("x-amz-copy-source") => "CopyObject",
        _ => "PutObject",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_named_as_s3_names_them() {
        for (method, uri, expected) in [
            ("GET", "/", "ListBuckets"),
            ("PUT", "/b", "CreateBucket"),
            ("PUT", "/b/", "CreateBucket"),
            ("HEAD", "/b", "HeadBucket"),
            ("DELETE", "/b", "DeleteBucket"),
            ("GET", "/b?list-type=2&prefix=env%3A%2F", "ListObjectsV2"),
            ("GET", "/b?versions", "ListObjectVersions"),
            ("POST", "/b?delete", "DeleteObjects"),
            ("PUT", "/b?versioning", "PutBucketVersioning"),
            ("GET", "/b?publicAccessBlock=", "GetPublicAccessBlock"),
            ("DELETE", "/b?lifecycle", "DeleteBucketLifecycle"),
            ("GET", "/b/env%3A/dev/k", "GetObject"),
            ("HEAD", "/b/k", "HeadObject"),
            ("PUT", "/b/k", "PutObject"),
            ("PUT", "/b/k?x-id=PutObject", "PutObject"),
            ("DELETE", "/b/k?versionId=1", "DeleteObject"),
            ("PUT", "/b/k?tagging", "PutObjectTagging"),
            ("PUT", "/b/k?versioning", "PutObject"),
            ("POST", "/b/k?uploads", "CreateMultipartUpload"),
            ("PUT", "/b/k?partNumber=1&uploadId=x", "UploadPart"),
            ("POST", "/b/k?uploadId=x", "CompleteMultipartUpload"),
            ("DELETE", "/b/k?uploadId=x", "AbortMultipartUpload"),
        ] {
            let method = method.parse().expect("a method");
            let uri = uri.parse().expect("a path");
            assert_eq!(
                action(&method, &uri, &HeaderMap::new()),
                expected,
                "{method} {uri}"
            );
        }
    }

    #[test]
    fn a_copy_is_told_from_a_put() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-copy-source", "/b/other".parse().expect("a value"));
        assert_eq!(
            action(&Method::PUT, &Uri::from_static("/b/k"), &headers),
            "CopyObject"
        );
    }

    #[test]
    fn a_path_is_a_bucket_and_a_decoded_key() {
        let object = Object::of("/tf/env%3A/dev/hybrid/terraform.tfstate");
        assert_eq!(object.bucket, "tf");
        assert_eq!(object.key, "env:/dev/hybrid/terraform.tfstate");
        assert_eq!(Object::of("/tf").key, "");
        assert_eq!(Object::of("").bucket, "");
    }
}
