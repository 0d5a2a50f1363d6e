//! The wire format of Docker's credential helpers (`docker-credential-helpers`).
//!
//! A helper is called with one word, reads its standard input to the end, and answers on standard
//! output. Errors are texts on standard output with exit code 1. Three of them are fixed, because
//! clients compare them letter by letter.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use zeroize::Zeroizing;

use crate::token::Token;

/// "I have nothing for this host": the client goes on without credentials.
pub const NOT_FOUND: &str = "credentials not found in native keychain";

/// There was nothing on standard input.
pub const NO_SERVER_URL: &str = "no credentials server URL";

/// `store` was given no user name.
pub const NO_USERNAME: &str = "no credentials username";

/// More input than any client sends is not read.
const LARGEST_INPUT: u64 = 1024 * 1024;

/// The words of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Answers with credentials for a server.
    Get,
    /// Takes credentials to keep.
    Store,
    /// Forgets the credentials of a server.
    Erase,
    /// Names the servers it has credentials for.
    List,
    /// Says what it is.
    Version,
}

impl Action {
    /// The action of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "get" => Self::Get,
            "store" => Self::Store,
            "erase" => Self::Erase,
            "list" => Self::List,
            "version" => Self::Version,
            _ => return None,
        })
    }
}

/// Reads a server URL: all of the input, its lines joined, without white space around it.
///
/// Bytes that are no text cannot name a server of ours; they are replaced so that they never will.
pub fn read_server_url(input: &mut dyn Read) -> Result<String, &'static str> {
    let bytes = read_all(input);
    let text = String::from_utf8_lossy(&bytes);
    let url: String = text.lines().collect();
    match url.trim() {
        "" => Err(NO_SERVER_URL),
        url => Ok(url.to_owned()),
    }
}

/// Checks the credentials that `store` is given, by the protocol's own rules, and returns the server
/// URL. The secret is not kept.
pub fn read_credentials(input: &mut dyn Read) -> Result<String, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Given {
        #[serde(rename = "ServerURL", default)]
        server_url: String,
        #[serde(default)]
        username: String,
    }
    let bytes = read_all(input);
    let given: Given = serde_json::from_slice(&bytes).map_err(|error| match error.classify() {
        // What was there instead may be the secret itself.
        Category::Data => "the credentials are no JSON object of texts".to_owned(),
        _ => format!("the credentials are not valid JSON: {error}"),
    })?;
    if given.server_url.trim().is_empty() {
        return Err(NO_SERVER_URL.to_owned());
    }
    if given.username.is_empty() {
        return Err(NO_USERNAME.to_owned());
    }
    Ok(given.server_url.trim().to_owned())
}

fn read_all(input: &mut dyn Read) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(8 * 1024));
    // An input that breaks off is taken for what came of it.
    let _ = input.take(LARGEST_INPUT).read_to_end(&mut bytes);
    bytes
}

/// Writes the answer to `get`. The server URL comes back letter by letter.
pub fn write_credentials(
    output: &mut dyn Write,
    server_url: &str,
    token: &Token,
) -> io::Result<()> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer<'a> {
        #[serde(rename = "ServerURL")]
        server_url: &'a str,
        username: &'a str,
        secret: &'a str,
    }
    let secret = token.password().expose();
    let answer = Answer {
        server_url,
        username: token.username(),
        secret,
    };
    let room = 256 + 6 * server_url.len() + 2 * secret.len();
    let mut line = Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer(&mut *line, &answer)?;
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}

/// Writes the answer to `list`: server URL to user name, `{}` when there is none.
pub fn write_list(output: &mut dyn Write, servers: &BTreeMap<String, &str>) -> io::Result<()> {
    let mut line = serde_json::to_vec(servers)?;
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::secret::Secret;

    #[test]
    fn the_server_url_is_all_of_the_input_trimmed_and_joined() {
        let read = |mut bytes: &[u8]| read_server_url(&mut bytes);
        assert_eq!(read(b"host").as_deref(), Ok("host"));
        assert_eq!(read(b"  host \r\n").as_deref(), Ok("host"));
        assert_eq!(read(b"ho\nst\n").as_deref(), Ok("host"));
        assert_eq!(read(b""), Err(NO_SERVER_URL));
        assert_eq!(read(b" \n\t"), Err(NO_SERVER_URL));
        assert!(read(&[0xff; 10]).is_ok());
    }

    #[test]
    fn store_checks_what_the_reference_checks() {
        let read = |mut text: &[u8]| read_credentials(&mut text);
        let whole = br#"{"ServerURL":"h","Username":"AWS","Secret":"s"}"#;
        assert_eq!(read(whole).as_deref(), Ok("h"));
        let no_url = br#"{"Username":"AWS","Secret":"s"}"#;
        assert_eq!(read(no_url), Err(NO_SERVER_URL.into()));
        let no_user = br#"{"ServerURL":"h","Secret":"s"}"#;
        assert_eq!(read(no_user), Err(NO_USERNAME.into()));
        assert!(read(b"hunter2").unwrap_err().contains("not valid JSON"));
        for secret in [
            &b"hunter2"[..],
            b"\"hunter2\"",
            b"{\"Username\":[\"hunter2\"]}",
        ] {
            assert!(!read(secret).unwrap_err().contains("hunter2"));
        }
    }

    #[test]
    fn the_answer_to_get_is_one_line_that_echoes_the_server() {
        let now = Timestamp::now();
        let token = Token::new(Secret::new("p\"w".into()), now, now, None);
        let mut output = Vec::new();
        write_credentials(&mut output, "https://h/v1/", &token).unwrap();
        let expected =
            "{\"ServerURL\":\"https://h/v1/\",\"Username\":\"AWS\",\"Secret\":\"p\\\"w\"}\n";
        assert_eq!(String::from_utf8(output).unwrap(), expected);
    }
}
