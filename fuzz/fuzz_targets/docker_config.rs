//! Any bytes as a person's `config.json`: routed, and taken back.

#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use ecr_hybrid::configure::{self, Request, Server, Target};
use ecr_hybrid::docker_config::{Answerer, DockerConfig};
use ecr_hybrid::environment::Environment;
use hybrid_fuzz::HOST;
use hybrid_fuzz::members::Members;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

/// Applies a change, and gives the file as it is then; `None` when it was refused.
fn applied(folder: &Path, target: Target<'_>) -> Option<Vec<u8>> {
    let place = folder.to_str().unwrap();
    let environment = Environment::given([("DOCKER_CONFIG", place), ("HYBRID_CACHE_DIR", place)]);
    let request = Request {
        target,
        podman: false,
    };
    let changed = configure::apply(&environment, request);
    changed
        .is_ok()
        .then(|| fs::read(folder.join("config.json")).unwrap())
}

/// A login of the registry, however its key is written.
fn is_login(key: &str) -> bool {
    let rest = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"));
    rest.unwrap_or(key).split('/').next() == Some(HOST)
}

fn text(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes)
}

fuzz_target!(|original: &[u8]| {
    let folder = FOLDER.path();
    let file = folder.join("config.json");
    fs::write(&file, original).unwrap();
    let servers: [Server; 1] = [HOST.parse().unwrap()];
    let Some(routed) = applied(folder, Target::Route(&servers)) else {
        assert_eq!(
            fs::read(&file).unwrap(),
            original,
            "a refused file is left alone"
        );
        return;
    };
    let config = DockerConfig::parse(str::from_utf8(&routed).unwrap()).unwrap();
    assert_eq!(
        config.answerer(HOST),
        Answerer::HelperOfHost("ecr-hybrid".to_owned())
    );
    assert!(!config.holds_auth(HOST));
    // Once more changes nothing.
    assert_eq!(
        applied(folder, Target::Route(&servers)).as_deref(),
        Some(&routed[..])
    );

    let blank = str::from_utf8(text(original)).is_ok_and(|text| text.trim().is_empty());
    let before = Members::of(if blank { b"{}" } else { text(original) }).expect("an object");
    let after = Members::of(text(&routed)).expect("an object");
    let own = |key: &str| matches!(key, "credHelpers" | "auths");
    assert_eq!(
        before.without(own),
        after.without(own),
        "what is not ours stays"
    );
    let inside = |members: &Members, key| {
        members
            .get(key)
            .map(|raw| Members::of(raw.as_bytes()).unwrap_or(Members(Vec::new())))
    };
    let helpers = |members: &Members| inside(members, "credHelpers").unwrap_or(Members(Vec::new()));
    assert_eq!(
        helpers(&before).without(|key| key == HOST),
        helpers(&after).without(|key| key == HOST)
    );
    let logins = |members: &Members| inside(members, "auths").unwrap_or(Members(Vec::new()));
    assert_eq!(
        logins(&before).without(is_login),
        logins(&after).without(|_| false)
    );

    let back = applied(folder, Target::Unroute(&servers)).expect("what was routed is taken out");
    let config = DockerConfig::parse(str::from_utf8(&back).unwrap()).unwrap();
    assert!(config.cred_helpers().all(|(host, _)| host != HOST));
    // To the letter, where there was neither a helper nor a login of the registry, nor an object
    // without members, which is not told from one of ours.
    let plain = !blank
        && !before.has_twice()
        && !helpers(&before).has_twice()
        && helpers(&before).get(HOST).is_none()
        && before
            .get("credHelpers")
            .is_none_or(|_| !helpers(&before).0.is_empty())
        && !before.0.is_empty()
        && logins(&before).without(|key| !is_login(key)).is_empty();
    if plain {
        assert_eq!(
            String::from_utf8_lossy(&back),
            String::from_utf8_lossy(original)
        );
    }
});
