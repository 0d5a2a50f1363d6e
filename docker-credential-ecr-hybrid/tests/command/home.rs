//! A private home for one test, and the binary run in it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ecr_hybrid::cache::TokenSource;
use ecr_hybrid::envelope::Envelope;
use ecr_hybrid::environment::Environment;
use ecr_hybrid::host::Registry;
use ecr_hybrid::secret::Secret;
use ecr_hybrid::store::{FileStore, Store as _};
use ecr_hybrid::token::Token;
use jiff::{SignedDuration, Timestamp};

use crate::api::Api;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_docker-credential-ecr-hybrid");

/// Copies the helper. Done by another process where there is fork: a child of another test that is
/// just being started could hold the file that this one writes, and it would be busy.
pub(crate) fn copy_binary(to: &Path) {
    if cfg!(unix) {
        let status = Command::new("cp").arg(BINARY).arg(to).status().unwrap();
        assert!(status.success());
    } else {
        std::fs::copy(BINARY, to).unwrap();
    }
}

/// A home folder with nothing in it, and an environment with nothing of this machine's.
pub(crate) struct Home {
    folder: tempfile::TempDir,
    variables: BTreeMap<String, String>,
}

/// What a run came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// The password of an answer to `get`, which came without a word on standard error.
    pub(crate) fn password(&self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert_eq!(self.stderr, "");
        let answer: serde_json::Value = serde_json::from_str(&self.stdout).unwrap();
        assert_eq!(answer["Username"], "AWS");
        answer["Secret"].as_str().unwrap().to_owned()
    }
}

impl Home {
    /// A home whose keys and endpoint are those of an API, with tokens kept in files.
    pub(crate) fn of(api: &Api) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap().to_owned();
        let mut variables = vec![
            ("HOME", home.as_str()),
            ("AWS_ENDPOINT_URL", api.url()),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "not-a-secret"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("HYBRID_STORE", "file"),
        ];
        let (local, roaming) = (format!(r"{home}\local"), format!(r"{home}\roaming"));
        if cfg!(windows) {
            variables.extend([
                ("USERPROFILE", home.as_str()),
                ("LOCALAPPDATA", &local),
                ("APPDATA", &roaming),
            ]);
        }
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let variables = variables.into_iter().map(owned).collect();
        Self { folder, variables }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    /// Takes away all that leads to a person's folders.
    pub(crate) fn without_folders(self) -> Self {
        ["HOME", "USERPROFILE", "LOCALAPPDATA", "APPDATA"]
            .into_iter()
            .fold(self, Self::without)
    }

    /// Puts an SSO profile in the place of the keys. Nobody has logged in to it.
    pub(crate) fn with_sso(self) -> Self {
        let home = self.without("AWS_ACCESS_KEY_ID").with("AWS_PROFILE", "dev");
        home.write(
            ".aws/config",
            "[profile dev]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = Admin\n\
             [sso-session corp]\nsso_start_url = https://corp.invalid/start\nsso_region = eu-west-1\n",
        );
        home
    }

    /// Logs in to the SSO session, as `aws sso login` writes it down. The login ends after a time,
    /// negative for one that is over.
    pub(crate) fn login(&self, access_token: &str, life: SignedDuration) {
        // The SHA-1 of the session's name, `corp`.
        let file = ".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
        let ends = (Timestamp::now() + life).strftime("%Y-%m-%dT%H:%M:%SZ");
        let registration_ends = Timestamp::now() + SignedDuration::from_hours(24 * 60);
        let text = serde_json::json!({
            "startUrl": "https://corp.invalid/start", "region": "eu-west-1",
            "accessToken": access_token, "expiresAt": ends.to_string(),
            "clientId": "c", "clientSecret": "s", "refreshToken": "r",
            "registrationExpiresAt": registration_ends.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        });
        self.write(file, &text.to_string());
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: impl AsRef<Path>, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes the settings file where it is looked for.
    pub(crate) fn write_settings(&self, text: &str) {
        let path = self.environment().settings_file().unwrap();
        self.write(path.strip_prefix(self.path()).unwrap(), text);
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn cache_folder(&self) -> PathBuf {
        self.environment().cache_folder().unwrap()
    }

    fn environment(&self) -> Environment {
        let pairs = self.variables.iter();
        Environment::given(pairs.map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// Keeps a token, as an earlier run would have, and says in which file.
    pub(crate) fn keep(
        &self,
        host: &str,
        password: &str,
        issued: SignedDuration,
        expires: SignedDuration,
    ) -> PathBuf {
        self.keep_as(None, host, password, issued, expires)
    }

    /// Keeps a token that was minted in an account.
    pub(crate) fn keep_of(
        &self,
        account: &str,
        host: &str,
        password: &str,
        issued: SignedDuration,
        expires: SignedDuration,
    ) -> PathBuf {
        self.keep_as(Some(account), host, password, issued, expires)
    }

    fn keep_as(
        &self,
        account: Option<&str>,
        host: &str,
        password: &str,
        issued: SignedDuration,
        expires: SignedDuration,
    ) -> PathBuf {
        let now = Timestamp::now();
        let registry = Registry::parse(host).unwrap();
        let key = TokenSource::new(self.environment())
            .plan(&registry)
            .unwrap()
            .key;
        let password = Secret::new(password.to_owned());
        let envelope = Envelope {
            token: Token::new(
                password,
                now + issued,
                now + expires,
                account.map(str::to_owned),
            ),
            hosts: vec![host.to_owned()],
            identity: "a test".to_owned(),
        };
        let folder = self.environment().cache_folder().unwrap();
        let path = folder.join(format!("{}.json", key.as_str()));
        let life = Duration::from_hours(12);
        FileStore::new(folder)
            .save(&key, &envelope.to_bytes(&key), life)
            .unwrap();
        path
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(words)
            .env_clear()
            .envs(&self.variables)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Windows programs do not start without it.
        if let Some(root) = std::env::var_os("SystemRoot") {
            command.env("SystemRoot", root);
        }
        command
    }

    pub(crate) fn spawn(&self, words: &[&str], input: &[u8]) -> Child {
        let mut child = self.command(words).spawn().unwrap();
        // A helper that has its answer early may close its end first.
        let _ = child.stdin.take().unwrap().write_all(input);
        child
    }

    pub(crate) fn run_bytes(&self, words: &[&str], input: &[u8]) -> Outcome {
        outcome(self.spawn(words, input))
    }

    pub(crate) fn run(&self, words: &[&str], input: &str) -> Outcome {
        self.run_bytes(words, input.as_bytes())
    }

    pub(crate) fn get(&self, host: &str) -> Outcome {
        self.run(&["get"], host)
    }

    /// Every file below the home, read whole.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        fn walk(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else if path.is_file() {
                    // A socket, such as the keyring's, holds nothing.
                    let bytes = std::fs::read(&path).unwrap();
                    found.push((path, bytes));
                }
            }
        }
        let mut found = Vec::new();
        walk(self.path(), &mut found);
        found
    }

    /// The files that hold a text.
    pub(crate) fn files_with(&self, text: &str) -> Vec<OsString> {
        let holds = |bytes: &[u8]| {
            bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes())
        };
        self.files()
            .into_iter()
            .filter(|(_, bytes)| holds(bytes))
            .filter_map(|(path, _)| Some(path.extension()?.to_owned()))
            .collect()
    }
}

pub(crate) fn outcome(child: Child) -> Outcome {
    let output = child.wait_with_output().unwrap();
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
