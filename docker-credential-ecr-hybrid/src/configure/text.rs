//! What changes in the text of a file, and what is told about it.

use std::fmt;

use super::server::{Server, authority};
use crate::json_text::{JsonError, Node, parse, remove, set};

/// What the files call the helper: `docker-credential-` is left out.
pub const HELPER: &str = "ecr-hybrid";

const HELPERS: &str = "credHelpers";
const LOGINS: &str = "auths";

/// One thing that was done, or found done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The helper answers from now on.
    Routed {
        /// The registry.
        server: String,
        /// The helper that answered until now.
        before: Option<String>,
    },
    /// The helper answers already.
    WasRouted {
        /// The registry.
        server: String,
    },
    /// A login that stood in the file itself is gone.
    LoginRemoved {
        /// The key it stood under.
        key: String,
    },
    /// The helper answers no more.
    Unrouted {
        /// The registry.
        server: String,
    },
    /// The helper was not the one that answers.
    WasNotRouted {
        /// The registry.
        server: String,
        /// The helper that does answer.
        helper: Option<String>,
    },
}

impl Note {
    /// Whether the text is another one because of it.
    pub fn is_change(&self) -> bool {
        !matches!(self, Self::WasRouted { .. } | Self::WasNotRouted { .. })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Routed { server, before } => {
                write!(f, "{server} is answered by {HELPER}")?;
                match before {
                    Some(before) => write!(f, ", until now by {before}."),
                    None => f.write_str("."),
                }
            }
            Self::WasRouted { server } => write!(f, "{server} was answered by {HELPER} already."),
            Self::LoginRemoved { key } => write!(f, "The login kept for {key} is removed."),
            Self::Unrouted { server } => write!(f, "{server} is answered by {HELPER} no more."),
            Self::WasNotRouted { server, helper } => match helper {
                Some(helper) => write!(f, "{server} is answered by {helper}, which stays."),
                None => write!(f, "{server} was not answered by {HELPER}."),
            },
        }
    }
}

/// Why a text was not changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TextError {
    Json(JsonError),
    Shape(&'static str),
}

impl From<JsonError> for TextError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

/// A new text with what was done.
type Edited = Result<(String, Vec<Note>), TextError>;

/// Routes registries to the helper and takes out logins that stand in the file for them.
pub(super) fn route(text: &str, servers: &[Server]) -> Edited {
    let mut text = text.to_owned();
    let mut notes = Vec::new();
    for server in servers {
        let server = server.as_str();
        let before = helper_of(&text, server)?;
        if before.as_deref() == Some(HELPER) {
            notes.push(Note::WasRouted {
                server: server.to_owned(),
            });
            continue;
        }
        let root = parse(&text)?;
        text = set(&text, HELPERS, server, HELPER)?.ok_or(TextError::Shape(
            if root.get(HELPERS).is_some() {
                "`credHelpers`"
            } else {
                "The whole"
            },
        ))?;
        notes.push(Note::Routed {
            server: server.to_owned(),
            before: before.filter(|before| !before.is_empty()),
        });
    }
    let (text, removed) = without_logins(&text, servers)?;
    notes.extend(removed);
    Ok((text, notes))
}

/// Takes out what [`route`] put in, for these registries or for all.
pub(super) fn unroute(text: &str, servers: &[Server]) -> Edited {
    let of_ours = || -> Result<Vec<String>, TextError> {
        let root = parse(text)?;
        let helpers = root.get(HELPERS).into_iter().flat_map(Node::members);
        Ok(helpers
            .filter(|member| member.value.text() == Some(HELPER))
            .map(|member| member.key.clone())
            .collect())
    };
    let servers: Vec<String> = if servers.is_empty() {
        of_ours()?
    } else {
        servers
            .iter()
            .map(|server| server.as_str().to_owned())
            .collect()
    };
    let mut text = text.to_owned();
    let mut notes = Vec::new();
    for server in servers {
        let helper = helper_of(&text, &server)?;
        if helper.as_deref() != Some(HELPER) {
            notes.push(Note::WasNotRouted { server, helper });
            continue;
        }
        text = remove(&text, HELPERS, &server, true)?;
        notes.push(Note::Unrouted { server });
    }
    Ok((text, notes))
}

/// Takes out logins that stand in the file for these registries, an empty one that `docker login`
/// leaves behind included.
pub(super) fn without_logins(text: &str, servers: &[Server]) -> Edited {
    let root = parse(text)?;
    let logins = root.get(LOGINS).into_iter().flat_map(Node::members);
    let mut keys: Vec<String> = logins
        .map(|member| member.key.clone())
        .filter(|key| {
            servers
                .iter()
                .any(|server| server.as_str() == authority(key))
        })
        .collect();
    keys.dedup();
    let mut text = text.to_owned();
    for key in &keys {
        text = remove(&text, LOGINS, key, false)?;
    }
    let notes = keys.into_iter().map(|key| Note::LoginRemoved { key });
    Ok((text, notes.collect()))
}

fn helper_of(text: &str, server: &str) -> Result<Option<String>, TextError> {
    let root = parse(text)?;
    let helper = root
        .get(HELPERS)
        .and_then(|helpers| helpers.get(server)?.text());
    Ok(helper.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";

    fn servers() -> Vec<Server> {
        vec![HOST.parse().unwrap()]
    }

    #[test]
    fn a_person_s_file_changes_in_two_places_and_nowhere_else() {
        let before = format!(
            "{{\n    \"auths\": {{\n        \"docker.io\": {{}},\n        \"https://{HOST}\": {{ \"auth\": \"c2VjcmV0\" }},\n        \"{HOST}.example.com\": {{}}\n    }},\n    \"credsStore\": \"desktop\",\n    \"currentContext\": \"desktop-linux\",\n    \"x-own\": [1,2 , 3]\n}}\n"
        );
        let after = format!(
            "{{\n    \"auths\": {{\n        \"docker.io\": {{}},\n        \"{HOST}.example.com\": {{}}\n    }},\n    \"credsStore\": \"desktop\",\n    \"currentContext\": \"desktop-linux\",\n    \"x-own\": [1,2 , 3],\n    \"credHelpers\": {{\n        \"{HOST}\": \"ecr-hybrid\"\n    }}\n}}\n"
        );
        let (text, notes) = route(&before, &servers()).unwrap();
        assert_eq!(text, after);
        let key = format!("https://{HOST}");
        assert_eq!(notes[1], Note::LoginRemoved { key });
        let (again, notes) = route(&text, &servers()).unwrap();
        assert_eq!(again, after);
        assert!(notes.iter().all(|note| !note.is_change()));
    }

    #[test]
    fn a_helper_that_answered_before_is_named_and_one_of_others_stays() {
        let text = format!("{{\"credHelpers\":{{\"{HOST}\":\"ecr-login\"}}}}");
        let (routed, notes) = route(&text, &servers()).unwrap();
        assert_eq!(
            notes[0].to_string(),
            format!("{HOST} is answered by ecr-hybrid, until now by ecr-login.")
        );
        assert!(routed.contains("ecr-hybrid"));
        let (kept, notes) = unroute(&text, &servers()).unwrap();
        assert_eq!(kept, text);
        assert!(!notes[0].is_change(), "{}", notes[0]);
    }

    #[test]
    fn without_names_every_entry_of_ours_is_taken_out() {
        let text = "{\"credHelpers\":{\"a\":\"ecr-hybrid\",\"b\":\"gcr\",\"c\":\"ecr-hybrid\"}}";
        let (text, notes) = unroute(text, &[]).unwrap();
        assert_eq!(text, "{\"credHelpers\":{\"b\":\"gcr\"}}");
        assert_eq!(notes.len(), 2);
        assert_eq!(unroute("{}", &[]).unwrap(), ("{}".to_owned(), vec![]));
    }

    #[test]
    fn another_shape_is_named() {
        assert_eq!(
            route("{\"credHelpers\":[]}", &servers()),
            Err(TextError::Shape("`credHelpers`"))
        );
        assert_eq!(route("[]", &servers()), Err(TextError::Shape("The whole")));
        assert!(matches!(route("{", &servers()), Err(TextError::Json(_))));
    }
}
