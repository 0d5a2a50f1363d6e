//! `kubectl hybrid unlock`: who holds the state lock, and its release.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::session::Session;
use crate::cli::Unlock;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::terraform::access::load_aws;
use crate::terraform::lock::{self, ForceUnlock, Held, Here, Liveness, LocksError, Outcome};

/// A younger lock is released by force only, unless its holder is known to be dead.
const YOUNG: SignedDuration = SignedDuration::from_mins(15);

/// A lock as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    id: String,
    place: String,
    who: Option<String>,
    operation: Option<String>,
    version: Option<String>,
    created: Option<Timestamp>,
    holder: String,
    /// The holder is on this machine and does not run any more.
    holder_is_dead: bool,
}

/// `kubectl hybrid unlock [LOCK-ID]`.
pub(super) async fn run(session: &Session<'_>, flags: &Unlock) -> Result<Exit, CommandError> {
    let settings = session.config.file.terraform.backend.as_ref();
    let (access, backend) = lock::open(session.root.as_ref(), settings, &load_aws)
        .await
        .map_err(|error| locks_error(&error))?;
    let locks = lock::read(&access, &backend, &session.workspace)
        .await
        .map_err(|error| locks_error(&error))?;
    let now = Timestamp::now();
    let shown: Vec<Shown> = locks.held().map(|held| show(session, held)).collect();
    session
        .ui
        .data(&shown, || text(&shown, &session.workspace.to_string(), now));
    if session.ui.is_json() && flags.id.is_none() {
        return Ok(Exit::Ok);
    }
    let ids: Vec<String> = locks.ids().into_iter().map(str::to_owned).collect();
    let id = match (&flags.id, ids.as_slice()) {
        (None, []) => return Ok(Exit::Ok),
        (Some(id), ids) if !ids.contains(id) => {
            return Err(CommandError::new(
                Exit::Refused,
                format!(
                    "no lock of workspace `{}` has the id {id}",
                    session.workspace
                ),
            )
            .hint("run `kubectl hybrid unlock` to see the lock that is held now"));
        }
        (Some(id), _) => id.clone(),
        (None, [id]) if session.ui.can_ask() || flags.yes => id.clone(),
        (None, _) => {
            session
                .ui
                .hint("release it with `kubectl hybrid unlock --yes LOCK-ID`");
            return Ok(Exit::Ok);
        }
    };
    refuse_young(&shown, &id, flags.force, now)?;
    if !flags.yes {
        if !session.ui.can_ask() {
            return Err(CommandError::new(
                Exit::Refused,
                format!("lock {id} is not released without a yes"),
            )
            .hint(format!("kubectl hybrid unlock --yes {id}")));
        }
        if !session.ui.ask(&format!("Release lock {id}?")) {
            return Err(CommandError::new(Exit::Refused, "nothing was released"));
        }
    }
    if let Some(root) = &session.root {
        let program = root.binary_name();
        let same = ForceUnlock {
            program: &program,
            dir: root.dir(),
            workspace: &session.workspace,
            id: &id,
        };
        session
            .ui
            .step("unlock", format!("the same by Terraform: {same}"));
    }
    let mut ended = Ok(Exit::Ok);
    for released in lock::release(&access, &backend, &locks, &id).await {
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

fn refuse_young(
    shown: &[Shown],
    id: &str,
    force: bool,
    now: Timestamp,
) -> Result<(), CommandError> {
    let young = shown.iter().find(|lock| {
        lock.id == id
            && !lock.holder_is_dead
            && lock
                .created
                .is_none_or(|created| now.duration_since(created) < YOUNG)
    });
    match young {
        Some(lock) if !force => Err(CommandError::new(
            Exit::Refused,
            format!(
                "lock {id} is younger than 15 minutes and its holder may be at work: {}",
                lock.holder
            ),
        )
        .hint(format!(
            "when you know that it is not: kubectl hybrid unlock --force {id}"
        ))),
        _ => Ok(()),
    }
}

fn show(session: &Session<'_>, held: &Held) -> Shown {
    let info = held.info.as_ref().ok();
    let liveness = info.map(|info| {
        lock::of_holder(
            info,
            &Here::of_process(),
            session.root.as_ref().map(crate::terraform::root::Root::dir),
        )
    });
    let holder = match &liveness {
        None => "the lock cannot be read".to_owned(),
        Some(Liveness::OtherHost(host)) => format!("on another machine, {host}"),
        Some(Liveness::OtherUser(user)) => format!("another user of this machine, {user}"),
        Some(Liveness::Alive { .. }) => "its process runs on this machine".to_owned(),
        Some(Liveness::Dead) => "its process does not run any more".to_owned(),
        Some(Liveness::Unknown(why)) => format!("unknown: {why}"),
    };
    Shown {
        id: held.id().to_owned(),
        place: held.place.to_string(),
        who: info.map(|info| info.who.clone()),
        operation: info.map(lock::LockInfo::doing),
        version: info.map(|info| info.version.clone()),
        created: info.and_then(|info| info.created),
        holder,
        holder_is_dead: liveness == Some(Liveness::Dead),
    }
}

fn text(shown: &[Shown], workspace: &str, now: Timestamp) -> String {
    use std::fmt::Write as _;

    if shown.is_empty() {
        return format!("The state of workspace {workspace} is not locked.\n");
    }
    let mut text = String::new();
    for lock in shown {
        let or_unknown = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".into());
        let since = lock.created.map_or_else(
            || "unknown".to_owned(),
            |created| {
                let minutes = now.duration_since(created).as_mins();
                format!("{created} ({minutes} min ago)")
            },
        );
        // Writing into a string cannot fail.
        let _ = write!(
            text,
            "Lock {}\n  where      {}\n  who        {}\n  since      {since}\n  operation  {}\n  version    {}\n  holder     {}\n",
            lock.id,
            lock.place,
            or_unknown(&lock.who),
            or_unknown(&lock.operation),
            or_unknown(&lock.version),
            lock.holder,
        );
    }
    text
}

fn locks_error(error: &LocksError) -> CommandError {
    let exit = match error {
        LocksError::Aws(aws) if aws.cause().is_authentication() => Exit::AwsAuthentication,
        LocksError::Aws(_) => Exit::Unexpected,
        LocksError::Backend(_) | LocksError::OnlyTerraform(_) => Exit::Usage,
    };
    CommandError::from_error(exit, error).maybe_hint(error.hint())
}
