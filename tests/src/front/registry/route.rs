//! What a request to a registry is about.

use http::Method;

/// A request to a registry, by its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `/v2/`.
    Base,
    /// `/v2/_catalog`.
    Catalog,
    /// `/v2/NAME/tags/list`.
    Tags { name: String },
    /// `/v2/NAME/manifests/REFERENCE`.
    Manifest { name: String, reference: String },
    /// `/v2/NAME/blobs/DIGEST`.
    Blob { name: String },
    /// `/v2/NAME/blobs/uploads/[ID]`.
    Upload { name: String },
    /// `/v2/NAME/referrers/DIGEST`.
    Referrers { name: String },
}

impl Route {
    /// Reads a path; none when no registry has it.
    pub(super) fn of(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/v2")?;
        if rest.is_empty() || rest == "/" {
            return Some(Self::Base);
        }
        let rest = rest.strip_prefix('/')?;
        if rest == "_catalog" {
            return Some(Self::Catalog);
        }
        let split = |middle: &str| {
            let (name, end) = rest.rsplit_once(middle)?;
            // Nothing may leave the part of the real registry that belongs to this one.
            is_name(name).then(|| (name.to_owned(), end.to_owned()))
        };
        if let Some((name, _)) = split("/blobs/uploads/") {
            return Some(Self::Upload { name });
        }
        if let Some(name) = rest.strip_suffix("/blobs/uploads") {
            return is_name(name).then(|| Self::Upload {
                name: name.to_owned(),
            });
        }
        let plain = |(name, end): (String, String)| (!end.contains('/')).then_some((name, end));
        if let Some((name, reference)) = split("/manifests/").and_then(plain) {
            return Some(Self::Manifest { name, reference });
        }
        if let Some((name, _)) = split("/blobs/").and_then(plain) {
            return Some(Self::Blob { name });
        }
        if let Some((name, _)) = split("/referrers/").and_then(plain) {
            return Some(Self::Referrers { name });
        }
        split("/tags/")
            .filter(|(_, end)| end == "list")
            .map(|(name, _)| Self::Tags { name })
    }

    /// The repository.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Base | Self::Catalog => None,
            Self::Tags { name }
            | Self::Manifest { name, .. }
            | Self::Blob { name }
            | Self::Upload { name }
            | Self::Referrers { name } => Some(name),
        }
    }

    /// What a request of that method is called in faults and counts, its groups, and the action
    /// that IAM must allow for it. None when registries have no such request.
    pub(super) fn called(&self, method: &Method) -> Option<Called> {
        let (call, groups, action): (_, &'static [&'static str], _) = match (self, method) {
            (Self::Base, &Method::GET | &Method::HEAD) => ("Ping", &["ping"], None),
            (Self::Catalog, &Method::GET) => ("Catalog", &[], Some("ecr:DescribeRepositories")),
            (Self::Tags { .. }, &Method::GET) => ("ListTags", &[], Some("ecr:ListImages")),
            (Self::Referrers { .. }, &Method::GET) => {
                ("ListReferrers", &[], Some("ecr:BatchGetImage"))
            }
            (Self::Manifest { .. }, &Method::HEAD) => (
                "HeadManifest",
                &["pull", "manifest"],
                Some("ecr:BatchGetImage"),
            ),
            (Self::Manifest { .. }, &Method::GET) => (
                "GetManifest",
                &["pull", "manifest"],
                Some("ecr:BatchGetImage"),
            ),
            (Self::Manifest { .. }, &Method::PUT) => {
                ("PutManifest", &["push", "manifest"], Some("ecr:PutImage"))
            }
            (Self::Blob { .. }, &Method::HEAD) => (
                "HeadBlob",
                &["blob"],
                Some("ecr:BatchCheckLayerAvailability"),
            ),
            (Self::Blob { .. }, &Method::GET) => (
                "GetBlob",
                &["pull", "blob"],
                Some("ecr:GetDownloadUrlForLayer"),
            ),
            (Self::Upload { .. }, &Method::POST) => (
                "StartUpload",
                &["push", "blob"],
                Some("ecr:InitiateLayerUpload"),
            ),
            (Self::Upload { .. }, &Method::PATCH) => {
                ("UploadPart", &["push", "blob"], Some("ecr:UploadLayerPart"))
            }
            (Self::Upload { .. }, &Method::PUT) => (
                "FinishUpload",
                &["push", "blob"],
                Some("ecr:CompleteLayerUpload"),
            ),
            (Self::Upload { .. }, &Method::GET | &Method::DELETE) => {
                ("UploadStatus", &["blob"], Some("ecr:UploadLayerPart"))
            }
            _ => return None,
        };
        Some(Called {
            call,
            groups,
            action,
        })
    }
}

/// How a request goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Called {
    /// Its name in faults and counts, behind `registry:`.
    pub(super) call: &'static str,
    /// Groups that it belongs to.
    pub(super) groups: &'static [&'static str],
    /// What IAM must allow.
    pub(super) action: Option<&'static str>,
}

/// Whether it can be the name of a repository: no empty, `.` or `..` component.
fn is_name(name: &str) -> bool {
    name.split('/').all(|part| {
        part.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
            && part.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte)
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_apart() {
        let name = || "knowledge-repo-dev/web".to_owned();
        for (path, expected) in [
            ("/v2", Some(Route::Base)),
            ("/v2/", Some(Route::Base)),
            ("/v2/_catalog", Some(Route::Catalog)),
            (
                "/v2/knowledge-repo-dev/web/tags/list",
                Some(Route::Tags { name: name() }),
            ),
            (
                "/v2/knowledge-repo-dev/web/manifests/dev",
                Some(Route::Manifest {
                    name: name(),
                    reference: "dev".to_owned(),
                }),
            ),
            (
                "/v2/knowledge-repo-dev/web/blobs/sha256:ab",
                Some(Route::Blob { name: name() }),
            ),
            (
                "/v2/knowledge-repo-dev/web/blobs/uploads/",
                Some(Route::Upload { name: name() }),
            ),
            (
                "/v2/knowledge-repo-dev/web/blobs/uploads",
                Some(Route::Upload { name: name() }),
            ),
            (
                "/v2/knowledge-repo-dev/web/blobs/uploads/id-1",
                Some(Route::Upload { name: name() }),
            ),
            (
                "/v2/knowledge-repo-dev/web/referrers/sha256:ab",
                Some(Route::Referrers { name: name() }),
            ),
            (
                "/v2/blobs/manifests/manifests/x",
                Some(Route::Manifest {
                    name: "blobs/manifests".to_owned(),
                    reference: "x".to_owned(),
                }),
            ),
            ("/v1/", None),
            ("/v2x", None),
            ("/v2/web", None),
            ("/v2/web/tags/all", None),
            ("/v2/../web/manifests/x", None),
            ("/v2/web/../../other/blobs/sha256:ab", None),
            ("/v2//manifests/x", None),
            ("/v2/%2e%2e/manifests/x", None),
        ] {
            assert_eq!(Route::of(path), expected, "{path}");
        }
    }

    #[test]
    fn each_step_of_a_push_asks_for_its_own_action() {
        let action = |path: &str, method: Method| {
            Route::of(path).and_then(|route| route.called(&method)?.action)
        };
        assert_eq!(action("/v2/", Method::GET), None);
        assert_eq!(
            action("/v2/w/blobs/uploads/", Method::POST),
            Some("ecr:InitiateLayerUpload")
        );
        assert_eq!(
            action("/v2/w/blobs/uploads/1", Method::PUT),
            Some("ecr:CompleteLayerUpload")
        );
        assert_eq!(
            action("/v2/w/manifests/dev", Method::PUT),
            Some("ecr:PutImage")
        );
        assert_eq!(
            action("/v2/w/manifests/dev", Method::HEAD),
            Some("ecr:BatchGetImage")
        );
        assert_eq!(
            Route::of("/v2/w/manifests/dev").and_then(|route| route.called(&Method::DELETE)),
            None
        );
    }
}
