//! Credentials that are had before the first call, once for the whole process.
//!
//! A client looks for them within the time limit of one attempt, gives them a few seconds, and begins
//! again with the next attempt; each client for itself. A process or a login may take longer than
//! that, and may ask a person each time.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::identity::{Base, Identity};

/// The SDK asks anew this long before credentials run out.
const BEFORE_THE_END: Duration = Duration::from_secs(10);

/// How long credentials are believed in that do not say when they run out: most commands are done by
/// then, and a watch learns of others.
const UNDATED_LIFE: Duration = Duration::from_mins(5);

/// Whose credentials they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Those of an identity that the files tell.
    Identity(Identity),
    /// Those of a profile, or of the environment, that the files do not explain.
    Unknown(Option<String>),
}

/// What came of looking for credentials.
type Had = Result<Credentials, Arc<CredentialsError>>;

/// What came of it last, and when. Whoever waits for it meanwhile shares it.
type Slot = Arc<Mutex<Option<(Instant, Had)>>>;

/// Has the credentials of a provider, in no more time than this, and gives a provider that has them.
/// It asks the first one again when they run out.
///
/// Whoever asks for the same at the same time gets the same, be it a failure.
pub(crate) async fn first(
    whose: Whose,
    provider: SharedCredentialsProvider,
    limit: Duration,
) -> SharedCredentialsProvider {
    let asked = Instant::now();
    let slot = slot_of(&whose);
    let mut last = slot.lock().await;
    let known = last.as_ref().filter(|(ended, had)| match had {
        Ok(credentials) => is_fresh(credentials, *ended),
        Err(_) => *ended >= asked,
    });
    let (since, had) = if let Some(known) = known {
        known.clone()
    } else {
        let found = timeout(limit, provider.provide_credentials()).await;
        let found = found.unwrap_or_else(|_| {
            let late = SlowCredentials::new(&whose, limit);
            Err(CredentialsError::provider_error(late))
        });
        let found = (Instant::now(), found.map_err(Arc::new));
        last.insert(found).clone()
    };
    SharedCredentialsProvider::new(First {
        had,
        since,
        provider,
    })
}

/// Where credentials are that somebody had.
static SLOTS: SyncMutex<Vec<(Whose, Slot)>> = SyncMutex::new(Vec::new());

fn slot_of(whose: &Whose) -> Slot {
    let mut slots = SLOTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, slot)) = slots.iter().find(|(known, _)| known == whose) {
        return Arc::clone(slot);
    }
    let slot = Slot::default();
    slots.push((whose.clone(), Arc::clone(&slot)));
    slot
}

/// Has whoever comes next look for credentials anew.
pub(crate) fn forget() {
    SLOTS.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

fn is_fresh(credentials: &Credentials, since: Instant) -> bool {
    match credentials.expiry() {
        Some(end) => end > SystemTime::now() + BEFORE_THE_END,
        None => since.elapsed() < UNDATED_LIFE,
    }
}

/// The credentials that were had first, and where there are others.
#[derive(Debug)]
struct First {
    had: Had,
    since: Instant,
    provider: SharedCredentialsProvider,
}

impl ProvideCredentials for First {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        match &self.had {
            Ok(credentials) if is_fresh(credentials, self.since) => {
                future::ProvideCredentials::ready(Ok(credentials.clone()))
            }
            Ok(_) => self.provider.provide_credentials(),
            // Not to be had a moment ago: a call is not what would change that.
            Err(error) => {
                let error = CredentialsError::provider_error(Told(Arc::clone(error)));
                future::ProvideCredentials::ready(Err(error))
            }
        }
    }
}

/// An error that is told more than once.
#[derive(Debug)]
struct Told(Arc<CredentialsError>);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Told {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Credentials that were not there in time.
#[derive(Debug)]
pub(crate) struct SlowCredentials {
    /// The profile whose process took so long, when it was one.
    profile: Option<String>,
    seconds: u64,
}

impl SlowCredentials {
    fn new(whose: &Whose, limit: Duration) -> Self {
        let profile = match whose {
            Whose::Identity(identity) if matches!(identity.base(), Base::Process { .. }) => {
                identity.profile().map(str::to_owned)
            }
            _ => None,
        };
        Self {
            profile,
            seconds: limit.as_secs(),
        }
    }

    /// Whether it was a process that took so long, and not AWS.
    pub(crate) fn is_process(&self) -> bool {
        self.profile.is_some()
    }
}

impl fmt::Display for SlowCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.seconds;
        match &self.profile {
            Some(profile) => write!(
                f,
                "the credential process of profile {profile} took longer than {seconds} s"
            ),
            None => write!(f, "no credentials in {seconds} s"),
        }
    }
}

impl Error for SlowCredentials {}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Takes its time, and counts how often it is asked.
    #[derive(Debug, Clone, Default)]
    struct Slow {
        asked: Arc<AtomicU32>,
        fails: bool,
        /// Whether what it gives has run out already.
        ends: bool,
    }

    impl ProvideCredentials for Slow {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(async {
                self.asked.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(6)).await;
                if self.fails {
                    return Err(CredentialsError::not_loaded("nobody is there"));
                }
                let end = self.ends.then(SystemTime::now);
                Ok(Credentials::new("AKID", "s", None, end, "test"))
            })
        }
    }

    async fn both(name: &str, slow: &Slow, limit: u64) -> [Result<Credentials, String>; 2] {
        let one = || async {
            let whose = Whose::Unknown(Some(name.to_owned()));
            let provider = SharedCredentialsProvider::new(slow.clone());
            let first = first(whose, provider, Duration::from_secs(limit)).await;
            let had = first.provide_credentials().await;
            had.map_err(|error| innermost(&error))
        };
        let (one, other) = tokio::join!(one(), one());
        [one, other]
    }

    fn innermost(error: &dyn Error) -> String {
        error.source().map_or_else(|| error.to_string(), innermost)
    }

    fn paused() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
    }

    #[test]
    fn whoever_asks_gets_what_was_had_once() {
        paused().block_on(async {
            let slow = Slow::default();
            for _ in 0..2 {
                for had in both("once", &slow, 30).await {
                    assert_eq!(had.unwrap().access_key_id(), "AKID");
                }
            }
            assert_eq!(slow.asked.load(Ordering::SeqCst), 1);
        });
    }

    #[test]
    fn a_failure_is_shared_by_those_who_waited_for_it_and_by_nobody_later() {
        paused().block_on(async {
            let fails = true;
            let slow = Slow {
                fails,
                ..Slow::default()
            };
            for had in both("fails", &slow, 30).await {
                let error = had.unwrap_err();
                assert_eq!(error, "nobody is there");
            }
            assert_eq!(slow.asked.load(Ordering::SeqCst), 1);
            // Somebody has logged in meanwhile.
            let slow = Slow::default();
            assert!(both("fails", &slow, 30).await.iter().all(Result::is_ok));
        });
    }

    #[test]
    fn what_takes_too_long_is_named_and_asked_for_once() {
        paused().block_on(async {
            let slow = Slow::default();
            for had in both("late", &slow, 2).await {
                assert_eq!(had.unwrap_err(), "no credentials in 2 s");
            }
            assert_eq!(slow.asked.load(Ordering::SeqCst), 1);
        });
    }

    #[test]
    fn credentials_that_ran_out_are_asked_for_again() {
        paused().block_on(async {
            let ends = true;
            let slow = Slow {
                ends,
                ..Slow::default()
            };
            assert!(both("ends", &slow, 30).await.iter().all(Result::is_ok));
            // Each has had its own, and then found it run out.
            assert_eq!(slow.asked.load(Ordering::SeqCst), 4);
        });
    }
}
