//! The book of issued tokens: who got which, for where, until when. It holds no token, only what
//! each is recognised by.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::FrontError;
use super::file;
use super::lock;
use super::token::Password;

/// How long ECR's tokens live.
pub(super) const TWELVE_HOURS: Duration = Duration::from_hours(12);

/// Entries that are kept; the oldest expired ones go first, many at once.
const KEPT: usize = 1_000;
const SURPLUS: usize = 200;

/// Who asked for a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Caller {
    /// The principal's ARN.
    pub(super) principal: String,
    /// The principal's account.
    pub(super) account: String,
    /// The access key id that signed.
    pub(super) access_key: String,
}

/// One issued token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Issued {
    /// SHA-256 of the password.
    pub(super) id: String,
    /// Who it was issued to.
    #[serde(flatten)]
    pub(super) caller: Caller,
    /// The region whose registries take it.
    pub(super) region: String,
    /// `ecr` or `ecr-public`.
    pub(super) service: String,
    /// When it was issued.
    #[serde(rename = "issued")]
    pub(super) since: Timestamp,
    /// When it stops working.
    pub(super) expires: Timestamp,
    /// How often it was shown to a registry since the front was started.
    #[serde(default, skip_deserializing)]
    pub(super) uses: u64,
    /// When it was shown last.
    #[serde(default)]
    pub(super) last_used: Option<Timestamp>,
}

impl Issued {
    /// Whether it still works.
    pub(super) fn is_alive(&self) -> bool {
        Timestamp::now() < self.expires
    }
}

/// What the file says: one line with everything, and then a line for each token that was issued
/// since. To write all of it for each token would be most of the time that a token takes.
#[derive(Debug, Serialize, Deserialize)]
struct Book {
    life_seconds: f64,
    tokens: Vec<Issued>,
    /// Whether the file holds all of this, in whole lines.
    #[serde(skip)]
    is_kept: bool,
    /// How many make it worth to look for some to drop: the living all stay.
    #[serde(skip)]
    prune_at: usize,
}

impl Book {
    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut book: Self = serde_json::from_str(lines.next()?).ok()?;
        book.is_kept = text.ends_with('\n');
        for line in lines {
            match serde_json::from_str(line) {
                Ok(token) => book.tokens.push(token),
                // The front was killed while it wrote: nobody has got that token.
                Err(_) => book.is_kept = false,
            }
        }
        Some(book)
    }

    /// Drops the oldest expired tokens, when there are many too many.
    fn prune(&mut self) {
        if self.tokens.len() < self.prune_at.max(KEPT + SURPLUS) {
            return;
        }
        let before = self.tokens.len();
        let mut surplus = before - KEPT;
        self.tokens.retain(|token| {
            let stays = surplus == 0 || token.is_alive();
            surplus -= usize::from(!stays);
            stays
        });
        self.prune_at = self.tokens.len() + SURPLUS;
        self.is_kept &= self.tokens.len() == before;
    }
}

/// The issued tokens, and the file that keeps them over a restart.
#[derive(Debug)]
pub(super) struct Tokens {
    path: PathBuf,
    book: Mutex<Book>,
}

impl Tokens {
    /// Opens the book; a missing or broken file is an empty one.
    pub(super) fn open(path: PathBuf) -> Self {
        let book = std::fs::read_to_string(&path)
            .ok()
            .and_then(|text| Book::read(&text))
            .unwrap_or_else(|| Book {
                life_seconds: TWELVE_HOURS.as_secs_f64(),
                tokens: Vec::new(),
                is_kept: false,
                prune_at: 0,
            });
        Self {
            path,
            book: Mutex::new(book),
        }
    }

    /// Issues a token and remembers it before it is handed out.
    pub(super) fn issue(
        &self,
        caller: Caller,
        region: &str,
        service: &str,
    ) -> Result<(Password, Timestamp), FrontError> {
        let mut book = lock(&self.book);
        let since = Timestamp::now();
        let expires = since
            .checked_add(
                SignedDuration::try_from_secs_f64(book.life_seconds)
                    .unwrap_or(SignedDuration::ZERO),
            )
            .unwrap_or(Timestamp::MAX);
        let password = Password::random(expires);
        let token = Issued {
            id: password.fingerprint(),
            caller,
            region: region.to_owned(),
            service: service.to_owned(),
            since,
            expires,
            uses: 0,
            last_used: None,
        };
        let line = serde_json::to_vec(&token).unwrap_or_default();
        book.tokens.push(token);
        book.prune();
        if book.is_kept {
            self.append(&mut book, line)?;
        } else {
            self.save(&mut book)?;
        }
        Ok((password, expires))
    }

    /// The entry of a password, if it was issued here.
    pub(super) fn find(&self, password: &Password) -> Option<Issued> {
        let id = password.fingerprint();
        lock(&self.book)
            .tokens
            .iter()
            .find(|token| token.id == id)
            .cloned()
    }

    /// The same, and notes that it was used.
    pub(super) fn recognise(&self, password: &Password) -> Option<Issued> {
        let id = password.fingerprint();
        let mut book = lock(&self.book);
        let token = book.tokens.iter_mut().find(|token| token.id == id)?;
        token.uses += 1;
        token.last_used = Some(Timestamp::now());
        Some(token.clone())
    }

    /// Every entry, oldest first.
    pub(super) fn list(&self) -> Vec<Issued> {
        lock(&self.book).tokens.clone()
    }

    /// How long a token lives that is issued now.
    pub(super) fn life(&self) -> Duration {
        Duration::try_from_secs_f64(lock(&self.book).life_seconds).unwrap_or(TWELVE_HOURS)
    }

    /// Changes how long tokens live that are issued from now on.
    pub(super) fn set_life(&self, life: Duration) -> Result<(), FrontError> {
        let mut book = lock(&self.book);
        book.life_seconds = life.as_secs_f64();
        self.save(&mut book)
    }

    /// Ends every token that is alive; returns how many there were. What a token says of itself
    /// does not change.
    pub(super) fn expire(&self) -> Result<usize, FrontError> {
        let mut book = lock(&self.book);
        let now = Timestamp::now();
        let mut ended = 0;
        for token in book.tokens.iter_mut().filter(|token| now < token.expires) {
            token.expires = now;
            ended += 1;
        }
        self.save(&mut book)?;
        Ok(ended)
    }

    fn append(&self, book: &mut Book, mut line: Vec<u8>) -> Result<(), FrontError> {
        line.push(b'\n');
        // Until it is known that all of the line is there.
        book.is_kept = false;
        file::open_to_append(&self.path)
            .and_then(|mut file| file.write_all(&line))
            .map_err(|source| self.unwritten(source))?;
        book.is_kept = true;
        Ok(())
    }

    fn save(&self, book: &mut Book) -> Result<(), FrontError> {
        let mut bytes = serde_json::to_vec(book).unwrap_or_default();
        bytes.push(b'\n');
        file::replace(&self.path, &bytes).map_err(|source| self.unwritten(source))?;
        book.is_kept = true;
        Ok(())
    }

    fn unwritten(&self, source: io::Error) -> FrontError {
        FrontError::Write {
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Caller {
        Caller {
            principal: "arn:aws:sts::123456789012:user/moto".to_owned(),
            account: "123456789012".to_owned(),
            access_key: "AKIDTEST".to_owned(),
        }
    }

    #[test]
    fn a_token_is_remembered_over_a_restart_with_its_principal_and_no_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens.json");
        let tokens = Tokens::open(path.clone());
        let (password, expires) = tokens
            .issue(caller(), "eu-central-1", "ecr")
            .expect("a token");
        let again = Tokens::open(path.clone());
        let entry = again.recognise(&password).expect("an entry");
        assert_eq!(entry.caller, caller());
        assert_eq!(entry.expires, expires);
        assert!(entry.is_alive());
        assert_eq!(again.recognise(&password).map(|entry| entry.uses), Some(2));
        let text = std::fs::read_to_string(&path).expect("a file");
        assert!(!text.contains(&password.authorization_token()));
        assert!(again.find(&Password::random(expires)).is_none());
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens.json");
        Tokens::open(path.clone())
            .issue(caller(), "eu-central-1", "ecr")
            .expect("a token");
        let mode = std::fs::metadata(&path)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn tokens_expire_by_their_life_and_on_demand() {
        let folder = tempfile::tempdir().expect("a folder");
        let tokens = Tokens::open(folder.path().join("tokens.json"));
        assert_eq!(tokens.life(), TWELVE_HOURS);
        let (long, _) = tokens
            .issue(caller(), "eu-central-1", "ecr")
            .expect("a token");
        tokens.set_life(Duration::ZERO).expect("a life");
        let (short, _) = tokens
            .issue(caller(), "eu-central-1", "ecr")
            .expect("a token");
        let alive = |password| tokens.find(password).is_some_and(|entry| entry.is_alive());
        assert!(alive(&long));
        assert!(!alive(&short));
        assert_eq!(tokens.expire().expect("expired"), 1);
        assert!(!alive(&long));
        assert_eq!(tokens.expire().expect("expired"), 0);
    }

    #[test]
    fn a_line_that_was_not_finished_is_left_out_and_spoils_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens.json");
        let issue = |tokens: &Tokens| {
            let issued = tokens.issue(caller(), "eu-central-1", "ecr");
            issued.expect("a token").0
        };
        let tokens = Tokens::open(path.clone());
        let passwords = [issue(&tokens), issue(&tokens)];
        let whole = std::fs::read_to_string(&path).expect("a file");
        assert_eq!(whole.lines().count(), 2);
        std::fs::write(&path, format!("{whole}{{\"id\":\"12")).expect("a file");

        let again = Tokens::open(path.clone());
        let last = issue(&again);
        let once_more = Tokens::open(path);
        assert_eq!(once_more.list().len(), 3);
        for password in passwords.iter().chain([&last]) {
            assert!(once_more.find(password).is_some());
        }
    }

    #[test]
    fn of_the_living_each_costs_one_line_however_many_they_are() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens.json");
        let tokens = Tokens::open(path.clone());
        let many = KEPT + 2 * SURPLUS;
        for _ in 0..many {
            let issued = tokens.issue(caller(), "eu-central-1", "ecr");
            issued.expect("a token");
        }
        let lines = std::fs::read_to_string(&path).expect("a file");
        assert_eq!(lines.lines().count(), many);
        assert_eq!(Tokens::open(path).list().len(), many);
    }

    #[test]
    fn of_very_many_only_the_living_and_the_youngest_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens.json");
        let tokens = Tokens::open(path.clone());
        let issue = || {
            tokens
                .issue(caller(), "eu-central-1", "ecr")
                .expect("one")
                .0
        };
        let alive = issue();
        tokens.set_life(Duration::ZERO).expect("a life");
        for _ in 0..KEPT + SURPLUS - 1 {
            issue();
        }
        assert_eq!(tokens.list().len(), KEPT);
        assert!(tokens.find(&alive).is_some());
        assert_eq!(Tokens::open(path).list().len(), KEPT);
    }

    #[test]
    fn a_broken_file_is_an_empty_book() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens.json");
        std::fs::write(&path, "{\"life_").expect("a file");
        assert!(Tokens::open(path).list().is_empty());
    }
}
