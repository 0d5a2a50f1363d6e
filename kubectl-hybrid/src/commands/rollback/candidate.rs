//! What a rollback can go back to.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::cluster::workload::PastRevision;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::project::Service;
use crate::registry::{Digest, ImageDetail, ImageReference, Registry, RegistryError, Tag};

/// The fewest hexadecimal digits that name an image.
const SHORTEST: usize = 6;

/// An image that the service ran, or runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate {
    /// The workload's revision; `None` for an image that the cluster does not remember.
    pub revision: Option<i64>,
    /// Whether it is what the workload asks for now.
    pub current: bool,
    /// When the cluster got it.
    pub made_at: Option<Timestamp>,
    /// When the registry got it.
    pub pushed_at: Option<Timestamp>,
    /// The image as the pod template has it.
    pub image: String,
    /// The tag of its content, when the registry tells one.
    pub tag: Option<Tag>,
    /// Its digest.
    pub digest: Option<Digest>,
    /// Why it was deployed, as `kubectl rollout history` shows it.
    pub change_cause: Option<String>,
    /// Whether the registry still has it. `None`: not known, or not our registry.
    pub in_registry: Option<bool>,
}

/// A revision of the workload as a candidate, and why the registry could not tell.
pub(super) async fn of(
    registry: &Registry,
    service: &Service,
    revision: &PastRevision,
) -> (Candidate, Option<RegistryError>) {
    let image = revision.image(&service.container).unwrap_or_default();
    let mut candidate = Candidate {
        revision: Some(revision.number),
        current: revision.current,
        made_at: revision.made_at,
        pushed_at: None,
        image: image.to_owned(),
        tag: None,
        digest: None,
        change_cause: revision.change_cause.clone(),
        in_registry: None,
    };
    let Ok(reference) = image.parse::<ImageReference>() else {
        return (candidate, None);
    };
    candidate.digest = reference.digest().cloned();
    candidate.tag = reference.tag().cloned();
    if reference.registry() != registry.host() || reference.repository() != service.repository {
        return (candidate, None);
    }
    let found = match (reference.digest(), reference.tag()) {
        (Some(digest), _) => registry.describe_digest(&service.repository, digest).await,
        (None, Some(tag)) => registry.describe(&service.repository, tag).await,
        (None, None) => return (candidate, None),
    };
    match found {
        Ok(detail) => {
            candidate.fill(detail);
            (candidate, None)
        }
        Err(error) => (candidate, Some(error)),
    }
}

impl Candidate {
    /// The columns of [`Self::row`].
    pub(super) const COLUMNS: [&'static str; 6] = [
        "REVISION",
        "MADE",
        "TAG",
        "DIGEST",
        "IN-REGISTRY",
        "CHANGE-CAUSE",
    ];

    fn fill(&mut self, detail: Option<ImageDetail>) {
        self.in_registry = Some(detail.is_some());
        let Some(detail) = detail else { return };
        self.pushed_at = detail.pushed_at;
        if self.tag.is_none() {
            // A moving tag has the workspace's name; that of the content is longer.
            self.tag = detail.tags.into_iter().max_by_key(|tag| tag.as_str().len());
        }
        self.digest = Some(detail.digest);
    }

    /// For people.
    pub(super) fn row(&self) -> Vec<String> {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let number = or_dash(self.revision.map(|number| number.to_string()));
        vec![
            if self.current {
                format!("{number} (now)")
            } else {
                number
            },
            or_dash(self.made_at.map(|at| format!("{at:.0}"))),
            or_dash(self.tag.as_ref().map(ToString::to_string)),
            or_dash(self.digest.as_ref().map(|digest| digest.short().to_owned())),
            match self.in_registry {
                Some(true) => "yes",
                Some(false) => "no",
                None => "unknown",
            }
            .to_owned(),
            or_dash(self.change_cause.clone()),
        ]
    }

    /// The image in the service's repository.
    pub(super) fn reference(&self, service: &Service) -> Option<ImageReference> {
        let reference: ImageReference = self.image.parse().ok()?;
        let ours = format!("{}/{}", reference.registry(), reference.repository());
        (ours == service.repository_url).then_some(reference)
    }
}

/// The revision, else the image.
impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.revision, &self.digest) {
            (Some(number), _) => write!(f, "{number}"),
            (None, Some(digest)) => digest.fmt(f),
            (None, None) => f.write_str(&self.image),
        }
    }
}

/// What `--to` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// One of the candidates.
    Known(usize),
    /// An image that the cluster does not remember, by its whole digest.
    Digest(Digest),
}

impl Wanted {
    /// Reads a revision, or a digest: whole, or its first digits.
    pub(super) fn parse(text: &str, candidates: &[Candidate]) -> Result<Self, CommandError> {
        let by_number = text
            .parse()
            .ok()
            .and_then(|number: i64| candidates.iter().position(|it| it.revision == Some(number)));
        if let Some(at) = by_number {
            return Ok(Self::Known(at));
        }
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let starts = |candidate: &Candidate| {
            candidate
                .digest
                .as_ref()
                .and_then(|digest| digest.as_str().strip_prefix("sha256:"))
                .is_some_and(|full| full.starts_with(&digits.to_ascii_lowercase()))
        };
        if is_hex && digits.len() >= SHORTEST {
            if let Some(at) = candidates.iter().position(starts) {
                let first = candidates.get(at).and_then(|it| it.digest.as_ref());
                let others = candidates.iter().filter(|it| starts(it));
                if others.clone().any(|other| other.digest.as_ref() != first) {
                    return Err(CommandError::new(
                        Exit::Usage,
                        format!("`{text}` is the beginning of more than one digest"),
                    )
                    .hint("give more digits"));
                }
                return Ok(Self::Known(at));
            }
            if let Ok(digest) = format!("sha256:{digits}").parse() {
                return Ok(Self::Digest(digest));
            }
        }
        let known: Vec<String> = candidates.iter().map(ToString::to_string).collect();
        Err(CommandError::new(
            Exit::Usage,
            format!(
                "there is no revision or digest `{text}`; the revisions are {}",
                if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                }
            ),
        )
        .hint("a digest that the cluster does not remember has to be whole: sha256: and 64 digits"))
    }

    /// The candidate, if its image can still be had.
    pub(super) async fn resolve(
        self,
        registry: &Registry,
        service: &Service,
        candidates: &[Candidate],
    ) -> Result<Candidate, CommandError> {
        let gone =
            |what: String| {
                CommandError::new(
                Exit::RollOut,
                format!("{what} is not in repository `{}` any more", service.repository),
            )
            .hint(still_there(candidates))
            .hint("build it again from its commit: `git checkout COMMIT && kubectl hybrid deploy`")
            };
        match self {
            Self::Known(at) => {
                let candidate = candidates
                    .get(at)
                    .cloned()
                    .ok_or_else(|| CommandError::new(Exit::Unexpected, "the candidate is gone"))?;
                if candidate.in_registry == Some(false) {
                    return Err(gone(format!("the image of revision {candidate}")));
                }
                Ok(candidate)
            }
            Self::Digest(digest) => {
                let detail = registry
                    .describe_digest(&service.repository, &digest)
                    .await
                    .map_err(|error| crate::commands::images::registry_error(&error))?;
                if detail.is_none() {
                    return Err(gone(format!("image {digest}")));
                }
                let mut candidate = Candidate {
                    revision: None,
                    current: false,
                    made_at: None,
                    pushed_at: None,
                    image: format!("{}@{digest}", service.repository_url),
                    tag: None,
                    digest: None,
                    change_cause: None,
                    in_registry: None,
                };
                candidate.fill(detail);
                Ok(candidate)
            }
        }
    }
}

/// The newest image before the current one that can be had. A restart makes a revision of the same
/// image: that leads nowhere.
pub(super) fn newest_older(candidates: &[Candidate]) -> Option<&Candidate> {
    let now = candidates.iter().find(|it| it.current);
    let runs = |image: &str| now.is_some_and(|now| now.image == image);
    candidates
        .iter()
        .find(|it| !it.current && it.in_registry == Some(true) && !runs(&it.image))
}

fn still_there(candidates: &[Candidate]) -> String {
    let there: Vec<String> = candidates
        .iter()
        .filter(|it| it.in_registry == Some(true) && !it.current)
        .map(ToString::to_string)
        .collect();
    if there.is_empty() {
        "no earlier image is in the registry".to_owned()
    } else {
        format!("these revisions are: {}", there.join(", "))
    }
}

/// The image without its registry, its digest cut to twelve digits.
pub(in crate::commands) fn short(image: &str) -> String {
    let name = image.split_once('/').map_or(image, |(_, name)| name);
    match name.split_once("@sha256:") {
        Some((name, digest)) => format!("{name}@{}", digest.get(..12).unwrap_or(digest)),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(number: i64, digest: &str) -> Candidate {
        let digest: Digest = format!("sha256:{digest:0<64}").parse().unwrap();
        Candidate {
            revision: Some(number),
            current: false,
            made_at: None,
            pushed_at: None,
            image: format!("r.example/web@{digest}"),
            tag: None,
            digest: Some(digest),
            change_cause: None,
            in_registry: Some(true),
        }
    }

    #[test]
    fn a_revision_or_the_beginning_of_a_digest_names_a_candidate() {
        let candidates = [
            candidate(12, "abcdef1"),
            candidate(11, "abcdef2"),
            candidate(3, "1234567"),
        ];
        let whole = format!("sha256:{:0<64}", "99");
        let table = [
            ("12", Ok(Wanted::Known(0))),
            ("3", Ok(Wanted::Known(2))),
            ("abcdef1", Ok(Wanted::Known(0))),
            ("sha256:ABCDEF2", Ok(Wanted::Known(1))),
            // Digits alone are a revision first, and a digest when there is no such revision.
            ("1234567", Ok(Wanted::Known(2))),
            (&whole, Ok(Wanted::Digest(whole.parse().unwrap()))),
            (
                "abcdef",
                Err("`abcdef` is the beginning of more than one digest"),
            ),
            (
                "abc",
                Err("there is no revision or digest `abc`; the revisions are 12, 11, 3"),
            ),
            (
                "7",
                Err("there is no revision or digest `7`; the revisions are 12, 11, 3"),
            ),
            (
                "latest",
                Err("there is no revision or digest `latest`; the revisions are 12, 11, 3"),
            ),
        ];
        for (text, expected) in table {
            let found = Wanted::parse(text, &candidates).map_err(|error| error.to_string());
            assert_eq!(found, expected.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn the_newest_older_image_that_the_registry_still_has_is_suggested() {
        let of = |number, digest, in_registry, current| Candidate {
            current,
            in_registry,
            ..candidate(number, digest)
        };
        let now = of(12, "aa", Some(true), true);
        let same = of(11, "aa", Some(true), false);
        let gone = of(10, "bb", Some(false), false);
        let unknown = of(9, "cc", None, false);
        let (there, older) = (
            of(8, "dd", Some(true), false),
            of(7, "ee", Some(true), false),
        );
        let table = [
            (vec![&now, &same, &gone, &unknown, &there, &older], Some(8)),
            (vec![&now, &older], Some(7)),
            (vec![&now, &same, &gone, &unknown], None),
            (vec![&now], None),
            (vec![], None),
        ];
        for (candidates, expected) in table {
            let candidates: Vec<Candidate> = candidates.into_iter().cloned().collect();
            let found = newest_older(&candidates).and_then(|it| it.revision);
            assert_eq!(found, expected, "{candidates:?}");
        }
    }

    #[test]
    fn a_row_says_what_is_not_known() {
        let mut old = candidate(3, "12");
        old.in_registry = None;
        old.current = true;
        assert_eq!(
            old.row(),
            ["3 (now)", "-", "-", "120000000000", "unknown", "-"]
        );
    }
}
