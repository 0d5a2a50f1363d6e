//! What has come and was not read yet.

use zeroize::Zeroizing;

/// Room for the answers that a token takes.
const ROOM: usize = 8 * 1024;

/// Bytes that came. They may hold a token, so no copy is left behind when there have to be more.
pub(super) struct Incoming {
    bytes: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
}

impl Incoming {
    pub(super) fn new() -> Self {
        Self {
            bytes: Zeroizing::new(vec![0; ROOM]),
            start: 0,
            end: 0,
        }
    }

    /// What has come.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Where the next bytes go, with room for at least this many bytes in all.
    pub(super) fn room(&mut self, in_all: usize) -> &mut [u8] {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if in_all > self.bytes.len() {
            let mut larger = Zeroizing::new(vec![0; in_all]);
            larger[..self.end].copy_from_slice(&self.bytes[..self.end]);
            self.bytes = larger;
        }
        &mut self.bytes[self.end..]
    }

    /// Says how many bytes were put where the next ones go.
    pub(super) fn came(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// Forgets the first bytes.
    pub(super) fn forget(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes(incoming: &mut Incoming, bytes: &[u8]) {
        let in_all = incoming.bytes().len() + bytes.len();
        incoming.room(in_all)[..bytes.len()].copy_from_slice(bytes);
        incoming.came(bytes.len());
    }

    #[test]
    fn bytes_stay_in_order_however_they_come_and_go() {
        let mut incoming = Incoming::new();
        assert_eq!(incoming.bytes(), b"");
        comes(&mut incoming, b"abc");
        incoming.forget(2);
        comes(&mut incoming, b"de");
        assert_eq!(incoming.bytes(), b"cde");
        let large = vec![7; 3 * ROOM];
        comes(&mut incoming, &large);
        assert_eq!(&incoming.bytes()[..3], b"cde");
        assert_eq!(incoming.bytes()[3..], large);
        incoming.forget(usize::MAX / 2);
        assert_eq!(incoming.bytes(), b"");
    }
}
