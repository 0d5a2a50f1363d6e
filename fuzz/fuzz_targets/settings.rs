//! Any text as the settings file.

#![no_main]

use std::path::PathBuf;

use ecr_hybrid::environment::Environment;
use ecr_hybrid::host::Registry;
use ecr_hybrid::settings::{HostPattern, Settings, SettingsError};
use hybrid_fuzz::HOST;
use libfuzzer_sys::fuzz_target;
use regex::Regex;

/// The same pattern as a regular expression.
fn fits(pattern: &str, host: &str) -> bool {
    let escaped = regex::escape(pattern).replace("\\*", "[^.]*");
    pattern == "*" || Regex::new(&format!("^{escaped}$")).unwrap().is_match(host)
}

fuzz_target!(|text: &str| {
    let hosts = [
        HOST,
        "public.ecr.aws",
        "123123123123.dkr-ecr-fips.us-gov-east-1.on.aws",
    ];
    if let Ok(pattern) = HostPattern::try_from(text.to_owned())
        && text.len() < 200
    {
        for host in hosts {
            assert_eq!(pattern.fits(host), fits(text, host), "{text} {host}");
        }
    }
    match Settings::parse(PathBuf::from("s.toml"), text) {
        Ok(settings) => {
            for host in hosts {
                let registry = Registry::parse(host).unwrap();
                if let Some(rule) = settings.rule(&registry)
                    && rule.host.as_str().len() < 200
                {
                    assert!(fits(rule.host.as_str(), host));
                }
            }
            assert!(settings.store(&Environment::given([])).is_ok());
        }
        Err(error) => {
            let SettingsError::Invalid { line, .. } = &error else {
                panic!("{error}");
            };
            assert!(
                (1..=text.matches('\n').count() + 1).contains(line),
                "{error}"
            );
        }
    }
});
