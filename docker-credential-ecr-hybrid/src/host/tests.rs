use proptest::prelude::*;

use super::*;

struct Row {
    host: &'static str,
    partition: &'static str,
    region: &'static str,
    fips: bool,
    dual_stack: bool,
    api: &'static str,
}

const fn row(
    host: &'static str,
    partition: &'static str,
    region: &'static str,
    (fips, dual_stack): (bool, bool),
    api: &'static str,
) -> Row {
    Row {
        host,
        partition,
        region,
        fips,
        dual_stack,
        api,
    }
}

const PLAIN: (bool, bool) = (false, false);
const FIPS: (bool, bool) = (true, false);
const DUAL: (bool, bool) = (false, true);
const FIPS_DUAL: (bool, bool) = (true, true);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("123456789012.dkr.ecr.us-west-2.amazonaws.com", "aws", "us-west-2", PLAIN, "api.ecr.us-west-2.amazonaws.com"),
    row("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "aws-us-gov", "us-gov-west-1", FIPS, "api.ecr-fips.us-gov-west-1.amazonaws.com"),
    row("123456789012.dkr-ecr.us-west-2.on.aws", "aws", "us-west-2", DUAL, "ecr.us-west-2.api.aws"),
    row("123456789012.dkr-ecr-fips.us-west-2.on.aws", "aws", "us-west-2", FIPS_DUAL, "ecr-fips.us-west-2.api.aws"),
    row("123456789012.dkr-ecr.us-gov-east-1.on.aws", "aws-us-gov", "us-gov-east-1", DUAL, "ecr.us-gov-east-1.api.aws"),
    row("210987654321.dkr.ecr.cn-north-1.amazonaws.com.cn", "aws-cn", "cn-north-1", PLAIN, "api.ecr.cn-north-1.amazonaws.com.cn"),
    row("210987654321.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", "aws-cn", "cn-north-1", DUAL, "ecr.cn-north-1.api.amazonwebservices.com.cn"),
    row("210987654321.dkr.ecr.cn-north-1.on.amazonwebservices.com.cn", "aws-cn", "cn-north-1", DUAL, "ecr.cn-north-1.api.amazonwebservices.com.cn"),
    row("123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu", "aws-eusc", "eusc-de-east-1", PLAIN, "api.ecr.eusc-de-east-1.amazonaws.eu"),
    row("123456789012.dkr.ecr-fips.eusc-de-east-1.amazonaws.eu", "aws-eusc", "eusc-de-east-1", FIPS, "api.ecr-fips.eusc-de-east-1.amazonaws.eu"),
    row("123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov", "aws-iso", "us-iso-east-1", PLAIN, "api.ecr.us-iso-east-1.c2s.ic.gov"),
    row("123456789012.dkr.ecr.us-isob-east-1.sc2s.sgov.gov", "aws-iso-b", "us-isob-east-1", PLAIN, "api.ecr.us-isob-east-1.sc2s.sgov.gov"),
    row("123456789012.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk", "aws-iso-e", "eu-isoe-west-1", PLAIN, "api.ecr.eu-isoe-west-1.cloud.adc-e.uk"),
    row("123456789012.dkr.ecr.us-isof-east-1.csp.hci.ic.gov", "aws-iso-f", "us-isof-east-1", PLAIN, "api.ecr.us-isof-east-1.csp.hci.ic.gov"),
    row("public.ecr.aws", "aws", "us-east-1", PLAIN, "api.ecr-public.us-east-1.amazonaws.com"),
    row("ecr-public.aws.com", "aws", "us-east-1", DUAL, "ecr-public.us-east-1.api.aws"),
];

#[test]
fn every_form_of_the_table_is_read_whole() {
    for row in ROWS {
        let registry = Registry::parse(row.host).unwrap_or_else(|| panic!("{}", row.host));
        assert_eq!(registry.host(), row.host);
        assert_eq!(registry.partition().name(), row.partition, "{}", row.host);
        assert_eq!(registry.region(), row.region);
        assert_eq!(registry.fips(), row.fips);
        assert_eq!(registry.dual_stack(), row.dual_stack);
        assert_eq!(registry.api_host(), row.api);
        assert_eq!(registry.to_string(), row.host);
    }
}

#[test]
fn what_only_resembles_ecr_is_not_ours() {
    let strangers = [
        "",
        "docker.io",
        "https://index.docker.io/v1/",
        "123456789012.dkr.ecr.us-west-2.amazonaws.com.fake.example.com",
        "123456789012.dkr.ecr.us-west-2.amazonaws.com.",
        "fake.example.com/123456789012.dkr.ecr.us-west-2.amazonaws.com",
        "user@123456789012.dkr.ecr.us-west-2.amazonaws.com",
        "https://user:pass@123456789012.dkr.ecr.us-west-2.amazonaws.com",
        "123456789012.dkr.ecr.us-west-2.amazonaws.com@evil.example.com",
        "123456789012.dkr.ecr.us-west-2.amazonaws.com:443@evil.example.com",
        "123456789012.dkr.ecr.us-west-2.amazonaws.com:",
        "123456789012.dkr.ecr.us-west-2.amazonaws.com:0",
        "123456789012.dkr.ecr.us-west-2.amazonaws.com:65536",
        "123456789012.dkr.ecr.us-west-2.amazonaws.com:+443",
        "123456789012.dkr.ecr.us-west-2.amazonaws.com?x=/",
        "123456789012.dkr.ecr.us-west-2.amazonaws.com#/",
        "12345678901.dkr.ecr.us-west-2.amazonaws.com",
        "1234567890123.dkr.ecr.us-west-2.amazonaws.com",
        "x123456789012.dkr.ecr.us-west-2.amazonaws.com",
        "123456789012.dkr.ecr.us-west-2.amazonaws.co",
        "123456789012.dkr.ecr..amazonaws.com",
        "123456789012.dkr.ecr.us-west-2.x.amazonaws.com",
        "123456789012.dkr.ecr.evil.amazonaws.com",
        "123456789012.dkr.ecr.us-west-.amazonaws.com",
        "123456789012.dkr.ecr.-us-west-2.amazonaws.com",
        "123456789012.dkr.ecr.US-WEST-2.amazonaws.com",
        "123456789012.dkr-ecr.us-west-2.amazonaws.com",
        "123456789012.dkr.ecr.cn-north-1.amazonaws.com",
        "123456789012.dkr.ecr.us-west-2.amazonaws.com.cn",
        "123456789012.dkr.ecr-fip.us-west-2.amazonaws.com",
        "123456789012.dkr.ecr.us-west-2.amazonaws.com\u{0}",
        "123456789012.dkr.ecr.us-west-2.amazonaws.com \u{202e}",
        "١٢٣٤٥٦٧٨٩٠١٢.dkr.ecr.us-west-2.amazonaws.com",
        "ftp://123456789012.dkr.ecr.us-west-2.amazonaws.com",
        "//123456789012.dkr.ecr.us-west-2.amazonaws.com",
        "http://public.ecr.aws.evil.example.com",
        "xpublic.ecr.aws",
    ];
    for stranger in strangers {
        assert_eq!(Registry::parse(stranger), None, "{stranger:?}");
    }
}

#[test]
fn a_token_may_be_issued_in_another_region_of_the_partition() {
    let host = "123456789012.dkr.ecr-fips.us-west-2.amazonaws.com";
    let registry = Registry::parse(host).unwrap();
    let moved = registry.in_region("us-east-1").unwrap();
    assert_eq!(moved.host(), host);
    assert_eq!(moved.region(), "us-east-1");
    assert_eq!(moved.api_host(), "api.ecr-fips.us-east-1.amazonaws.com");
    for other in ["cn-north-1", "us-gov-west-1", "nowhere", ""] {
        assert_eq!(registry.in_region(other), None, "{other}");
    }
    let public = Registry::parse("public.ecr.aws").unwrap();
    assert_eq!(public.in_region("eu-west-1"), None);
}

fn word() -> impl Strategy<Value = String> {
    "[a-z]{2,9}"
}

/// A region of the commercial shape that no partition claims.
fn region() -> impl Strategy<Value = String> {
    (word(), word(), 1..20u8)
        .prop_map(|(area, place, number)| format!("{area}-{place}-{number}"))
        .prop_filter("a region of another partition", |region| {
            Partition::of_region(region) == Partition::Aws
        })
}

/// A host of any form, with the parts that it is made of.
fn any_host() -> impl Strategy<Value = (String, String, String, bool)> {
    let words = (word(), word(), 1..20u8);
    let parts = (
        "[0-9]{12}",
        0..FORMS.len(),
        any::<usize>(),
        words,
        any::<bool>(),
        any::<bool>(),
    );
    parts.prop_map(
        |(account, form, partition, (area, place, number), fips, dotted)| {
            let form = &FORMS[form];
            let prefix = match form.partitions[partition % form.partitions.len()] {
                // No partition but this one has an area of a single word that is not claimed.
                Partition::Aws => format!("x{area}"),
                Partition::China => "cn".to_owned(),
                Partition::Gov => "us-gov".to_owned(),
                Partition::EuSovereign => format!("eusc-{area}"),
                Partition::Iso => "us-iso".to_owned(),
                Partition::IsoB => "us-isob".to_owned(),
                Partition::IsoE => "eu-isoe".to_owned(),
                Partition::IsoF => "us-isof".to_owned(),
            };
            let region = format!("{prefix}-{place}-{number}");
            let service = if form.dual_stack && !dotted {
                "dkr-ecr"
            } else {
                "dkr.ecr"
            };
            let fips_part = if fips { "-fips" } else { "" };
            let host = format!("{account}.{service}{fips_part}.{region}.{}", form.suffix);
            (host, account, region, fips)
        },
    )
}

fn dressed(host: &str, dress: usize) -> String {
    match dress {
        0 => host.to_owned(),
        1 => format!("{host}:443"),
        2 => format!("https://{host}"),
        3 => format!("http://{host}:5000/v2/"),
        4 => format!("{host}/team/app:1.2.3"),
        5 => format!("{host}/team/app@sha256:{}", "a".repeat(64)),
        _ => format!("{host}/team/app:v1@sha256:{}", "b".repeat(64)),
    }
}

proptest! {
    #[test]
    fn every_form_of_every_partition_is_read_in_any_dress(
        (host, account, region, fips) in any_host(),
        dress in 0..7usize,
    ) {
        let registry = Registry::parse(&dressed(&host, dress));
        let registry = registry.ok_or_else(|| TestCaseError::fail(host.clone()))?;
        prop_assert_eq!(registry.account(), Some(account.as_str()));
        prop_assert_eq!(registry.region(), &region);
        prop_assert_eq!(registry.fips(), fips);
        prop_assert_eq!(registry.host(), &host);
        let in_api = registry.api_host().contains(&format!(".{region}."));
        prop_assert!(in_api);
        prop_assert_eq!(registry.in_region(&region), Some(registry));
    }

    #[test]
    fn one_byte_more_less_or_other_never_leads_off_the_domains_of_aws(
        (host, _, _, _) in any_host(),
        place: prop::sample::Index,
        byte in 0..=127u8,
        change in 0..3usize,
    ) {
        let mut bytes = host.clone().into_bytes();
        let place = place.index(bytes.len());
        match change {
            0 => bytes[place] = byte,
            1 => bytes.insert(place, byte),
            _ => {
                bytes.remove(place);
            }
        }
        let text = String::from_utf8(bytes).unwrap();
        if let Some(registry) = Registry::parse(&text) {
            let own = registry.host();
            let owned = FORMS.iter().any(|form| own.ends_with(&format!(".{}", form.suffix)));
            prop_assert!(owned);
            let behind = text.strip_prefix(own);
            let is_own = behind.is_some_and(|behind| behind.is_empty() || behind.starts_with([':', '/']));
            prop_assert!(is_own);
        }
    }

    #[test]
    fn any_account_and_region_is_read_in_any_dress(
        account in "[0-9]{12}",
        region in region(),
        fips: bool,
        dual_stack: bool,
        dress in 0..7usize,
    ) {
        let fips_part = if fips { "-fips" } else { "" };
        let host = if dual_stack {
            format!("{account}.dkr-ecr{fips_part}.{region}.on.aws")
        } else {
            format!("{account}.dkr.ecr{fips_part}.{region}.amazonaws.com")
        };
        let registry = Registry::parse(&dressed(&host, dress));
        let registry = registry.ok_or_else(|| TestCaseError::fail(host.clone()))?;
        prop_assert_eq!(registry.account(), Some(account.as_str()));
        prop_assert_eq!(registry.region(), region);
        prop_assert_eq!(registry.fips(), fips);
        prop_assert_eq!(registry.dual_stack(), dual_stack);
        prop_assert_eq!(registry.host(), host);
    }

    #[test]
    fn anything_behind_the_suffix_makes_it_a_stranger(
        account in "[0-9]{12}",
        region in region(),
        tail in "[-.@a-z0-9_]{1,12}",
    ) {
        prop_assume!(tail != ".cn");
        let host = format!("{account}.dkr.ecr.{region}.amazonaws.com{tail}");
        prop_assert_eq!(Registry::parse(&host), None);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        let _ = Registry::parse(&text);
    }

    #[test]
    fn what_is_accepted_is_a_host_that_aws_owns(
        text in "(https?://)?[0-9]{11,13}\\.dkr[.-]ecr(-fips)?\\.[a-z0-9.-]{1,30}\\.(amazonaws\\.(com|eu|com\\.cn)|on\\.aws|evil\\.com)(:[0-9]{1,6})?(/[a-z@:.]{0,10})?"
    ) {
        if let Some(registry) = Registry::parse(&text) {
            let owned = FORMS.iter().any(|form| registry.host().ends_with(&format!(".{}", form.suffix)));
            prop_assert!(owned);
            prop_assert!(registry.account().is_some_and(is_account));
            prop_assert!(!registry.region().contains('.'));
        }
    }
}

#[test]
fn a_registry_may_be_asked_at_another_form_of_its_endpoint() {
    let rows = [
        (
            "us-west-2.amazonaws.com",
            PLAIN,
            "api.ecr.us-west-2.amazonaws.com",
        ),
        (
            "us-west-2.amazonaws.com",
            FIPS,
            "api.ecr-fips.us-west-2.amazonaws.com",
        ),
        ("us-west-2.amazonaws.com", DUAL, "ecr.us-west-2.api.aws"),
        (
            "us-west-2.amazonaws.com",
            FIPS_DUAL,
            "ecr-fips.us-west-2.api.aws",
        ),
        ("us-west-2.on.aws", PLAIN, "ecr.us-west-2.api.aws"),
        (
            "eusc-fr-east-1.amazonaws.eu",
            DUAL,
            "ecr.eusc-fr-east-1.api.amazonwebservices.eu",
        ),
        (
            "us-iso-east-1.c2s.ic.gov",
            DUAL,
            "api.ecr.us-iso-east-1.c2s.ic.gov",
        ),
    ];
    for (rest, (fips, dual_stack), api) in rows {
        let host = format!("123456789012.dkr.ecr.{rest}");
        let registry = Registry::parse(&host).unwrap().in_form(fips, dual_stack);
        assert_eq!((registry.api_host(), registry.host()), (api, host.as_str()));
    }
    let public = Registry::parse("public.ecr.aws").unwrap();
    assert_eq!(public.in_form(true, false), public);
    let dual = public.in_form(false, true);
    assert_eq!(dual.api_host(), "ecr-public.us-east-1.api.aws");
    assert_eq!(dual.host(), "public.ecr.aws");
}
