//! Any text as a host: read as the grammar says, and a token for nobody but AWS.

#![no_main]

use ecr_hybrid::host::Registry;
use hybrid_fuzz::grammar;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let registry = Registry::parse(text);
    let said = grammar::read(text);
    let ours = registry.as_ref().map(|registry| grammar::Said {
        host: registry.host(),
        private: registry
            .account()
            .map(|account| (account, registry.region(), registry.fips())),
    });
    assert_eq!(ours, said, "{text:?}");
    let Some(registry) = registry else { return };
    // What is printed is read again as the same.
    assert_eq!(
        Registry::parse(&registry.to_string()).as_ref(),
        Some(&registry)
    );
    assert_eq!(
        registry.is_public(),
        registry.in_region(registry.region()).is_none()
    );
    // What a client connects to is what was read: nothing but a scheme is before it.
    let behind = ["https://", "http://", ""]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme)?.strip_prefix(registry.host()));
    assert!(behind.is_some_and(|behind| behind.is_empty() || behind.starts_with([':', '/'])));
});
