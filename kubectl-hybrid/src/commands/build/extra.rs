//! Flags for the builder behind `--`. The tag of an image says what it was made of, and flags that
//! change what comes out are not part of it.

use crate::error::CommandError;
use crate::exit::Exit;

/// Flags of `docker buildx build` that change how it is built, and not what. A base image and what a
/// step downloads are not part of a tag either, so building anew is no other image.
const SWITCHES: [&str; 5] = ["--load", "--no-cache", "--pull", "--quiet", "-q"];

/// The same, with a value.
const WITH_VALUE: [&str; 8] = [
    "--builder",
    "--cache-from",
    "--cache-to",
    "--metadata-file",
    "--no-cache-filter",
    "--progress",
    "--secret",
    "--ssh",
];

/// Refuses to push what these flags make. Everybody on the same sources would get it from the
/// registry.
pub(super) fn check_pushed(flags: &[String]) -> Result<(), CommandError> {
    let Some(flag) = changing(flags) else {
        return Ok(());
    };
    Err(CommandError::new(
        Exit::Usage,
        format!(
            "`{flag}` may change the image, and the tag that is pushed does not tell: whoever has \
             the same sources would get this image instead of theirs"
        ),
    )
    .hint(
        "write build arguments, target and platform into hybrid.toml, where they are part of the tag",
    )
    .hint("or leave --push away"))
}

/// The first flag that may change what comes out.
fn changing(flags: &[String]) -> Option<&str> {
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        let (name, value) = flag
            .split_once('=')
            .map_or((flag.as_str(), None), |(name, value)| (name, Some(value)));
        if WITH_VALUE.contains(&name) {
            if value.is_none() {
                flags.next();
            }
        } else if !SWITCHES.contains(&name) {
            return Some(name);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_flags_that_leave_the_image_as_it_is_may_be_pushed() {
        let table = [
            ("", None),
            ("--no-cache --pull --quiet", None),
            ("--progress plain --no-cache=true -q", None),
            ("--progress=plain", None),
            ("--cache-from type=local,src=cache", None),
            ("--build-arg VERSION=2", Some("--build-arg")),
            ("--build-arg=VERSION=2", Some("--build-arg")),
            ("--no-cache --target debug", Some("--target")),
            ("--progress plain --label a=b", Some("--label")),
            ("--platform=linux/arm64", Some("--platform")),
            ("--no-such-flag", Some("--no-such-flag")),
            ("elsewhere", Some("elsewhere")),
        ];
        for (text, expected) in table {
            let flags: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            assert_eq!(changing(&flags), expected, "{text}");
            match (check_pushed(&flags), expected) {
                (Ok(()), None) => {}
                (Err(error), Some(flag)) => {
                    assert_eq!(error.exit(), Exit::Usage);
                    assert!(
                        error.to_string().starts_with(&format!("`{flag}` ")),
                        "{error}"
                    );
                    // A value may be a secret.
                    assert!(!error.to_string().contains("VERSION"), "{error}");
                }
                (checked, expected) => unreachable!("{checked:?} instead of {expected:?}"),
            }
        }
    }
}
