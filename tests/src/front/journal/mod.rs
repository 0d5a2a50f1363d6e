//! What changed the emulator, in order, so that a new one can be told again: it keeps everything
//! in memory and forgets it when it ends.

mod book;
mod record;
mod subject;

pub(super) use book::Journal;
pub(super) use record::Record;
