//! Any text as a host: no panic, and a token for nobody but AWS.

#![no_main]

use ecr_hybrid::host::{Registry, is_account};
use libfuzzer_sys::fuzz_target;

/// The domains of AWS under which registries are.
const OWNED: [&str; 12] = [
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".amazonaws.eu",
    ".c2s.ic.gov",
    ".sc2s.sgov.gov",
    ".cloud.adc-e.uk",
    ".csp.hci.ic.gov",
    ".on.aws",
    ".on.amazonwebservices.com.cn",
    ".on.amazonwebservices.eu",
    "public.ecr.aws",
    "ecr-public.aws.com",
];

fuzz_target!(|text: &str| {
    let Some(registry) = Registry::parse(text) else {
        return;
    };
    let host = registry.host();
    assert!(OWNED.iter().any(|suffix| host.ends_with(suffix)));
    assert_eq!(registry.account().is_some_and(is_account), !registry.is_public());
    // What a client connects to is what was read: nothing but a scheme is before it, and a port or
    // a path behind it.
    let behind = ["https://", "http://", ""]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme)?.strip_prefix(host));
    assert!(behind.is_some_and(|behind| behind.is_empty() || behind.starts_with([':', '/'])));
    assert_eq!(Registry::parse(host).as_ref(), Some(&registry));
});
