//! From a request to files: first what would change, then the change.

use std::path::PathBuf;

use super::diff::unified;
use super::error::ConfigureError;
use super::file::{Found, turn};
use super::hidden::hidden;
use super::places::{Place, places};
use super::server::Server;
use super::text::{self, Note, TextError};
use crate::environment::Environment;

/// How often a file is taken up again that another program has changed in between.
const TRIES: usize = 20;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// These registries are to be answered by the helper.
    Route(&'a [Server]),
    /// These no more; none named: no registry at all.
    Unroute(&'a [Server]),
}

/// What is asked for, and of whom.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The registries.
    pub target: Target<'a>,
    /// Whether Podman's files are changed as well as Docker's.
    pub podman: bool,
}

/// What happens, or would happen, to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The file.
    pub path: PathBuf,
    /// What was done.
    pub notes: Vec<Note>,
    /// The difference as `diff -u` shows it, with secrets hidden; empty when there is none.
    pub diff: String,
}

/// Says what [`apply`] would do, and changes nothing.
pub fn plan(
    environment: &Environment,
    request: Request<'_>,
) -> Result<Vec<Changed>, ConfigureError> {
    let mut changed = Vec::new();
    for place in places(environment, request.podman)? {
        let found = Found::read(&place.path)?;
        let (_, report) = edit(&place, &found, request.target)?;
        changed.extend(report);
    }
    Ok(changed)
}

/// Changes the files. All of them are read and judged before the first is written.
pub fn apply(
    environment: &Environment,
    request: Request<'_>,
) -> Result<Vec<Changed>, ConfigureError> {
    let _turn = turn(environment);
    plan(environment, request)?;
    let mut changed = Vec::new();
    for place in places(environment, request.podman)? {
        changed.extend(change(&place, request.target)?);
    }
    Ok(changed)
}

fn change(place: &Place, target: Target<'_>) -> Result<Option<Changed>, ConfigureError> {
    for _ in 0..TRIES {
        let found = Found::read(&place.path)?;
        let (text, report) = edit(place, &found, target)?;
        let Some(text) = text else {
            return Ok(report);
        };
        let replaced = found
            .replace(&text)
            .map_err(|source| ConfigureError::Unwritable {
                path: place.path.clone(),
                source,
            })?;
        if replaced {
            return Ok(report);
        }
    }
    Err(ConfigureError::Contested {
        path: place.path.clone(),
    })
}

/// The new text of a file, if it is another one, and what there is to tell about it.
fn edit(
    place: &Place,
    found: &Found,
    target: Target<'_>,
) -> Result<(Option<String>, Option<Changed>), ConfigureError> {
    let before = found.text()?;
    let base = before.unwrap_or("{}");
    let edited = match target {
        Target::Route(servers) if place.routes => text::route(base, servers),
        Target::Route(servers) => text::without_logins(base, servers),
        Target::Unroute(servers) => text::unroute(base, servers),
    };
    let (after, notes) = edited.map_err(|error| match error {
        TextError::Json(error) => ConfigureError::Invalid {
            path: place.path.clone(),
            line: error.line,
            column: error.column,
            why: error.why,
        },
        TextError::Shape(what) => ConfigureError::Shape {
            path: place.path.clone(),
            what,
        },
    })?;
    let is_changed = notes.iter().any(Note::is_change);
    // A second file that has nothing of ours is not worth a line.
    if !is_changed && !place.routes {
        return Ok((None, None));
    }
    let after = match before {
        Some(_) => after,
        // A file of our own ends as text files do.
        None => after + "\n",
    };
    let diff = if is_changed {
        let shown = before.map(hidden).or(found.exists().then(String::new));
        unified(
            &place.path.display().to_string(),
            shown.as_deref(),
            &hidden(&after),
        )
    } else {
        String::new()
    };
    let report = Changed {
        path: place.path.clone(),
        notes,
        diff,
    };
    Ok((is_changed.then_some(after), Some(report)))
}
