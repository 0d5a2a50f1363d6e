//! Against services that answer what GNOME Keyring does not.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use super::super::bus::Writer;
use super::super::bus::fake::{Said, answering};
use super::*;

const LIFE: Duration = Duration::from_hours(12);

const COLLECTION: &str = "/org/freedesktop/secrets/collection/login";

const ITEM: &str = "/org/freedesktop/secrets/collection/login/7";

fn key() -> Key {
    Key::of_parts(&["a"])
}

fn store(at: &Path, patience: Duration) -> SecretServiceStore {
    let address = format!("unix:path={}", at.display());
    let environment = Environment::given([("DBUS_SESSION_BUS_ADDRESS", address.as_str())]);
    let mut store = SecretServiceStore::of(&environment);
    store.patience = patience;
    store
}

/// What an unlocked keyring with one item answers.
fn answered(member: &str) -> Said {
    match member {
        "OpenSession" => Said::values("vo", |values| {
            // As KWallet does.
            values.signature("ay");
            values.blob(b"");
            values.text("/org/freedesktop/secrets/session/1");
        }),
        "ReadAlias" => Said::values("o", |values| values.text(COLLECTION)),
        "Get" => Said::values("v", |values| {
            values.signature("b");
            values.flag(false);
        }),
        "SearchItems" => Said::values("ao", |values| values.array(4, |items| items.text(ITEM))),
        "GetSecret" => Said::values("(oayays)", |values| {
            values.structure();
            values.text("/org/freedesktop/secrets/session/1");
            values.blob(b"");
            values.blob(b"token");
            values.text("application/json");
        }),
        "CreateItem" => Said::values("oo", |values| {
            values.text(ITEM);
            values.text("/");
        }),
        "Delete" => Said::values("o", |values| values.text("/")),
        _ => Said::text(":1.7"),
    }
}

/// A keyring whose answer to one method is another one.
fn but(
    at: &Path,
    method: &'static str,
    said: impl Fn() -> Option<Said> + Send + 'static,
) -> JoinHandle<Vec<String>> {
    answering(at, move |member| {
        if member == method {
            said()
        } else {
            Some(answered(member))
        }
    })
}

/// What a request comes to at a keyring with one answer changed, and what was called.
fn asked<T>(
    method: &'static str,
    said: impl Fn() -> Option<Said> + Send + 'static,
    request: impl FnOnce(&SecretServiceStore) -> Result<T, StoreError>,
) -> (Result<T, String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("bus");
    let bus = but(&place, method, said);
    let store = store(&place, Duration::from_mins(1));
    let result = request(&store).map_err(|error| error.to_string());
    drop(store);
    (result, bus.join().unwrap())
}

fn load(store: &SecretServiceStore) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(store.load(&key())?.map(|bytes| bytes.to_vec()))
}

fn save(store: &SecretServiceStore) -> Result<(), StoreError> {
    store.save(&key(), b"token", LIFE)
}

fn no_item(values: &mut Writer) {
    values.array(4, |_| {});
}

#[test]
fn a_collection_of_another_name_is_asked_once_it_is_known() {
    let other = || {
        let path = "/org/freedesktop/secrets/collection/kdewallet";
        Some(Said::values("o", |values| values.text(path)))
    };
    let (result, called) = asked("ReadAlias", other, load);
    assert_eq!(result, Ok(Some(b"token".to_vec())));
    let guessed = ["Hello", "ReadAlias", "Get", "SearchItems", "OpenSession"];
    assert_eq!(called[..5], guessed);
    assert_eq!(called[5..], ["Get", "SearchItems", "GetSecret"]);
}

#[test]
fn a_read_asks_for_what_it_needs_once() {
    let (result, called) = asked("", || None, |store| load(store).and_then(|_| load(store)));
    assert_eq!(result, Ok(Some(b"token".to_vec())));
    let once = [
        "Hello",
        "ReadAlias",
        "Get",
        "SearchItems",
        "OpenSession",
        "GetSecret",
    ];
    assert_eq!(called[..6], once);
    assert_eq!(called[6..], ["Get", "SearchItems", "GetSecret"]);
    let none = || Some(Said::values("ao", no_item));
    let (result, called) = asked("SearchItems", none, |store| {
        load(store)?;
        save(store)
    });
    assert_eq!(result, Ok(()));
    assert_eq!(called[..5], once[..5]);
    assert_eq!(called[5..], ["CreateItem"]);
}

#[test]
fn behind_a_write_that_is_not_answered_in_time_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("bus");
    let bus = but(&place, "CreateItem", || None);
    // Long enough for the removal's own part of it.
    let store = store(&place, Duration::from_secs(1));
    let error = save(&store).unwrap_err().to_string();
    assert!(error.contains("did not answer in time"), "{error}");
    // Who did not answer once is not asked again.
    assert!(save(&store).is_err());
    drop(store);
    let called = bus.join().unwrap();
    let written = called.iter().position(|member| member == "CreateItem");
    assert_eq!(
        called[written.unwrap()..],
        ["CreateItem", "Get", "SearchItems", "Delete"]
    );
}

#[test]
fn what_is_not_served_is_unavailable_in_words() {
    type Row = (&'static str, &'static str, &'static str);
    let rows: [Row; 6] = [
        (
            "Get",
            "org.freedesktop.DBus.Error.ServiceUnknown",
            "nobody serves it",
        ),
        (
            "OpenSession",
            "org.freedesktop.DBus.Error.ServiceUnknown",
            "nobody serves it",
        ),
        (
            "Get",
            "org.freedesktop.DBus.Error.UnknownObject",
            "there is no default collection",
        ),
        (
            "Get",
            "org.freedesktop.Secret.Error.NoSuchObject",
            "there is no default collection",
        ),
        (
            "SearchItems",
            "org.freedesktop.DBus.Error.UnknownMethod",
            "there is no default collection",
        ),
        (
            "GetSecret",
            "org.freedesktop.Secret.Error.IsLocked",
            "the default collection is locked",
        ),
    ];
    for (method, name, why) in rows {
        let (result, _) = asked(method, move || Some(Said::error(name, "so")), load);
        let error = result.unwrap_err();
        assert!(
            error.starts_with("The store `secret-service` is not available: "),
            "{error}"
        );
        assert!(error.contains(why), "{error}");
    }
    let none = || Some(Said::values("o", |values| values.text("/")));
    for request in [save, |store: &SecretServiceStore| load(store).map(drop)] {
        let (result, _) = asked("ReadAlias", none, request);
        let error = result.unwrap_err();
        assert!(error.contains("there is no default collection"), "{error}");
    }
    let refused = || Some(Said::error("a.b.Error", "so"));
    let (result, _) = asked("GetSecret", refused, load);
    let expected = "The store `secret-service` cannot read a token: a.b.Error: so.";
    assert_eq!(result.unwrap_err(), expected);
}

#[test]
fn of_a_locked_collection_no_secret_is_read() {
    let locked = || {
        Some(Said::values("v", |values| {
            values.signature("b");
            values.flag(true);
        }))
    };
    let (result, called) = asked("Get", locked, load);
    assert!(
        result
            .unwrap_err()
            .contains("the default collection is locked")
    );
    assert!(!called.contains(&"GetSecret".to_owned()), "{called:?}");
}

#[test]
fn a_prompt_is_never_opened() {
    const PROMPT: &str = "/org/freedesktop/secrets/prompt/1";
    let to_create = || {
        Some(Said::values("oo", |values| {
            values.text("/");
            values.text(PROMPT);
        }))
    };
    let to_delete = || Some(Said::values("o", |values| values.text(PROMPT)));
    let (created, called) = asked("CreateItem", to_create, save);
    assert!(created.unwrap_err().contains("it would ask a person"));
    assert!(!called.contains(&"Prompt".to_owned()));
    let (deleted, called) = asked("Delete", to_delete, |store| store.delete(&key()));
    assert!(deleted.unwrap_err().contains("it would ask a person"));
    assert!(!called.contains(&"Prompt".to_owned()));
}

#[test]
fn nothing_older_is_left_behind_a_failed_write() {
    let refused = || Some(Said::error("a.b.Full", ""));
    let (result, called) = asked("CreateItem", refused, save);
    let expected = "The store `secret-service` cannot keep a token: a.b.Full.";
    assert_eq!(result.unwrap_err(), expected);
    assert_eq!(called.last().unwrap(), "Delete");
}

#[test]
fn an_item_that_someone_else_removed_is_not_there() {
    let gone = || Some(Said::error("org.freedesktop.Secret.Error.NoSuchObject", ""));
    let (read, _) = asked("GetSecret", gone, load);
    assert_eq!(read, Ok(None));
    let (removed, _) = asked("Delete", gone, |store| store.delete(&key()));
    assert_eq!(removed, Ok(()));
}

#[test]
fn an_answer_of_other_types_is_refused() {
    for method in [
        "OpenSession",
        "ReadAlias",
        "Get",
        "SearchItems",
        "GetSecret",
    ] {
        let (result, _) = asked(method, || Some(Said::text("what?")), load);
        assert!(result.unwrap_err().contains("makes no sense"), "{method}");
    }
}

#[test]
fn a_keyring_that_does_not_answer_is_waited_for_once() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("bus");
    let searches = Arc::new(AtomicUsize::new(0));
    let counted = searches.clone();
    let bus = but(&place, "SearchItems", move || {
        counted.fetch_add(1, Ordering::Relaxed);
        None
    });
    let mut store = store(&place, Duration::from_millis(100));
    let error = load(&store).unwrap_err().to_string();
    assert!(error.contains("it did not answer in time"), "{error}");
    store.patience = Duration::from_mins(5);
    let begun = Instant::now();
    assert!(save(&store).is_err());
    assert!(store.delete(&key()).is_err());
    let error = store.keys().unwrap_err().to_string();
    assert!(error.contains("it did not answer in time"), "{error}");
    assert!(begun.elapsed() < Duration::from_mins(1));
    assert_eq!(searches.load(Ordering::Relaxed), 1);
    drop(store);
    bus.join().unwrap();
}

#[test]
fn an_address_that_is_nonsense_is_said_so() {
    let environment = Environment::given([("DBUS_SESSION_BUS_ADDRESS", "nonsense")]);
    let error = load(&SecretServiceStore::of(&environment)).unwrap_err();
    assert!(
        error.to_string().contains("names no Unix socket"),
        "{error}"
    );
}
