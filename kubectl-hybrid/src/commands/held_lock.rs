//! The locks of the workspace's state, as they are shown to people and to programs.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::session::Session;
use crate::diagnosis::in_words;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::terraform::access::{Access, load_aws};
use crate::terraform::backend::S3Backend;
use crate::terraform::contract::ContractRead;
use crate::terraform::lock::{self, Held, Here, Liveness, Locks, LocksError, YOUNG};

/// The locks, and what they were read with.
pub(super) struct Seen {
    pub(super) access: Access,
    pub(super) backend: S3Backend,
    pub(super) locks: Locks,
    /// One for each place that is held.
    pub(super) held: Vec<HeldLock>,
}

/// A lock in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HeldLock {
    pub(super) id: String,
    pub(super) place: String,
    pub(super) who: Option<String>,
    pub(super) operation: Option<String>,
    pub(super) version: Option<String>,
    pub(super) created: Option<Timestamp>,
    /// What is known about the holder, in words.
    pub(super) holder: String,
    /// The holder was on this machine and does not run any more.
    pub(super) holder_is_dead: bool,
}

/// Reads the locks of the session's workspace.
pub(super) async fn read(session: &Session<'_>) -> Result<Seen, LocksError> {
    let settings = session.config.file.terraform.backend.as_ref();
    let (access, backend) = lock::open(session.root.as_ref(), settings, &load_aws).await?;
    let locks = lock::read(&access, &backend, &session.workspace).await?;
    let held = described(session, &backend, locks.held());
    Ok(Seen {
        access,
        backend,
        locks,
        held,
    })
}

fn described<'a>(
    session: &Session<'_>,
    backend: &S3Backend,
    locks: impl IntoIterator<Item = &'a Held>,
) -> Vec<HeldLock> {
    let mut held: Vec<HeldLock> = Vec::new();
    for one in locks {
        // Both places hold the same lock: its holder is looked for once.
        let known = held.iter().find(|known| known.id == one.id()).cloned();
        held.push(match known {
            Some(known) => HeldLock {
                place: one.place.to_string(),
                ..known
            },
            None => HeldLock::new(session, backend, one),
        });
    }
    held
}

/// Reads the contract, and says meanwhile who holds the lock. For commands that need no lock.
pub(super) async fn contract(session: &Session<'_>) -> Result<ContractRead, CommandError> {
    let (read, ()) = tokio::join!(session.contract(), mention(session));
    read
}

async fn mention(session: &Session<'_>) {
    let settings = session.config.file.terraform.backend.as_ref();
    // Whoever may not read the lock is not stopped by it either.
    let Ok((access, backend)) = lock::open(session.root.as_ref(), settings, &load_aws).await else {
        return;
    };
    let Ok(locks) = lock::read_held(&access, &backend, &session.workspace).await else {
        return;
    };
    if let Some(lock) = described(session, &backend, &locks).first() {
        session.ui.warn(format!(
            "{}; this command takes no lock, and goes on with what Terraform wrote last",
            lock.sentence(Timestamp::now())
        ));
    }
}

pub(super) fn locks_error(error: &LocksError) -> CommandError {
    let exit = match error {
        LocksError::Aws(aws) if aws.cause().is_authentication() => Exit::AwsAuthentication,
        LocksError::Aws(_) => Exit::Unexpected,
        LocksError::Backend(_) | LocksError::OnlyTerraform(_) => Exit::Usage,
    };
    CommandError::from_error(exit, error).maybe_hint(error.hint())
}

impl HeldLock {
    fn new(session: &Session<'_>, backend: &S3Backend, held: &Held) -> Self {
        let info = held.info.as_ref().ok();
        let dir = session.root.as_ref().map(crate::terraform::root::Root::dir);
        let liveness = info.map(|info| lock::of_holder(info, &Here::of_process(), dir, backend));
        let holder = match &liveness {
            None => "unknown: the lock cannot be read".to_owned(),
            Some(Liveness::OtherHost(host)) => format!("on another machine, {host}"),
            Some(Liveness::OtherUser(user)) => format!("another user of this machine, {user}"),
            Some(Liveness::Alive { pid }) => format!("process {pid} of this machine, it runs"),
            Some(Liveness::Dead) => "a process of this machine that does not run any more".into(),
            Some(Liveness::Unknown(why)) => format!("unknown: {why}"),
        };
        Self {
            id: held.id().to_owned(),
            place: held.place.to_string(),
            who: info
                .map(|info| info.who.clone())
                .filter(|who| !who.is_empty()),
            operation: info.map(lock::LockInfo::doing),
            version: info
                .map(|info| info.version.clone())
                .filter(|version| !version.is_empty()),
            created: info.and_then(|info| info.created),
            holder,
            holder_is_dead: liveness == Some(Liveness::Dead),
        }
    }

    /// How long it has been held, by the holder's clock.
    pub(super) fn age(&self, now: Timestamp) -> Option<SignedDuration> {
        self.created.map(|created| now.duration_since(created))
    }

    /// Whether the holder may still be at work. An age that is not known is taken for a short one.
    pub(super) fn may_be_at_work(&self, now: Timestamp) -> bool {
        !self.holder_is_dead && self.age(now).is_none_or(|age| age < YOUNG)
    }

    fn sentence(&self, now: Timestamp) -> String {
        let who = self.who.as_deref().unwrap_or("somebody");
        let doing = self.operation.as_deref().unwrap_or("something unknown");
        let id = &self.id;
        match self.age(now) {
            Some(age) => format!(
                "{who} has held the lock of the state for {} ({doing}, lock {id})",
                in_words(age)
            ),
            None => format!("{who} holds the lock of the state ({doing}, lock {id})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(created: Option<&str>, holder_is_dead: bool) -> HeldLock {
        HeldLock {
            id: "9729".to_owned(),
            place: "DynamoDB table t".to_owned(),
            who: Some("ann@laptop".to_owned()),
            operation: Some("apply".to_owned()),
            version: None,
            created: created.map(|at| at.parse().unwrap()),
            holder: String::new(),
            holder_is_dead,
        }
    }

    #[test]
    fn only_an_old_lock_and_that_of_a_dead_holder_are_surely_idle() {
        let now = "2026-11-23T10:00:00Z".parse().unwrap();
        let table = [
            (Some("2026-11-23T09:46:00Z"), false, true),
            (Some("2026-11-23T09:45:00Z"), false, false),
            (Some("2026-11-23T09:59:59Z"), true, false),
            // The holder's clock is ahead.
            (Some("2026-11-23T11:00:00Z"), false, true),
            (None, false, true),
            (None, true, false),
        ];
        for (created, dead, expected) in table {
            assert_eq!(lock(created, dead).may_be_at_work(now), expected);
        }
    }

    #[test]
    fn a_lock_in_one_sentence() {
        let now = "2026-11-23T10:00:00Z".parse().unwrap();
        assert_eq!(
            lock(Some("2026-11-23T09:57:00Z"), false).sentence(now),
            "ann@laptop has held the lock of the state for 3 min (apply, lock 9729)"
        );
        assert_eq!(
            lock(None, false).sentence(now),
            "ann@laptop holds the lock of the state (apply, lock 9729)"
        );
    }
}
