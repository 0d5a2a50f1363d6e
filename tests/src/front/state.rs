//! What both listeners share.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::callers::Callers;
use super::error::FrontError;
use super::fault::Faults;
use super::journal::{Journal, Record};
use super::lock;
use super::moto::{Asked, Moto, MotoError};
use super::permissions::Permissions;
use super::replay;
use super::repositories::Repositories;
use super::server::{Log, Settings};
use super::tokens::Tokens;

/// Requests that are remembered for people.
const TAIL: usize = 300;

/// One request, for people.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Seen {
    /// When it came.
    pub(super) at: Timestamp,
    /// `service:Action`.
    pub(super) call: String,
    /// Method and path, without the query: it may hold a signature.
    pub(super) request: String,
    /// The access key id or the principal.
    pub(super) by: String,
    /// The status; 0 is no answer at all.
    pub(super) status: u16,
    /// How long it took.
    pub(super) milliseconds: u64,
}

/// What both listeners share.
pub(super) struct State {
    pub(super) moto: Moto,
    /// `http://HOST:PORT` of the real registry.
    pub(super) registry: String,
    pub(super) tokens: Tokens,
    pub(super) callers: Callers,
    pub(super) permissions: Permissions,
    pub(super) repositories: Repositories,
    pub(super) faults: Faults,
    /// Held while the emulator is changed, so that the journal has the order in which it was.
    pub(super) journal: tokio::sync::Mutex<Journal>,
    /// Held while a manifest is pushed: looking for its tag and setting it are one step.
    pub(super) pushing: tokio::sync::Mutex<()>,
    /// Set when the emulator may be a new one that knows nothing.
    suspect: AtomicBool,
    replays: bool,
    tail: Mutex<VecDeque<Seen>>,
    log: Log,
}

impl State {
    pub(super) fn open(settings: &Settings, log: Log) -> Result<Self, FrontError> {
        let folder = &settings.state_dir;
        let write = |path: &Path| {
            let path = path.to_owned();
            move |source| FrontError::Write { path, source }
        };
        std::fs::create_dir_all(folder).map_err(write(folder))?;
        let path = folder.join("journal.jsonl");
        let journal = Journal::open(&path).map_err(write(&path))?;
        Ok(Self {
            moto: Moto::at(&settings.moto),
            registry: settings.registry.trim_end_matches('/').to_owned(),
            tokens: Tokens::open(folder.join("tokens.json")),
            callers: Callers::open(folder.join("callers.json")),
            permissions: Permissions::default(),
            repositories: Repositories::default(),
            faults: Faults::default(),
            journal: tokio::sync::Mutex::new(journal),
            pushing: tokio::sync::Mutex::default(),
            suspect: AtomicBool::new(settings.replay),
            replays: settings.replay,
            tail: Mutex::default(),
            log,
        })
    }

    /// One line for people.
    pub(super) fn log(&self, line: &str) {
        (self.log)(line);
    }

    /// Remembers a request for people.
    pub(super) fn saw(&self, seen: Seen) {
        let mut tail = lock(&self.tail);
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(seen);
    }

    /// The last requests, oldest first.
    pub(super) fn tail(&self) -> Vec<Seen> {
        lock(&self.tail).iter().cloned().collect()
    }

    /// Tells the emulator what it should know, when it may be a new one.
    pub(super) async fn make_sure(&self) -> Result<(), MotoError> {
        if self.suspect.load(Ordering::Acquire) {
            self.tell_again().await?;
        }
        Ok(())
    }

    /// Tells the emulator what it should know unless it knows it already. Returns how many requests
    /// were sent and how many of them it refused.
    pub(super) async fn tell_again(&self) -> Result<replay::Replayed, MotoError> {
        let mut journal = self.journal.lock().await;
        let told = replay::tell(&self.moto, &mut journal).await?;
        self.suspect.store(false, Ordering::Release);
        self.permissions.forget();
        self.repositories.forget();
        self.callers.forget_asked();
        if told.sent > 0 || told.reset {
            self.log(&told.to_string());
        }
        Ok(told)
    }

    /// Passes a request that only reads to the emulator.
    pub(super) async fn read(
        &self,
        method: &Method,
        target: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Bytes>, MotoError> {
        self.make_sure().await?;
        let answer = self.moto.send(method, target, headers, body).await;
        self.noting(answer)
    }

    /// Asks ECR of the emulator for something that only reads.
    pub(super) async fn ask_ecr(
        &self,
        account: &str,
        region: &str,
        action: &str,
        body: &Value,
    ) -> Result<Value, MotoError> {
        self.make_sure().await?;
        let answer = self.moto.ecr(account, region, action, body).await;
        self.noting(answer)
    }

    /// Changes something in ECR of the emulator, and keeps it.
    pub(super) async fn change_ecr(
        &self,
        account: &str,
        region: &str,
        action: &str,
        body: &Value,
    ) -> Result<(), MotoError> {
        self.make_sure().await?;
        let asked = Asked::ecr(region, action, body);
        let mut journal = self.journal.lock().await;
        let answer = self.moto.ask(asked.clone(), account).await;
        self.noting(answer)?;
        self.keep(&mut journal, &Record::asked(&asked, account));
        Ok(())
    }

    /// Adds a record. A journal that cannot be written is no reason to refuse what was done.
    pub(super) fn keep(&self, journal: &mut Journal, record: &Record) {
        if let Err(error) = journal.append(record) {
            let path = journal.path().display();
            self.log(&format!(
                "a change will be lost with the emulator: could not write {path}: {error}"
            ));
        }
    }

    /// Notes a connection that failed: whoever answers next may be another emulator.
    pub(super) fn noting<T>(&self, answer: Result<T, MotoError>) -> Result<T, MotoError> {
        if let Err(error) = &answer
            && error.is_of_the_connection()
            && self.replays
        {
            self.suspect.store(true, Ordering::Release);
        }
        answer
    }
}
