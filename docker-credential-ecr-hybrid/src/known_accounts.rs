//! Which account an identity turned out to act in, where no file declares it: keys, a process.
//!
//! A minted token says whose it is. That is remembered, so that the next registry of that account
//! finds its profile without a call. One line for each identity, by the hash of what it is; neither
//! the names nor the accounts are secret.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::host::is_account;
use crate::identity::Identity;
use crate::key::Key;
use crate::private_files::{private, private_folder};

/// The name of the file in the cache folder.
const NAME: &str = "accounts";

/// The most identities that are remembered, the latest first.
const MOST: usize = 256;

/// A file longer than this is not ours.
const LARGEST: u64 = 64 * 1024;

/// What is remembered.
#[derive(Debug, Default, Clone)]
pub(crate) struct KnownAccounts {
    accounts: Vec<(Key, String)>,
}

impl KnownAccounts {
    /// Reads what is remembered in a cache folder. What makes no sense is passed over.
    pub(crate) fn read(folder: Option<&Path>) -> Self {
        let text = folder.map(|folder| folder.join(NAME)).and_then(|path| {
            let is_ours = fs::metadata(&path).ok()?.len() <= LARGEST;
            is_ours.then(|| fs::read_to_string(&path).ok())?
        });
        Self::parse(&text.unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let entry = |line: &str| {
            let (key, account) = line.split_once(' ')?;
            let key = Key::from_text(key)?;
            is_account(account).then(|| (key, account.to_owned()))
        };
        Self {
            accounts: text.lines().filter_map(entry).take(MOST).collect(),
        }
    }

    /// The account of an identity, if a token of it was minted before.
    pub(crate) fn of(&self, identity: &Identity) -> Option<&str> {
        let key = key(identity);
        let found = self.accounts.iter().find(|(known, _)| *known == key);
        found.map(|(_, account)| account.as_str())
    }

    /// Remembers the account of an identity. Where nothing can be written, nothing is.
    pub(crate) fn remember(folder: &Path, identity: &Identity, account: &str) {
        let mut known = Self::read(Some(folder));
        if known.of(identity) == Some(account) || !is_account(account) {
            return;
        }
        let key = key(identity);
        known.accounts.retain(|(other, _)| *other != key);
        known.accounts.insert(0, (key, account.to_owned()));
        known.accounts.truncate(MOST);
        let _ = known.write(folder);
    }

    fn write(&self, folder: &Path) -> std::io::Result<()> {
        private_folder(folder)?;
        let mut text = String::new();
        for (key, account) in &self.accounts {
            text.extend([key.as_str(), " ", account, "\n"]);
        }
        let beside: PathBuf = folder.join(format!("{NAME}.{}.part", std::process::id()));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        private(&mut options);
        let written = options
            .open(&beside)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| fs::rename(&beside, folder.join(NAME)));
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written
    }
}

fn key(identity: &Identity) -> Key {
    let mut parts = vec!["account"];
    parts.extend(identity.parts());
    Key::of_parts(&parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;

    fn identity(access_key_id: &str) -> Identity {
        let environment = Environment::given([
            ("AWS_ACCESS_KEY_ID", access_key_id),
            ("AWS_SECRET_ACCESS_KEY", "x"),
        ]);
        Identity::resolve(&environment).unwrap()
    }

    #[test]
    fn an_account_is_remembered_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("cache");
        KnownAccounts::remember(&place, &identity("AKIDONE"), "111122223333");
        KnownAccounts::remember(&place, &identity("AKIDTWO"), "444455556666");
        KnownAccounts::remember(&place, &identity("AKIDONE"), "777788889999");
        KnownAccounts::remember(&place, &identity("AKIDONE"), "no account");
        let known = KnownAccounts::read(Some(&place));
        assert_eq!(known.of(&identity("AKIDONE")), Some("777788889999"));
        assert_eq!(known.of(&identity("AKIDTWO")), Some("444455556666"));
        assert_eq!(known.of(&identity("AKIDTHREE")), None);
        assert_eq!(fs::read_dir(&place).unwrap().count(), 1);
    }

    #[test]
    fn damage_is_passed_over_and_the_file_does_not_grow_without_end() {
        let good = format!("{} 111122223333", "a".repeat(40));
        let text = format!("x\n\n{good}\n{} 1\n{good}0\n", "b".repeat(40));
        assert_eq!(KnownAccounts::parse(&text).accounts.len(), 1);
        let many = format!("{good}\n").repeat(MOST * 2);
        assert_eq!(KnownAccounts::parse(&many).accounts.len(), MOST);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        KnownAccounts::remember(&file, &identity("AKIDONE"), "111122223333");
        assert!(KnownAccounts::read(Some(&file)).accounts.is_empty());
        assert!(KnownAccounts::read(None).accounts.is_empty());
    }
}
