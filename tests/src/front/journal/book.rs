//! The journal's file: one record a line, the first line says which journal it is.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::file;
use super::record::Record;
use super::subject::compact;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Title {
    journal: String,
}

/// The open journal.
#[derive(Debug)]
pub(in super::super) struct Journal {
    path: PathBuf,
    file: File,
    id: String,
    records: usize,
    length: u64,
}

impl Journal {
    /// Opens the journal, leaves out what is superseded, and starts one where there is none.
    pub(in super::super) fn open(path: &Path) -> io::Result<Self> {
        let (id, records) = match read(path)? {
            Some((id, records)) => (id, compact(records)),
            None => (new_id(), Vec::new()),
        };
        Self::write(path, id, &records)
    }

    /// Which journal this is; an emulator that holds its records is marked with it.
    pub(in super::super) fn id(&self) -> &str {
        &self.id
    }

    /// How many records there are.
    pub(in super::super) fn len(&self) -> usize {
        self.records
    }

    /// Where it is.
    pub(in super::super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a record. One that could be written only in part is taken back.
    pub(in super::super) fn append(&mut self, record: &Record) -> io::Result<()> {
        let line = line(record);
        let written = self.file.write_all(&line).and_then(|()| self.file.flush());
        if let Err(error) = written {
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += line.len() as u64;
        self.records += 1;
        Ok(())
    }

    /// The records that an emulator must be told.
    pub(in super::super) fn records(&self) -> io::Result<Vec<Record>> {
        Ok(read(&self.path)?.map_or_else(Vec::new, |(_, records)| compact(records)))
    }

    /// Forgets everything: what the emulator was told is no longer true.
    pub(in super::super) fn forget(&mut self) -> io::Result<()> {
        *self = Self::write(&self.path, new_id(), &[])?;
        Ok(())
    }

    fn write(path: &Path, id: String, records: &[Record]) -> io::Result<Self> {
        let mut bytes = line(&Title {
            journal: id.clone(),
        });
        for record in records {
            bytes.extend(line(record));
        }
        file::replace(path, &bytes)?;
        Ok(Self {
            path: path.to_owned(),
            file: file::open_to_append(path)?,
            id,
            records: records.len(),
            length: bytes.len() as u64,
        })
    }
}

fn new_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Reads what is whole; a last line that was cut off by a kill is no record. None when there is no
/// journal.
fn read(path: &Path) -> io::Result<Option<(String, Vec<Record>)>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut lines = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| line.ends_with(b"\n"));
    let title = lines
        .next()
        .and_then(|line| serde_json::from_slice::<Title>(line).ok());
    let Some(title) = title else {
        return Ok(None);
    };
    let records = lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    Ok(Some((title.journal, records)))
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::super::record::tests::record;
    use super::*;

    fn put(key: &str, body: &str) -> Record {
        record("PUT", &format!("/b/{key}"), "s3", &[], body)
    }

    #[test]
    fn records_come_back_in_order_with_the_same_id() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        let mut journal = Journal::open(&path).expect("a journal");
        let records = [put("a", "1"), put("b", "2")];
        for record in &records {
            journal.append(record).expect("written");
        }
        assert_eq!(journal.len(), 2);
        let again = Journal::open(&path).expect("a journal");
        assert_eq!(again.id(), journal.id());
        assert_eq!(again.records().expect("records"), records);
    }

    #[test]
    fn a_torn_last_record_is_ignored_and_does_not_spoil_the_next() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        Journal::open(&path)
            .expect("a journal")
            .append(&put("a", "1"))
            .expect("written");
        let mut torn = OpenOptions::new().append(true).open(&path).expect("a file");
        torn.write_all(&line(&put("b", "2"))[..40])
            .expect("written");
        let mut journal = Journal::open(&path).expect("a journal");
        assert_eq!(journal.records().expect("records"), [put("a", "1")]);
        journal.append(&put("c", "3")).expect("written");
        let records = Journal::open(&path)
            .expect("a journal")
            .records()
            .expect("records");
        assert_eq!(records, [put("a", "1"), put("c", "3")]);
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        let mut journal = Journal::open(&path).expect("a journal");
        for round in 0..100 {
            journal
                .append(&put("state", &round.to_string()))
                .expect("written");
        }
        let journal = Journal::open(&path).expect("a journal");
        assert_eq!(journal.len(), 1);
        assert_eq!(journal.records().expect("records"), [put("state", "99")]);
    }

    #[test]
    fn a_forgotten_journal_is_another_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        let mut journal = Journal::open(&path).expect("a journal");
        journal.append(&put("a", "1")).expect("written");
        let id = journal.id().to_owned();
        journal.forget().expect("forgotten");
        assert_ne!(journal.id(), id);
        assert!(journal.records().expect("records").is_empty());
        journal.append(&put("b", "1")).expect("written");
        assert_eq!(journal.records().expect("records").len(), 1);
    }
}
