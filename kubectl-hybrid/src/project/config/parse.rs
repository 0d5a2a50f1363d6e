//! From text to types, with the place of what is wrong.

use std::path::Path;

use super::ConfigError;
use super::file::ConfigFile;
use super::keys::nearest;

/// Parses the text of the file at `path`.
pub(super) fn parse(path: &Path, text: &str) -> Result<ConfigFile, ConfigError> {
    let parse_error = |error: &toml::de::Error| {
        let (line, column) = error
            .span()
            .map_or((1, 1), |span| position(text, span.start));
        ConfigError::Parse {
            path: path.to_owned(),
            line,
            column,
            message: error.message().trim().replace('\n', " "),
        }
    };
    let document = toml::Deserializer::parse(text).map_err(|error| parse_error(&error))?;
    let mut unknown = None;
    let file: ConfigFile = serde_ignored::deserialize(document, |key| {
        let key = key.to_string();
        if unknown.is_none()
            && !key
                .rsplit('.')
                .next()
                .is_some_and(|last| last.starts_with("x-"))
        {
            unknown = Some(key);
        }
    })
    .map_err(|error| parse_error(&error))?;
    match unknown {
        None => Ok(file),
        Some(key) => {
            // An optional table shows as `?` on the way.
            let key = key.replace(".?", "");
            Err(ConfigError::UnknownKey {
                path: path.to_owned(),
                suggestion: nearest(&key),
                key,
            })
        }
    }
}

/// The line and column, both from 1, of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<ConfigFile, ConfigError> {
        parse(Path::new("hybrid.toml"), text)
    }

    #[test]
    fn the_example_is_understood() {
        let file = parse_text(
            "project = \"knowledge-repo\"\nworkspace = \"dev\"\n[terraform]\ndir = \"../terraform\"\n\
             [services.web]\ncontext = \"web\"\nargs = { GREETING = \"hello\" }\n\
             [workspaces.dev]\ncontexts = [\"team\"]\n",
        )
        .unwrap();
        assert_eq!(file.project.as_deref(), Some("knowledge-repo"));
        assert_eq!(file.services["web"].args["GREETING"], "hello");
        assert_eq!(file.workspaces["dev"].contexts, ["team"]);
    }

    #[test]
    fn broken_values_name_line_and_column() {
        for (text, place) in [
            ("project = \"x\"\nworkspace = dev\n", "hybrid.toml:2:13: "),
            ("[services.web]\ncontext = 3\n", "hybrid.toml:2:11: "),
            ("[build]\njobs = 0\n", "hybrid.toml:2:8: "),
            ("[deploy]\ntimeout = \"soon\"\n", "hybrid.toml:2:11: "),
            ("[deploy]\nstrategy = \"yolo\"\n", "hybrid.toml:2:12: "),
        ] {
            let error = parse_text(text).unwrap_err();
            assert!(error.to_string().starts_with(place), "{error}");
        }
    }

    #[test]
    fn an_unknown_key_gets_a_suggestion() {
        for (text, said) in [
            (
                "[services.web]\ncontxt = \"web\"\n",
                "`services.web.contxt`; did you mean `context`?",
            ),
            (
                "[workspaces.dev.services.web]\ncach_from = []\n",
                "`workspaces.dev.services.web.cach_from`; did you mean `cache_from`?",
            ),
            (
                "[terraform.backend]\nbucket = \"b\"\nkey = \"k\"\nregoin = \"r\"\n",
                "`terraform.backend.regoin`; did you mean `region`?",
            ),
            ("servces = 1\n", "`servces`; did you mean `services`?"),
            ("colour = 1\n", "`colour`"),
        ] {
            let error = parse_text(text).unwrap_err().to_string();
            assert_eq!(error, format!("hybrid.toml: unknown key {said}"));
        }
    }

    #[test]
    fn a_key_of_the_users_own_is_left_alone() {
        assert!(parse_text("x-owner = \"team\"\n[services.web]\nx-note = 1\n").is_ok());
    }
}
