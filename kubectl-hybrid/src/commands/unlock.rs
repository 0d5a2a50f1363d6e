//! `kubectl hybrid unlock`: who holds the state lock, and its release.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;

use super::held_lock::{self, HeldLock, Seen, locks_error};
use super::session::Session;
use crate::cli::Unlock;
use crate::diagnosis::in_words;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::terraform::lock::{self, Finding, ForceUnlock, Outcome, Repair, Repaired, Shell};

/// What is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    workspace: &'a str,
    state: String,
    locks: &'a [HeldLock],
    /// What is wrong beyond that, in sentences.
    findings: Vec<String>,
    /// The equivalent commands of Terraform, one for each lock that it can release.
    force_unlock: Vec<String>,
}

/// `kubectl hybrid unlock [LOCK-ID]`.
pub(super) async fn run(session: &Session<'_>, flags: &Unlock) -> Result<Exit, CommandError> {
    let seen = held_lock::read(session)
        .await
        .map_err(|error| locks_error(&error))?;
    let now = Timestamp::now();
    let findings = seen.locks.findings();
    let report = Report {
        workspace: session.workspace.as_str(),
        state: seen.locks.address.to_string(),
        locks: &seen.held,
        findings: findings.iter().map(ToString::to_string).collect(),
        force_unlock: force_unlock(session, &seen, &findings),
    };
    session.ui.data(&report, || text(&report, now));
    let digest = findings.iter().any(Finding::is_about_the_digest);
    if digest && !flags.repair_digest {
        session
            .ui
            .hint("if this state is the right one: kubectl hybrid unlock --repair-digest");
    }
    if flags.list {
        return Ok(Exit::Ok);
    }
    if flags.repair_digest {
        return repair_digest(session, flags, &seen).await;
    }
    match chosen(session, flags, &seen)? {
        None => Ok(Exit::Ok),
        Some(id) => {
            refuse_young(&seen.held, &id, flags.force, now)?;
            agreed(session, flags, &format!("Release lock {id}?"), || {
                (
                    format!("lock {id} is not released without a yes"),
                    format!("kubectl hybrid unlock --yes {id}"),
                )
            })?;
            release(session, &seen, &id).await
        }
    }
}

/// The lock to release: the one that was named, or the only one when somebody can be asked.
fn chosen(
    session: &Session<'_>,
    flags: &Unlock,
    seen: &Seen,
) -> Result<Option<String>, CommandError> {
    let ids = seen.locks.ids();
    match (&flags.id, ids.as_slice()) {
        (Some(id), ids) if ids.contains(&id.as_str()) => Ok(Some(id.clone())),
        (Some(id), _) => Err(CommandError::new(
            Exit::Refused,
            format!(
                "no lock of workspace `{}` has the id {id}",
                session.workspace
            ),
        )
        .hint("run `kubectl hybrid unlock --list` to see the lock that is held now")),
        (None, []) => Ok(None),
        (None, [id]) if !session.ui.is_json() && (session.ui.can_ask() || flags.yes) => {
            Ok(Some((*id).to_owned()))
        }
        (None, _) => {
            session
                .ui
                .hint("release it with `kubectl hybrid unlock --yes LOCK-ID`");
            Ok(None)
        }
    }
}

fn refuse_young(
    held: &[HeldLock],
    id: &str,
    force: bool,
    now: Timestamp,
) -> Result<(), CommandError> {
    let at_work = held
        .iter()
        .find(|lock| lock.id == id && lock.may_be_at_work(now));
    match at_work {
        Some(lock) if !force => Err(CommandError::new(
            Exit::Refused,
            format!(
                "lock {id} is younger than {} and its holder may be at work: {}",
                in_words(lock::YOUNG),
                lock.holder
            ),
        )
        .hint(format!(
            "when you know that it is not: kubectl hybrid unlock --force {id}"
        ))),
        _ => Ok(()),
    }
}

/// Asks on a terminal; elsewhere `--yes` has to be there.
fn agreed(
    session: &Session<'_>,
    flags: &Unlock,
    question: &str,
    refused: impl FnOnce() -> (String, String),
) -> Result<(), CommandError> {
    if flags.yes {
        return Ok(());
    }
    if !session.ui.can_ask() {
        let (sentence, hint) = refused();
        return Err(CommandError::new(Exit::Refused, sentence).hint(hint));
    }
    if session.ui.ask(question) {
        Ok(())
    } else {
        Err(CommandError::new(Exit::Refused, "nothing was changed"))
    }
}

async fn release(session: &Session<'_>, seen: &Seen, id: &str) -> Result<Exit, CommandError> {
    let mut ended = Ok(Exit::Ok);
    for released in lock::release(&seen.access, &seen.backend, &seen.locks, id).await {
        let place = &released.place;
        match released.outcome {
            Outcome::Released => session.ui.step("unlock", format!("released: {place}")),
            Outcome::AlreadyGone => session.ui.step("unlock", format!("gone already: {place}")),
            Outcome::Changed { .. } => {
                ended = Err(CommandError::new(
                    Exit::Refused,
                    format!("another lock is held at {place} by now; it was left alone"),
                ));
            }
            Outcome::Failed(error) => {
                ended = Err(
                    CommandError::from_error(Exit::Unexpected, &error).maybe_hint(error.hint())
                );
            }
        }
    }
    ended
}

async fn repair_digest(
    session: &Session<'_>,
    flags: &Unlock,
    seen: &Seen,
) -> Result<Exit, CommandError> {
    if !seen.locks.is_free() {
        return Err(CommandError::new(
            Exit::Refused,
            "the digest is not repaired while the state is locked: its holder may be writing it",
        )
        .hint("release the lock first, when its holder is dead"));
    }
    let Some(repair) = Repair::of(&seen.locks) else {
        session.ui.step("digest", "there is nothing to repair");
        return Ok(Exit::Ok);
    };
    let question = match &repair {
        Repair::Write { actual, .. } => format!("Take this state for the right one ({actual})?"),
        Repair::Remove { .. } => "Remove the digest of the state that does not exist?".to_owned(),
    };
    agreed(session, flags, &question, || {
        (
            "the digest is not repaired without a yes".to_owned(),
            "kubectl hybrid unlock --repair-digest --yes".to_owned(),
        )
    })?;
    let repaired = lock::repair(&seen.access, &seen.backend, &seen.locks, &repair)
        .await
        .map_err(|error| {
            CommandError::from_error(Exit::Unexpected, &error).maybe_hint(error.hint())
        })?;
    match repaired {
        Repaired::Done => {
            session.ui.step("digest", "repaired");
            Ok(Exit::Ok)
        }
        Repaired::Changed => Err(CommandError::new(
            Exit::Refused,
            "somebody wrote another digest meanwhile; it was left alone",
        )),
    }
}

/// None for a lock that Terraform cannot release.
fn force_unlock(session: &Session<'_>, seen: &Seen, findings: &[Finding]) -> Vec<String> {
    let Some(root) = &session.root else {
        return Vec::new();
    };
    if findings.iter().any(Finding::defeats_force_unlock) {
        return Vec::new();
    }
    let program = root.binary_name();
    let ids = seen.locks.ids();
    let commands = ids.into_iter().map(|id| {
        ForceUnlock {
            program: &program,
            dir: root.dir(),
            workspace: &session.workspace,
            id,
            shell: Shell::of_this_system(),
        }
        .to_string()
    });
    commands.collect()
}

fn text(report: &Report<'_>, now: Timestamp) -> String {
    let mut text = String::new();
    if report.locks.is_empty() {
        let _ = writeln!(
            text,
            "The state of workspace {} is not locked.",
            report.workspace
        );
    }
    let mut shown: Vec<&str> = Vec::new();
    for lock in report.locks {
        if shown.contains(&lock.id.as_str()) {
            continue;
        }
        shown.push(&lock.id);
        let places: Vec<&str> = report
            .locks
            .iter()
            .filter(|other| other.id == lock.id)
            .map(|other| other.place.as_str())
            .collect();
        let or_unknown = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".into());
        let since = match (lock.created, lock.age(now)) {
            (Some(created), Some(age)) => format!("{created:.0} ({} ago)", in_words(age)),
            _ => "unknown".to_owned(),
        };
        // Writing into a string cannot fail.
        let _ = write!(
            text,
            "Lock {}\n  where      {}\n  who        {}\n  since      {since}\n  operation  {}\n  version    {}\n  holder     {}\n",
            lock.id,
            places.join("\n             "),
            or_unknown(&lock.who),
            or_unknown(&lock.operation),
            or_unknown(&lock.version),
            lock.holder,
        );
    }
    for finding in &report.findings {
        let _ = writeln!(text, "Note: {finding}.");
    }
    if !report.locks.is_empty() {
        match report.force_unlock.as_slice() {
            [] => text.push_str("Terraform itself cannot release this lock.\n"),
            commands => {
                for command in commands {
                    let _ = writeln!(text, "The same by Terraform: {command}");
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(place: &str) -> HeldLock {
        HeldLock {
            id: "9729".to_owned(),
            place: place.to_owned(),
            who: Some("ann@laptop".to_owned()),
            operation: Some("apply".to_owned()),
            version: Some("1.11.4".to_owned()),
            created: Some("2026-11-23T09:57:00Z".parse().unwrap()),
            holder: "on another machine, laptop".to_owned(),
            holder_is_dead: false,
        }
    }

    #[test]
    fn a_lock_in_both_places_is_shown_once() {
        let locks = [lock("lock file s3://b/k.tflock"), lock("DynamoDB table t")];
        let report = Report {
            workspace: "dev",
            state: "s3://b/k".to_owned(),
            locks: &locks,
            findings: vec!["something is odd".to_owned()],
            force_unlock: vec!["terraform force-unlock 9729".to_owned()],
        };
        let now = "2026-11-23T10:00:00Z".parse().unwrap();
        assert_eq!(
            text(&report, now),
            "Lock 9729\n  where      lock file s3://b/k.tflock\n             DynamoDB table t\n  \
             who        ann@laptop\n  since      2026-11-23T09:57:00Z (3 min ago)\n  operation  \
             apply\n  version    1.11.4\n  holder     on another machine, laptop\nNote: something \
             is odd.\nThe same by Terraform: terraform force-unlock 9729\n"
        );
    }

    #[test]
    fn a_young_lock_is_refused_without_force() {
        let now = "2026-11-23T10:00:00Z".parse().unwrap();
        let locks = [lock("DynamoDB table t")];
        let error = refuse_young(&locks, "9729", false, now).unwrap_err();
        assert_eq!(error.exit(), Exit::Refused);
        assert_eq!(
            error.to_string(),
            "lock 9729 is younger than 15 min and its holder may be at work: on another machine, \
             laptop"
        );
        assert!(refuse_young(&locks, "9729", true, now).is_ok());
        let later = "2026-11-23T10:12:00Z".parse().unwrap();
        assert!(refuse_young(&locks, "9729", false, later).is_ok());
    }
}
