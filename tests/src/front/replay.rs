//! Telling a new emulator what the old one knew.
//!
//! An emulator that holds a journal's records is marked: a bucket of an account that nobody uses
//! holds the journal's id. So a front that is started again tells nothing twice, and an emulator
//! that was killed while it was told, or that holds another journal's data, is emptied first.

use std::fmt;
use std::path::Path;

use bytes::Bytes;
use http::Method;
use serde::Serialize;

use super::error::FrontError;
use super::journal::Journal;
use super::moto::{Asked, Moto, MotoError};

/// The account of the mark; buckets of one account are not listed for another.
const ACCOUNT: &str = "000000000000";
const BUCKET: &str = "/ecr-front-journal";
const MARK: &str = "/ecr-front-journal/mark";

/// What was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Requests that were sent.
    pub sent: usize,
    /// Those of them that the emulator refused.
    pub refused: Vec<String>,
    /// Whether the emulator was emptied first.
    pub reset: bool,
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reset {
            f.write_str("emptied an emulator that held something else; ")?;
        }
        write!(f, "told the emulator {} requests again", self.sent)?;
        if !self.refused.is_empty() {
            write!(
                f,
                ", {} of them refused: {}",
                self.refused.len(),
                self.refused.join("; ")
            )?;
        }
        Ok(())
    }
}

/// Tells an emulator a journal, unless it holds it already.
pub async fn replay(journal: &Path, moto: &str) -> Result<Replayed, FrontError> {
    if let Err(source) = std::fs::metadata(journal) {
        let path = journal.to_owned();
        return Err(FrontError::Read { path, source });
    }
    let mut open = Journal::open(journal).map_err(|source| FrontError::Read {
        path: journal.to_owned(),
        source,
    })?;
    tell(&Moto::at(moto), &mut open)
        .await
        .map_err(|error| FrontError::Emulator(error.to_string()))
}

/// The same with a journal that is open.
pub(super) async fn tell(moto: &Moto, journal: &mut Journal) -> Result<Replayed, MotoError> {
    let current = format!("holds {}", journal.id());
    let mut told = Replayed::default();
    match mark(moto).await? {
        Some(mark) if mark == current => return Ok(told),
        // Half told, or told another journal.
        Some(_) => {
            reset(moto).await?;
            told.reset = true;
        }
        None => {}
    }
    set_mark(moto, &format!("is being told {}", journal.id())).await?;
    let records = journal.records().map_err(|error| MotoError::Refused {
        action: "take back what it knew".to_owned(),
        status: http::StatusCode::INTERNAL_SERVER_ERROR,
        text: format!("could not read {}: {error}", journal.path().display()),
    })?;
    for record in records {
        let answer = moto
            .send(
                &record.method(),
                record.target(),
                &record.headers(),
                record.body(),
            )
            .await?;
        told.sent += 1;
        if !answer.status().is_success() {
            let name = record
                .operation()
                .map_or_else(String::new, |(_, operation)| operation.to_string());
            told.refused.push(format!(
                "{name} {} {}",
                record.target(),
                answer.status().as_u16()
            ));
        }
    }
    set_mark(moto, &current).await?;
    Ok(told)
}

/// Marks an emulator that was emptied together with its journal.
pub(super) async fn mark_as_told(moto: &Moto, journal: &Journal) -> Result<(), MotoError> {
    set_mark(moto, &format!("holds {}", journal.id())).await
}

async fn mark(moto: &Moto) -> Result<Option<String>, MotoError> {
    let asked = Asked::s3("read the mark", &Method::GET, MARK, Bytes::new());
    match moto.ask(asked, ACCOUNT).await {
        Ok(mark) => Ok(Some(String::from_utf8_lossy(&mark).into_owned())),
        Err(MotoError::Refused { status, .. }) if status == http::StatusCode::NOT_FOUND => Ok(None),
        Err(error) => Err(error),
    }
}

async fn set_mark(moto: &Moto, mark: &str) -> Result<(), MotoError> {
    let bucket = Asked::s3("make the mark", &Method::PUT, BUCKET, Bytes::new());
    match moto.ask(bucket, ACCOUNT).await {
        Err(error) if !error.names("BucketAlreadyOwnedByYou") => return Err(error),
        _ => {}
    }
    let body = Bytes::from(mark.to_owned());
    let object = Asked::s3("make the mark", &Method::PUT, MARK, body);
    moto.ask(object, ACCOUNT).await.map(drop)
}

async fn reset(moto: &Moto) -> Result<(), MotoError> {
    let asked = Asked::s3("forget", &Method::POST, "/moto-api/reset", Bytes::new());
    moto.ask(asked, "").await.map(drop)
}
