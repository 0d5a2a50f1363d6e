use super::*;

const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

fn text(document: &Document) -> String {
    String::from_utf8(document.to_bytes()).unwrap()
}

fn password() -> Secret {
    Secret::new("pass".to_owned())
}

fn ours() -> String {
    format!("\"{HOST}\":{{\"username\":\"AWS\",\"password\":\"pass\",\"auth\":\"QVdTOnBhc3M=\"}}")
}

#[test]
fn foreign_entries_and_everything_around_stay_byte_for_byte() {
    let strange = r#"{"HttpHeaders": {"X":  "1"},"auths":{"z.example":{ "auth" : "dTpw" , "n":1.0e5,"é":"\u00e9"},"a.example":{}},"credHelpers":{"h":"x"}}"#;
    let mut document = Document::parse(strange.as_bytes());
    document.put(HOST, "AWS", &password());
    assert_eq!(
        text(&document),
        format!(
            "{}{}{}",
            r#"{"auths":{"z.example":{ "auth" : "dTpw" , "n":1.0e5,"é":"\u00e9"},"a.example":{},"#,
            ours(),
            r#"},"HttpHeaders":{"X":  "1"},"credHelpers":{"h":"x"}}"#
        )
    );
}

#[test]
fn the_entry_of_the_host_is_replaced_where_it_stood() {
    let before = format!(r#"{{"auths":{{"a":{{}},"{HOST}":{{"auth":"b2xkOm9sZA=="}},"z":{{}}}}}}"#);
    let mut document = Document::parse(before.as_bytes());
    document.put(HOST, "AWS", &password());
    assert_eq!(
        text(&document),
        format!(r#"{{"auths":{{"a":{{}},{},"z":{{}}}}}}"#, ours())
    );
}

#[test]
fn other_spellings_of_the_host_go_and_other_hosts_stay() {
    let table = [
        ("https://HOST", true),
        ("http://HOST", true),
        ("HOST/", true),
        ("https://HOST/", true),
        ("https://HOST/v1/", true),
        ("https://HOST/v2/", true),
        ("https://HOST/v2", true),
        (" https://HOST", true),
        ("HOST\n", true),
        ("HOST/team", false),
        ("HOST:443", false),
        ("*.dkr.ecr.eu-central-1.amazonaws.com", false),
        ("HOST.example", false),
        ("xHOST", false),
    ];
    for (key, dropped) in table {
        let key = key.replace("HOST", HOST);
        let mut document = Document::default();
        document
            .auths
            .0
            .push((key.clone(), RawValue::from_string("{}".to_owned()).unwrap()));
        assert_eq!(
            !document.other_spellings(HOST).is_empty(),
            dropped,
            "{key:?}"
        );
        document.put(HOST, "AWS", &password());
        assert_eq!(document.keys().any(|left| left == key), !dropped, "{key:?}");
        assert!(document.entry(HOST).is_some());
    }
}

#[test]
fn an_entry_is_read_as_the_kubelet_reads_it() {
    let table = [
        (r#"{"auth":"QVdTOnBhOnNz"}"#, Ok(Some(("AWS", "pa:ss")))),
        (r#"{"auth":"QVdTOnA="}"#, Ok(Some(("AWS", "p")))),
        (r#"{"auth":"QVdTOnA"}"#, Ok(Some(("AWS", "p")))),
        ("{\"auth\":\"QVdT\\nOnA=\"}", Ok(Some(("AWS", "p")))),
        (r#"{"username":"u","password":"p"}"#, Ok(Some(("u", "p")))),
        (r#"{"Username":"u","PASSWORD":"p"}"#, Ok(Some(("u", "p")))),
        (
            r#"{"username":"u","password":"p","auth":"QVdTOnA="}"#,
            Ok(Some(("AWS", "p"))),
        ),
        (
            r#"{"username":"u","password":"p","auth":""}"#,
            Ok(Some(("u", "p"))),
        ),
        (r"{}", Ok(None)),
        ("null", Ok(None)),
        (r#"{"email":"x@example.com"}"#, Ok(None)),
        (r#"{"auth":"%%%"}"#, Err("`auth` is no base64")),
        (
            r#"{"auth":"QVdT"}"#,
            Err("`auth` has no colon between user and password"),
        ),
        (r#"{"auth":1}"#, Err("`auth` is no text")),
        (r#""text""#, Err("it is no object")),
        ("[]", Err("it is no object")),
    ];
    for (raw, expected) in table {
        let raw = RawValue::from_string(raw.to_owned()).unwrap();
        let found = entry(&raw);
        let found = match &found {
            Entry::Login(login) => Ok(Some((login.username.as_str(), login.password.expose()))),
            Entry::Empty => Ok(None),
            Entry::Broken(why) => Err(why.as_str()),
        };
        assert_eq!(found, expected, "{raw}");
    }
}

#[test]
fn a_broken_document_says_where_and_never_what() {
    for (bytes, expected) in [
        ("", "the JSON ends too early, line 1 column 0"),
        ("hunter2", "it is no JSON, line 1 column 1"),
        ("{\"auths\":", "the JSON ends too early, line 1 column 9"),
        ("[]", "the JSON is no object, line 1 column 0"),
        (
            r#"{"auths":"hunter2"}"#,
            "`auths` is no object (the JSON is no object, line 1 column 9)",
        ),
    ] {
        let document = Document::parse(bytes.as_bytes());
        let why = document.broken().unwrap();
        assert_eq!(why, expected, "{bytes}");
        assert!(!why.contains("hunter2"));
    }
    assert!(Document::parse(b"{}").broken().is_none());
    assert!(Document::parse(br#"{"auths":null}"#).broken().is_none());
    assert!(Document::parse(&[0xff, 0xfe]).broken().is_some());
}

#[test]
fn broken_entries_are_dropped_by_name() {
    let mut document =
        Document::parse(br#"{"auths":{"good":{"auth":"dTpw"},"bad":{"auth":"%"},"none":{}}}"#);
    assert_eq!(document.drop_broken(), ["bad"]);
    assert_eq!(document.keys().collect::<Vec<_>>(), ["good", "none"]);
}

#[test]
fn the_legacy_form_has_no_outer_object() {
    let document = Document::parse_legacy(br#"{"r.example":{"auth":"dTpw"}}"#);
    assert_eq!(document.keys().collect::<Vec<_>>(), ["r.example"]);
    assert!(document.broken().is_none());
    // What it holds is still seen: somebody may want to keep it.
    let newer = Document::parse_legacy(br#"{"auths":{"r.example":{"auth":"dTpw"}}}"#);
    assert_eq!(newer.keys().collect::<Vec<_>>(), ["r.example"]);
    assert_eq!(newer.broken(), Some("`.dockercfg` has no outer `auths`"));
}

#[test]
fn a_login_is_found_under_its_bare_host_before_another_spelling() {
    let found = |auths: &str| {
        let auths = auths.replace("HOST", HOST);
        let document = Document::parse(format!(r#"{{"auths":{auths}}}"#).as_bytes());
        let found = document.login(HOST);
        found.map(|(key, login)| (key.replace(HOST, "HOST"), login.username))
    };
    let some = |key: &str, username: &str| Some((key.to_owned(), username.to_owned()));
    let bare = r#"{"https://HOST":{"username":"a"},"HOST":{"username":"b"}}"#;
    assert_eq!(found(bare), some("HOST", "b"));
    let other = r#"{"x.example":{"username":"a"},"https://HOST/v1/":{"username":"b"}}"#;
    assert_eq!(found(other), some("https://HOST/v1/", "b"));
    let empty = r#"{"HOST":{},"https://HOST":{"username":"a"}}"#;
    assert_eq!(found(empty), some("https://HOST", "a"));
    assert_eq!(found(r#"{" HOST":{"username":"a"}}"#), None);
}
