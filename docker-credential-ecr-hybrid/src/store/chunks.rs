//! A token in several entries of a vault, none of them larger than the vault takes.
//!
//! Windows keeps 2,560 bytes in one entry, and a token with its envelope is often longer. The first
//! entry begins with a line that says how many there are, how long the whole is, and its hash; the
//! bytes follow, and go on in the others. A set that is not whole, because a writer was killed or
//! two wrote at once, counts as nothing.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::vault::Vault;

/// What the first entry begins with: our name and the version of the form.
const MARK: &str = "ecr-hybrid-1";

/// The most entries of one token. Far more than a token needs.
const MOST: usize = 32;

/// The whole of what is kept under a name.
pub(super) fn read<V: Vault>(vault: &V, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
    let Some(first) = vault.read(&entry(name, 0))? else {
        return Ok(None);
    };
    let Some((header, begin)) = Header::of(&first) else {
        return Ok(None);
    };
    // Room for all of it at once, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(header.count * V::LARGEST));
    bytes.extend_from_slice(begin);
    for index in 1..header.count {
        let Some(part) = vault.read(&entry(name, index))? else {
            return Ok(None);
        };
        if part.len() > V::LARGEST {
            return Ok(None);
        }
        bytes.extend_from_slice(&part);
    }
    let is_whole = bytes.len() == header.length && hash(&bytes) == header.hash;
    Ok(is_whole.then_some(bytes))
}

/// Keeps bytes under a name. The first entry goes first and comes last, so that at no time an older
/// token or half of a new one can be read.
pub(super) fn write<V: Vault>(vault: &V, name: &str, bytes: &[u8]) -> Result<(), String> {
    vault.delete(&entry(name, 0))?;
    let (count, header) = header_for::<V>(bytes).ok_or("the token is too large")?;
    let (begin, rest) = bytes.split_at(bytes.len().min(V::LARGEST - header.len()));
    for (index, part) in rest.chunks(V::LARGEST).enumerate() {
        vault.write(&entry(name, index + 1), part)?;
    }
    let mut first = Zeroizing::new(Vec::with_capacity(V::LARGEST));
    first.extend_from_slice(header.as_bytes());
    first.extend_from_slice(begin);
    vault.write(&entry(name, 0), &first)?;
    delete_from(vault, name, count)
}

/// Removes what is kept under a name.
pub(super) fn delete<V: Vault>(vault: &V, name: &str) -> Result<(), String> {
    vault.delete(&entry(name, 0))?;
    delete_from(vault, name, 1)
}

fn delete_from<V: Vault>(vault: &V, name: &str, first: usize) -> Result<(), String> {
    for index in first..MOST {
        if !vault.delete(&entry(name, index))? {
            break;
        }
    }
    Ok(())
}

fn entry(name: &str, index: usize) -> String {
    match index {
        0 => name.to_owned(),
        _ => format!("{name}.{index}"),
    }
}

struct Header {
    count: usize,
    length: usize,
    hash: String,
}

impl Header {
    /// The header of a first entry, and the bytes behind it.
    fn of(entry: &[u8]) -> Option<(Self, &[u8])> {
        let end = entry.iter().position(|&byte| byte == b'\n')?;
        let line = std::str::from_utf8(&entry[..end]).ok()?;
        let mut words = line.split(' ');
        if words.next()? != MARK {
            return None;
        }
        let header = Self {
            count: words.next()?.parse().ok()?,
            length: words.next()?.parse().ok()?,
            hash: words.next()?.to_owned(),
        };
        (1..=MOST)
            .contains(&header.count)
            .then_some((header, &entry[end + 1..]))
    }
}

/// How many entries these bytes need, and the header that says so.
fn header_for<V: Vault>(bytes: &[u8]) -> Option<(usize, String)> {
    let header = |count: usize| format!("{MARK} {count} {} {}\n", bytes.len(), hash(bytes));
    (1..=MOST).find_map(|count| {
        let header = header(count);
        let room = (V::LARGEST * count).checked_sub(header.len())?;
        (room >= bytes.len() && V::LARGEST > header.len()).then_some((count, header))
    })
}

fn hash(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in &Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use super::*;

    /// A vault with the limit of Windows, which can be told to fail after so many writes: the real
    /// one does neither here.
    #[derive(Default)]
    struct Memory {
        entries: Mutex<BTreeMap<String, Vec<u8>>>,
        writes_left: Mutex<Option<usize>>,
    }

    impl Memory {
        fn names(&self) -> Vec<String> {
            self.entries.lock().unwrap().keys().cloned().collect()
        }

        fn fails_after(&self, writes: Option<usize>) {
            *self.writes_left.lock().unwrap() = writes;
        }
    }

    impl Vault for Memory {
        const NAME: &'static str = "memory";
        const LARGEST: usize = 2560;

        fn read(&self, entry: &str) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
            let entries = self.entries.lock().unwrap();
            Ok(entries.get(entry).cloned().map(Zeroizing::new))
        }

        fn write(&self, entry: &str, bytes: &[u8]) -> Result<(), String> {
            assert!(bytes.len() <= Self::LARGEST, "{} bytes", bytes.len());
            if let Some(left) = &mut *self.writes_left.lock().unwrap() {
                *left = left.checked_sub(1).ok_or("it was told to fail")?;
            }
            let mut entries = self.entries.lock().unwrap();
            entries.insert(entry.to_owned(), bytes.to_vec());
            Ok(())
        }

        fn delete(&self, entry: &str) -> Result<bool, String> {
            Ok(self.entries.lock().unwrap().remove(entry).is_some())
        }
    }

    fn token(length: usize, fill: u8) -> Vec<u8> {
        let mut byte = fill;
        let mut next = || {
            byte = byte.wrapping_mul(31).wrapping_add(7);
            byte
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn tokens_of_every_length_come_back_and_leave_nothing_behind() {
        let vault = Memory::default();
        for length in [
            0, 1, 2400, 2470, 2471, 2472, 2473, 2560, 2561, 8192, 5031, 40_000, 100,
        ] {
            let bytes = token(length, 1);
            write(&vault, "a", &bytes).unwrap();
            assert_eq!(**read(&vault, "a").unwrap().unwrap(), bytes, "{length}");
            let needed = (length + 90).div_ceil(2560).max(1);
            assert!(
                vault.names().len() <= needed,
                "{length}: {:?}",
                vault.names()
            );
        }
        delete(&vault, "a").unwrap();
        delete(&vault, "a").unwrap();
        assert!(vault.names().is_empty());
        assert!(read(&vault, "a").unwrap().is_none());
    }

    #[test]
    fn a_writer_that_fails_on_the_way_leaves_neither_the_old_nor_half_of_the_new() {
        for writes in 0..4 {
            let vault = Memory::default();
            write(&vault, "a", &token(8192, 1)).unwrap();
            vault.fails_after(Some(writes));
            let failed = write(&vault, "a", &token(8192, 2));
            assert!(failed.is_err(), "{writes}");
            assert!(read(&vault, "a").unwrap().is_none(), "{writes}");
            vault.fails_after(None);
            write(&vault, "a", &token(8192, 3)).unwrap();
            assert_eq!(**read(&vault, "a").unwrap().unwrap(), token(8192, 3));
        }
    }

    #[test]
    fn a_set_that_is_mixed_damaged_or_not_ours_counts_as_nothing() {
        let vault = Memory::default();
        let damage: [(&str, &[u8]); 8] = [
            ("a.1", b"short"),
            ("a.1", &[0; 2561]),
            ("a", b"a password of someone else"),
            ("a", b"ecr-hybrid-1 4 8192\n"),
            ("a", b"ecr-hybrid-1 99 8192 00\n"),
            ("a", b"ecr-hybrid-1 0 0 00\n"),
            ("a", b"ecr-hybrid-2 1 0 00\n"),
            ("a", &[0xff, b'\n']),
        ];
        for (name, bytes) in damage {
            write(&vault, "a", &token(8192, 1)).unwrap();
            let mut entries = vault.entries.lock().unwrap();
            entries.insert(name.to_owned(), bytes.to_vec());
            drop(entries);
            assert!(read(&vault, "a").unwrap().is_none(), "{name}");
        }
        // Two that wrote at once.
        let other = Memory::default();
        write(&vault, "a", &token(8192, 1)).unwrap();
        write(&other, "a", &token(8192, 2)).unwrap();
        let foreign = other.read("a.2").unwrap().unwrap();
        vault.write("a.2", &foreign).unwrap();
        assert!(read(&vault, "a").unwrap().is_none());
    }

    #[test]
    fn what_no_token_can_be_is_refused_and_the_older_one_is_gone() {
        let vault = Memory::default();
        write(&vault, "a", b"old").unwrap();
        let error = write(&vault, "a", &token(2560 * MOST, 1)).unwrap_err();
        assert_eq!(error, "the token is too large");
        assert!(read(&vault, "a").unwrap().is_none());
    }
}
