//! What is known of each namespace, and when something has to be done there. No clock of its own.

mod place;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use place::{Place, SecretState};

/// The source of what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// Namespaces by their names.
    Named,
    /// Namespaces by their labels.
    Labelled,
    /// Pull secrets.
    Secrets,
    /// Service accounts.
    Accounts,
}

/// When a secret has to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due {
    /// Something is wrong with it.
    Now,
    /// Its token will be past half of its life.
    At(Timestamp),
    /// It must not be written, and why.
    Never(String),
}

/// What was done in a namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Did {
    /// The secret was written.
    pub(super) wrote: bool,
    /// A service account names it now.
    pub(super) linked: bool,
}

/// News from a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// A new list begins.
    Listing(Source),
    /// It is complete.
    Listed(Source),
    /// A namespace is meant.
    Namespace(Source, String),
    /// A namespace is gone, ends, or is no longer meant.
    NoNamespace(Source, String),
    /// A secret was seen.
    Secret(String, Due),
    /// A secret is gone.
    NoSecret(String),
    /// A service account was seen, and whether it names the secret.
    Account {
        namespace: String,
        name: String,
        names_it: bool,
    },
}

/// Everything that is known.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    places: BTreeMap<String, Place>,
    /// Sources whose first list is not complete yet.
    waiting: BTreeSet<Source>,
    /// What a list that is under way has not shown so far.
    unseen: BTreeMap<Source, BTreeSet<String>>,
}

impl Ledger {
    /// Knows nothing until these sources have told all they know.
    pub(super) fn waiting_for(sources: impl IntoIterator<Item = Source>) -> Self {
        Self {
            waiting: sources.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Whether every source has been heard.
    pub(super) fn is_complete(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes news in.
    pub(super) fn note(&mut self, news: News) {
        match news {
            News::Listing(source) => {
                let known = self.places.iter().filter(|(_, place)| place.has(source));
                let known = known.map(|(name, _)| name.clone()).collect();
                self.unseen.insert(source, known);
            }
            News::Listed(source) => {
                self.waiting.remove(&source);
                for name in self.unseen.remove(&source).unwrap_or_default() {
                    self.forget(source, &name);
                }
            }
            News::Namespace(source, name) => {
                self.seen(source, &name);
                self.places.entry(name).or_default().meant.insert(source);
            }
            News::NoNamespace(source, name) => self.forget(source, &name),
            News::Secret(name, due) => {
                self.seen(Source::Secrets, &name);
                let place = self.places.entry(name).or_default();
                // Should it be taken from us again, that is new.
                if !matches!(due, Due::Never(_)) {
                    place.said = None;
                }
                place.secret = SecretState::There(due);
            }
            News::NoSecret(name) => self.forget(Source::Secrets, &name),
            News::Account {
                namespace,
                name,
                names_it,
            } => {
                let place = self.places.entry(namespace).or_default();
                if names_it {
                    place.unlinked.remove(&name);
                } else {
                    place.unlinked.insert(name);
                }
            }
        }
    }

    fn seen(&mut self, source: Source, name: &str) {
        if let Some(unseen) = self.unseen.get_mut(&source) {
            unseen.remove(name);
        }
    }

    fn forget(&mut self, source: Source, name: &str) {
        let Some(place) = self.places.get_mut(name) else {
            return;
        };
        match source {
            Source::Named | Source::Labelled => {
                place.meant.remove(&source);
            }
            Source::Secrets => place.secret = SecretState::Missing,
            Source::Accounts => {}
        }
        if place.meant.is_empty() && place.lacks_secret() {
            self.places.remove(name);
        }
    }

    /// The namespaces where something has to be done now.
    pub(super) fn due(&self, now: Timestamp) -> Vec<String> {
        let due = self
            .places
            .iter()
            .filter(|(_, place)| place.due_at().is_some_and(|at| at <= now));
        due.map(|(name, _)| name.clone()).collect()
    }

    /// When [`Self::due`] will have something, as far as it is known.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.places.values().filter_map(Place::due_at).min()
    }

    /// How many namespaces are kept.
    pub(super) fn len(&self) -> usize {
        self.places
            .values()
            .filter(|place| !place.meant.is_empty() && place.left_alone().is_none())
            .count()
    }

    /// The namespaces whose secret must not be written, each with the reason: those for which it
    /// was not said yet.
    pub(super) fn unsaid(&mut self) -> Vec<(String, String)> {
        let mut unsaid = Vec::new();
        for (name, place) in &mut self.places {
            let why = place.left_alone().filter(|_| !place.meant.is_empty());
            if let Some(why) = why.map(str::to_owned)
                && place.said.as_ref() != Some(&why)
            {
                place.said = Some(why.clone());
                unsaid.push((name.clone(), why));
            }
        }
        unsaid
    }

    /// A namespace was seen to.
    pub(super) fn done(&mut self, name: &str, did: Did, now: Timestamp) {
        if let Some(place) = self.places.get_mut(name) {
            place.done(did, now);
        }
    }

    /// Something could not be done in a namespace.
    pub(super) fn failed(&mut self, name: &str, now: Timestamp) {
        if let Some(place) = self.places.get_mut(name) {
            place.pause(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn namespace(name: &str) -> News {
        News::Namespace(Source::Named, name.to_owned())
    }

    fn secret(name: &str, due: i64) -> News {
        News::Secret(name.to_owned(), Due::At(at(due)))
    }

    const WROTE: Did = Did {
        wrote: true,
        linked: false,
    };
    const LINKED: Did = Did {
        wrote: false,
        linked: true,
    };

    fn never(why: &str) -> Due {
        Due::Never(why.to_owned())
    }

    fn account(names_it: bool) -> News {
        News::Account {
            namespace: "a".to_owned(),
            name: "default".to_owned(),
            names_it,
        }
    }

    fn ledger(news: impl IntoIterator<Item = News>) -> Ledger {
        let mut ledger = Ledger::default();
        news.into_iter().for_each(|news| ledger.note(news));
        ledger
    }

    #[test]
    fn a_namespace_without_a_secret_is_due_at_once_and_one_with_a_secret_in_time() {
        let mut ledger = ledger([
            namespace("a"),
            namespace("b"),
            secret("b", 100),
            secret("c", 0),
        ]);
        assert_eq!(ledger.due(at(0)), ["a"]);
        assert_eq!(ledger.due(at(100)), ["a", "b"]);
        // Nobody means `c`.
        assert_eq!(ledger.len(), 2);
        ledger.note(secret("a", 50));
        assert_eq!(ledger.next(), Some(at(50)));
        // A refused one is never due.
        ledger.note(News::Secret("a".to_owned(), never("immutable")));
        assert_eq!(ledger.next(), Some(at(100)));
    }

    #[test]
    fn a_deleted_secret_is_due_and_a_deleted_namespace_is_not() {
        let mut ledger = ledger([namespace("a"), secret("a", 100)]);
        ledger.note(News::NoSecret("a".to_owned()));
        assert_eq!(ledger.due(at(0)), ["a"]);
        ledger.note(News::NoNamespace(Source::Named, "a".to_owned()));
        assert!(ledger.due(at(999)).is_empty() && ledger.next().is_none());
    }

    #[test]
    fn what_a_new_list_does_not_show_is_gone() {
        let mut ledger = ledger([
            namespace("a"),
            namespace("b"),
            secret("a", 9),
            secret("b", 9),
        ]);
        ledger.note(News::Listing(Source::Secrets));
        ledger.note(secret("b", 9));
        assert!(ledger.due(at(0)).is_empty());
        ledger.note(News::Listed(Source::Secrets));
        assert_eq!(ledger.due(at(0)), ["a"]);
        ledger.note(News::Listing(Source::Named));
        ledger.note(namespace("b"));
        ledger.note(News::Listed(Source::Named));
        assert!(ledger.due(at(0)).is_empty());
    }

    #[test]
    fn a_namespace_meant_twice_is_meant_until_both_let_go() {
        let labelled = News::Namespace(Source::Labelled, "a".to_owned());
        let mut ledger = ledger([namespace("a"), labelled]);
        ledger.note(News::NoNamespace(Source::Labelled, "a".to_owned()));
        assert_eq!(ledger.len(), 1);
    }

    #[test]
    fn who_breaks_it_again_and_again_is_answered_more_and_more_slowly() {
        let mut ledger = ledger([namespace("a")]);
        let mut now = 0;
        let mut waited = Vec::new();
        for _ in 0..12 {
            ledger.done("a", WROTE, at(now));
            ledger.note(News::NoSecret("a".to_owned()));
            let next = ledger.next().unwrap().as_second() - 1_000_000;
            waited.push(next - now);
            now = next;
        }
        assert_eq!(waited[..4], [2, 4, 8, 16]);
        assert_eq!(waited.last(), Some(&300));
        // After a time of peace it is answered at once again.
        let later = now + 3600;
        ledger.done("a", WROTE, at(later));
        assert_eq!(ledger.next(), Some(at(later + 30)));
        ledger.note(News::NoSecret("a".to_owned()));
        assert_eq!(ledger.next(), Some(at(later + 2)));
    }

    #[test]
    fn tokens_of_a_short_life_are_renewed_at_the_pace_of_their_life() {
        let mut ledger = ledger([namespace("a")]);
        for round in 0..20 {
            let now = round * 30;
            assert_eq!(ledger.due(at(now)), ["a"]);
            ledger.done("a", WROTE, at(now));
            ledger.note(secret("a", now + 30));
        }
        // Broken soon after, it is mended after the shortest pause, and then after longer ones.
        ledger.note(News::Secret("a".to_owned(), Due::Now));
        assert_eq!(ledger.next(), Some(at(19 * 30 + 2)));
        ledger.done("a", WROTE, at(600));
        ledger.note(News::NoSecret("a".to_owned()));
        assert_eq!(ledger.next(), Some(at(604)));
    }

    #[test]
    fn an_account_that_does_not_name_the_secret_is_a_thing_to_do() {
        let mut ledger = ledger([namespace("a"), secret("a", 100), account(false)]);
        assert_eq!(ledger.due(at(0)), ["a"]);
        ledger.note(account(true));
        assert!(ledger.due(at(0)).is_empty());
    }

    #[test]
    fn a_secret_that_must_not_be_written_is_said_once_for_each_reason_and_not_counted() {
        let left = |name: &str, why: &str| News::Secret(name.to_owned(), never(why));
        let said = |name: &str, why: &str| vec![(name.to_owned(), why.to_owned())];
        let mut ledger = ledger([
            namespace("a"),
            namespace("b"),
            secret("b", 100),
            left("a", "Helm keeps it"),
            left("nobody-means-it", "Helm keeps it"),
        ]);
        assert_eq!(ledger.len(), 1);
        assert_eq!(ledger.unsaid(), said("a", "Helm keeps it"));
        // Its keeper makes it anew.
        ledger.note(News::NoSecret("a".to_owned()));
        ledger.note(left("a", "Helm keeps it"));
        assert!(ledger.unsaid().is_empty());
        ledger.note(left("a", "it is immutable"));
        assert_eq!(ledger.unsaid(), said("a", "it is immutable"));
        // It was ours in between.
        ledger.note(secret("a", 100));
        assert_eq!((ledger.len(), ledger.unsaid()), (2, Vec::new()));
        ledger.note(left("a", "it is immutable"));
        assert_eq!(ledger.unsaid(), said("a", "it is immutable"));
    }

    #[test]
    fn a_while_after_a_link_the_pods_are_looked_at_once_more() {
        for due in [Due::At(at(9000)), never("immutable")] {
            let own = matches!(due, Due::At(_)).then(|| at(9000));
            let mut ledger = ledger([namespace("a"), account(false)]);
            ledger.note(News::Secret("a".to_owned(), due));
            assert_eq!(ledger.due(at(0)), ["a"]);
            ledger.done("a", LINKED, at(0));
            ledger.note(account(true));
            assert_eq!(ledger.next(), Some(at(30)));
            // What happens before does not take its place.
            ledger.done("a", Did::default(), at(10));
            assert_eq!(ledger.next(), Some(at(30)));
            ledger.done("a", Did::default(), at(30));
            assert_eq!(ledger.next(), own);
        }
    }

    #[test]
    fn nothing_is_done_before_every_source_was_heard() {
        let mut ledger = Ledger::waiting_for([Source::Named, Source::Secrets]);
        ledger.note(News::Listed(Source::Named));
        assert!(!ledger.is_complete());
        ledger.note(News::Listed(Source::Secrets));
        assert!(ledger.is_complete());
    }
}
