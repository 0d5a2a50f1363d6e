//! Any text as the AWS files: whatever they lead to, there is an identity or a sentence.

#![no_main]

use ecr_hybrid::aws_files::AwsFiles;
use ecr_hybrid::environment::Environment;
use ecr_hybrid::identity::Identity;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (config, credentials) = text.split_once('\u{0}').unwrap_or((text, ""));
    let files = AwsFiles::parse(config, credentials);
    let environment = Environment::given([]);
    for (name, _) in files.profiles() {
        match Identity::of_profile(&environment, &files, name) {
            Ok(identity) => {
                assert_eq!(identity.profile(), Some(name));
                let again = Identity::of_profile(&environment, &files, name).unwrap();
                assert_eq!(again.to_string(), identity.to_string());
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    let _ = Identity::resolve_with(&environment, &files).map(|identity| identity.to_string());
});
