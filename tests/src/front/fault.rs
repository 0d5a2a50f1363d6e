//! Faults and delays on demand, and how often each action was called.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;

use super::lock;

/// Why a fault or a delay was not understood.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum FaultError {
    /// There is no `=` or nothing on one side of it.
    #[error(
        "\"{0}\" is not ACTION=ERROR[*COUNT] or ACTION=MS, for example GetAuthorizationToken=ThrottlingException*2"
    )]
    Shape(String),
    /// What follows `*` is no number above 0.
    #[error("the count in \"{0}\" is not a number above 0")]
    Count(String),
    /// A delay that is no number.
    #[error("the delay in \"{0}\" is not a number of milliseconds")]
    Delay(String),
    /// An error that is neither a status nor a name.
    #[error(
        "the error in \"{0}\" is neither a status from 400 to 599, nor `hangup`, nor a name such as ThrottlingException"
    )]
    Error(String),
}

/// Which calls are meant: an action of any service, or of one.
///
/// Case does not matter. The registry's calls have groups beside their names: `registry:push`,
/// `registry:pull`, `registry:manifest` and `registry:blob`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Target {
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    action: String,
}

impl Target {
    fn parse(text: &str) -> Option<Self> {
        let (service, action) = text
            .split_once(':')
            .map_or((None, text), |(service, action)| (Some(service), action));
        let named = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
        (named(action) && service.is_none_or(named)).then(|| Self {
            service: service.map(str::to_owned),
            action: action.to_owned(),
        })
    }

    /// Whether a call is meant.
    fn covers(&self, call: &Call<'_>) -> bool {
        self.service
            .as_ref()
            .is_none_or(|service| service.eq_ignore_ascii_case(call.service))
            && (self.action.eq_ignore_ascii_case(call.action)
                || call
                    .groups
                    .iter()
                    .any(|group| self.action.eq_ignore_ascii_case(group)))
    }
}

/// One call, as faults and counts see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    /// The service's signing name, or `registry`.
    pub(super) service: &'a str,
    /// The action.
    pub(super) action: &'a str,
    /// What else the call goes by.
    pub(super) groups: &'a [&'a str],
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Failure {
    /// A bare HTTP status.
    Status(u16),
    /// One of AWS's errors, by its name.
    Named(String),
    /// The connection ends without an answer.
    Hangup,
}

/// A fault: `ACTION=ERROR` until it is cleared, or `ACTION=ERROR*COUNT`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Fault {
    target: Target,
    failure: Failure,
    /// How many calls fail before the next one succeeds; none: all of them.
    remaining: Option<u32>,
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (target, error) = split(text)?;
        let (error, remaining) = match error.rsplit_once('*') {
            None => (error, None),
            Some((error, count)) => match count.parse() {
                Ok(0) | Err(_) => return Err(FaultError::Count(text.to_owned())),
                Ok(count) => (error, Some(count)),
            },
        };
        let wrong = || FaultError::Error(text.to_owned());
        let failure = if error.eq_ignore_ascii_case("hangup") {
            Failure::Hangup
        } else if let Ok(status) = error.parse::<u16>() {
            if !(400..=599).contains(&status) {
                return Err(wrong());
            }
            Failure::Status(status)
        } else if error.starts_with(|first: char| first.is_ascii_alphabetic())
            && error
                .chars()
                .all(|each| each.is_ascii_alphanumeric() || each == '_')
        {
            Failure::Named(error.to_owned())
        } else {
            return Err(wrong());
        };
        Ok(Self {
            target,
            failure,
            remaining,
        })
    }
}

/// A delay: `ACTION=MS`, until it is cleared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Delay {
    target: Target,
    milliseconds: u64,
}

impl FromStr for Delay {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (target, milliseconds) = split(text)?;
        let milliseconds = milliseconds
            .parse()
            .map_err(|_| FaultError::Delay(text.to_owned()))?;
        Ok(Self {
            target,
            milliseconds,
        })
    }
}

fn split(text: &str) -> Result<(Target, &str), FaultError> {
    let shape = || FaultError::Shape(text.to_owned());
    let (target, value) = text.trim().split_once('=').ok_or_else(shape)?;
    let target = Target::parse(target).ok_or_else(shape)?;
    if value.is_empty() {
        return Err(shape());
    }
    Ok((target, value))
}

/// What is planned, and what was called.
#[derive(Debug, Default)]
pub(super) struct Faults {
    plan: Mutex<Plan>,
}

/// What is planned, for people and tests.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Plan {
    faults: Vec<Fault>,
    delays: Vec<Delay>,
    #[serde(skip)]
    calls: BTreeMap<String, u64>,
}

impl Faults {
    /// Adds a fault; faults of one action happen one after the other.
    pub(super) fn add_fault(&self, fault: Fault) {
        lock(&self.plan).faults.push(fault);
    }

    /// Sets the delay of an action; 0 takes it away.
    pub(super) fn set_delay(&self, delay: Delay) {
        let mut plan = lock(&self.plan);
        plan.delays.retain(|known| known.target != delay.target);
        if delay.milliseconds > 0 {
            plan.delays.push(delay);
        }
    }

    /// Forgets faults and delays; counts stay.
    pub(super) fn clear(&self) {
        let mut plan = lock(&self.plan);
        plan.faults.clear();
        plan.delays.clear();
    }

    /// Counts a call and says what is planned for it: how long it takes, and how it fails.
    pub(super) fn meet(&self, call: &Call<'_>) -> (Duration, Option<Failure>) {
        let mut plan = lock(&self.plan);
        *plan
            .calls
            .entry(format!("{}:{}", call.service, call.action))
            .or_default() += 1;
        let delay = plan
            .delays
            .iter()
            .filter(|delay| delay.target.covers(call))
            .map(|delay| delay.milliseconds)
            .max()
            .unwrap_or_default();
        let due = plan
            .faults
            .iter()
            .position(|fault| fault.target.covers(call));
        let failure = due.and_then(|at| {
            let fault = plan.faults.get_mut(at)?;
            let failure = fault.failure.clone();
            fault.remaining = fault.remaining.map(|left| left.saturating_sub(1));
            if fault.remaining == Some(0) {
                plan.faults.remove(at);
            }
            Some(failure)
        });
        (Duration::from_millis(delay), failure)
    }

    /// How often each action was called since the last reset, as `service:Action`.
    pub(super) fn calls(&self) -> BTreeMap<String, u64> {
        lock(&self.plan).calls.clone()
    }

    /// Counts from zero again.
    pub(super) fn reset_calls(&self) {
        lock(&self.plan).calls.clear();
    }

    /// What is planned.
    pub(super) fn plan(&self) -> Plan {
        lock(&self.plan).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINT: Call<'_> = Call {
        service: "ecr",
        action: "GetAuthorizationToken",
        groups: &[],
    };
    const PUSH: Call<'_> = Call {
        service: "registry",
        action: "PutManifest",
        groups: &["push", "manifest"],
    };

    fn fails(faults: &Faults, call: &Call<'_>) -> Option<Failure> {
        faults.meet(call).1
    }

    fn named(name: &str) -> Failure {
        Failure::Named(name.to_owned())
    }

    #[test]
    fn a_fault_with_a_count_ends_and_the_next_one_begins() {
        let faults = Faults::default();
        for text in [
            "GetAuthorizationToken=ThrottlingException*2",
            "ecr:getauthorizationtoken=503*1",
        ] {
            faults.add_fault(text.parse().expect("a fault"));
        }
        assert_eq!(fails(&faults, &PUSH), None);
        assert_eq!(fails(&faults, &MINT), Some(named("ThrottlingException")));
        assert_eq!(fails(&faults, &MINT), Some(named("ThrottlingException")));
        assert_eq!(fails(&faults, &MINT), Some(Failure::Status(503)));
        assert_eq!(fails(&faults, &MINT), None);
        let counts = faults.calls();
        assert_eq!(counts.get("ecr:GetAuthorizationToken"), Some(&4));
        assert_eq!(counts.get("registry:PutManifest"), Some(&1));
        faults.reset_calls();
        assert!(faults.calls().is_empty());
    }

    #[test]
    fn a_fault_without_a_count_lasts_until_it_is_cleared() {
        let faults = Faults::default();
        faults.add_fault(
            "GetAuthorizationToken=AccessDeniedException"
                .parse()
                .expect("a fault"),
        );
        for _ in 0..5 {
            assert_eq!(fails(&faults, &MINT), Some(named("AccessDeniedException")));
        }
        faults.clear();
        assert_eq!(fails(&faults, &MINT), None);
    }

    #[test]
    fn a_group_of_the_registry_is_met_by_its_members() {
        let faults = Faults::default();
        faults.add_fault("registry:push=hangup*1".parse().expect("a fault"));
        faults.set_delay("registry:manifest=40".parse().expect("a delay"));
        assert_eq!(faults.meet(&MINT), (Duration::ZERO, None));
        assert_eq!(
            faults.meet(&PUSH),
            (Duration::from_millis(40), Some(Failure::Hangup))
        );
        faults.set_delay("registry:manifest=0".parse().expect("a delay"));
        assert_eq!(faults.meet(&PUSH), (Duration::ZERO, None));
    }

    #[test]
    fn what_is_not_understood_is_refused_with_the_text() {
        let shape = |text: &str| FaultError::Shape(text.to_owned());
        for (text, expected) in [
            ("", shape("")),
            ("GetObject", shape("GetObject")),
            ("=500", shape("=500")),
            ("GetObject=", shape("GetObject=")),
            ("s3:=500", shape("s3:=500")),
            ("a b=500", shape("a b=500")),
            (
                "GetObject=500*0",
                FaultError::Count("GetObject=500*0".to_owned()),
            ),
            (
                "GetObject=500*x",
                FaultError::Count("GetObject=500*x".to_owned()),
            ),
            (
                "GetObject=200",
                FaultError::Error("GetObject=200".to_owned()),
            ),
            (
                "GetObject=a<b",
                FaultError::Error("GetObject=a<b".to_owned()),
            ),
        ] {
            assert_eq!(text.parse::<Fault>(), Err(expected), "{text}");
        }
        assert_eq!(
            "GetObject=soon".parse::<Delay>(),
            Err(FaultError::Delay("GetObject=soon".to_owned()))
        );
    }
}
