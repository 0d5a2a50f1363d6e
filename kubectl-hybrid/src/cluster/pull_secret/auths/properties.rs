//! Documents that nobody would think of: a login goes in, and nothing of others changes.

use proptest::prelude::*;

use super::*;

const HOST: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";

/// Members as text; a key may stand twice.
fn members(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let members: Members = serde_json::from_slice(bytes).ok()?;
    let pairs = members.0.into_iter();
    Some(
        pairs
            .map(|(key, raw)| (key, raw.get().to_owned()))
            .collect(),
    )
}

/// The members of `auths`, and those beside it. Field names count whatever their case, and the last
/// one counts.
type Parts = (Vec<(String, String)>, Vec<(String, String)>);

fn parts(bytes: &[u8]) -> Option<Parts> {
    let (auths, around): (Vec<_>, Vec<_>) = members(bytes)?
        .into_iter()
        .partition(|(key, _)| key.eq_ignore_ascii_case("auths"));
    let auths = auths
        .last()
        .and_then(|(_, raw)| members(raw.as_bytes()))
        .unwrap_or_default();
    Some((auths, around))
}

/// What may be another spelling of the registry: no other key may go.
fn may_go(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let key = key.trim();
    let Some((before, behind)) = key.split_once(HOST) else {
        return false;
    };
    matches!(before, "" | "http://" | "https://")
        && matches!(behind, "" | "/" | "/v1" | "/v1/" | "/v2" | "/v2/")
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z]{1,6}\\.example(:[0-9]{1,3})?(/[a-z/]{0,4})?",
        4 => "[ \n]?(https?://|HTTPS://)?(111122223333\\.dkr\\.ecr\\.eu-west-1\\.amazonaws\\.com)(/|/v1/|/v2/?|:443|/team|\\.example)?[ \n]?",
        1 => Just(HOST.to_owned()),
        1 => ".{0,8}",
    ]
}

fn entry_text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("{}".to_owned()),
        Just("null".to_owned()),
        Just(r#"{ "auth" : "dTpw" , "n":1.0e5,"é":"\u00e9"}"#.to_owned()),
        Just(r#"{"auth":"%"}"#.to_owned()),
        Just(r#"{"username":"u","password":7}"#.to_owned()),
        "[0-9]{1,3}",
        "\\[ ?\\]",
    ]
}

fn object(
    key: impl Strategy<Value = String>,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    let space = "[ \n\t]{0,2}";
    prop::collection::vec((key, value, space), 0..5).prop_map(|members| {
        let shown: Vec<String> = members
            .into_iter()
            .map(|(key, value, space)| {
                let key = serde_json::Value::from(key);
                format!("{space}{key}:{space}{value}")
            })
            .collect();
        format!("{{{}}}", shown.join(","))
    })
}

fn document() -> impl Strategy<Value = String> {
    let outer_key = prop_oneof![
        6 => Just("auths".to_owned()),
        1 => Just("Auths".to_owned()),
        3 => "(credHelpers|HttpHeaders|[a-z]{1,3})",
    ];
    let outer_value = prop_oneof![
        8 => object(key(), entry_text()),
        1 => entry_text(),
    ];
    object(outer_key, outer_value)
}

proptest! {
    #[test]
    fn a_login_goes_in_and_nothing_of_others_changes(
        text in document(),
        damage in prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut bytes = text.into_bytes();
        if let Some((place, byte)) = damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let mut document = Document::parse(&bytes);
        if document.broken().is_some() {
            return Ok(());
        }
        let (before, around) = parts(&bytes).ok_or_else(|| TestCaseError::fail("no object"))?;
        let password = Secret::new("pass".to_owned());
        document.put(HOST, "AWS", &password);
        let written = document.to_bytes();
        let (now, around_now) = parts(&written).ok_or_else(|| TestCaseError::fail("no object"))?;
        prop_assert_eq!(around, around_now);

        let (ours, kept): (Vec<_>, Vec<_>) = now.into_iter().partition(|(key, _)| key == HOST);
        prop_assert_eq!(ours.len(), 1);
        let stays: Vec<_> = before.into_iter().filter(|(key, _)| !may_go(key)).collect();
        prop_assert_eq!(stays, kept);

        let mut again = Document::parse(&written);
        let login = again.entry(HOST);
        let is_ours = matches!(
            &login,
            Some(Entry::Login(login)) if login.username == "AWS" && login.password.expose() == "pass"
        );
        prop_assert!(is_ours);
        again.put(HOST, "AWS", &password);
        prop_assert_eq!(again.to_bytes(), written);
        again.drop_broken();
        let is_whole = again.entries().all(|(_, entry)| !matches!(entry, Entry::Broken(_)));
        prop_assert!(is_whole);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = Document::parse(&bytes);
        let _ = Document::parse_legacy(&bytes);
    }
}
